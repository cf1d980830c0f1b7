"""Which keys were outdated together, by how they begin: nothing is searched, each entry is judged when it is met."""

from __future__ import annotations

__all__ = ["MOST_PREFIXES", "Prefixes"]

MOST_PREFIXES = 10_000
"""Prefixes that are remembered; when there are more, the one outdated longest ago goes, and `Prefixes.floor` rises."""


class Prefixes:
    """Numbered invalidations of prefixes.

    An entry remembers the number of the last invalidation before its load began. It is out of date if its key begins
    with a prefix that has a higher number. Invalidating takes one step, however many keys begin so; judging takes one
    look for each length a prefix has, and none for entries that are younger than every invalidation.

    Args:
        most: How many prefixes are remembered.
    """

    __slots__ = ("_lengths", "_marks", "_most", "floor", "number")

    def __init__(self, most: int = MOST_PREFIXES) -> None:
        self._marks: dict[str, int] = {}
        self._lengths: dict[int, int] = {}
        self._most = most
        self.number = 0
        """That of the last invalidation."""
        self.floor = 0
        """Entries with a lower number are out of date: what they would be judged by is forgotten."""

    def __len__(self) -> int:
        return len(self._marks)

    def add(self, prefix: str, number: int) -> None:
        """Note that *prefix* was invalidated; *number* is higher than all before."""
        if self._marks.pop(prefix, None) is None:
            self._lengths[len(prefix)] = self._lengths.get(len(prefix), 0) + 1
        self._marks[prefix] = number  # at the end: they stand in the order of their numbers
        self.number = number
        if len(self._marks) > self._most:
            oldest = next(iter(self._marks))
            self.floor = self._marks.pop(oldest)
            self._lengths[len(oldest)] -= 1
            if not self._lengths[len(oldest)]:
                del self._lengths[len(oldest)]

    def outdated(self, key: str, since: int) -> bool:
        """Return whether *key* has been invalidated after the invalidation number *since*."""
        if since >= self.number:
            return False
        if since < self.floor:
            return True
        marks = self._marks
        return any(marks.get(key[:length], 0) > since for length in self._lengths)

    def forget(self) -> None:
        """Outdate everything that is older than now."""
        self._marks.clear()
        self._lengths.clear()
        self.number += 1
        self.floor = self.number
