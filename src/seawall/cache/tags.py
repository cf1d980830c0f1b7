"""Versions of tags, as a process knows them."""

from __future__ import annotations

from itertools import count

__all__ = ["Tags"]


class Tags:
    """Says which entries are older than an invalidation of their tags.

    An entry remembers the versions its tags had when its load began; an invalidation gives a tag a new one. Nothing has
    to be searched, and a load that was under way cannot bring back what was invalidated. When more tags are known than
    there is room for, all are forgotten and the epoch changes, which outdates every entry with tags.

    Args:
        most: How many tags are remembered.
    """

    __slots__ = ("_known", "_most", "_next", "changes", "epoch")

    def __init__(self, most: int = 100_000) -> None:
        self._known: dict[str, int] = {}
        self._most = most
        self._next = count(1).__next__
        self.epoch = 0
        self.changes = 0
        """How often anything has been invalidated: while it stays the same, what was current is current."""

    def versions(self, tags: tuple[str, ...]) -> tuple[int, ...]:
        """Return the present versions of *tags*."""
        known = self._known
        return tuple([known.get(tag, 0) for tag in tags])

    def current(self, tags: tuple[str, ...], versions: tuple[int, ...], epoch: int) -> bool:
        """Return whether none of *tags* has been invalidated since it had one of *versions*."""
        return epoch == self.epoch and self.versions(tags) == versions

    def invalidate(self, tags: tuple[str, ...]) -> None:
        """Outdate every entry that has one of *tags*."""
        if len(self._known) + len(tags) > self._most:
            self.forget()
        for tag in tags:
            self._known[tag] = self._next()
        self.changes += 1

    def forget(self) -> None:
        """Outdate every entry that has tags."""
        self._known.clear()
        self.epoch += 1
        self.changes += 1
