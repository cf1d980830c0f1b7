"""What a process knows of the prefixes that were invalidated in the shared tier."""

from __future__ import annotations

from seawall.cache.prefixes import Prefixes
from seawall.cache.store import Changes, News, Position

__all__ = ["Journal"]

CONFIRM = 0.1
"""The part of `CacheOptions.local_ttl` for which the journal is not asked again, as asking costs a script for a GET."""


class Journal:
    """A copy of the journal, not older than it is said to be.

    Messages keep it up to date; where one was missed, the numbers show it at the next look that asks for them. Such a
    look is made when none has been for a tenth of ``local_ttl``, and when an entry says more than is known here.

    Args:
        local_ttl: See `CacheOptions.local_ttl`.
    """

    __slots__ = ("_pause", "_prefixes", "confirmed", "position")

    def __init__(self, local_ttl: float) -> None:
        self._pause = local_ttl * CONFIRM
        self._prefixes = Prefixes()
        self.position = Position()
        self.confirmed = float("-inf")
        """When the store was last asked, by `Clock.monotonic`."""

    def due(self, now: float) -> Position | None:
        """Return the position to ask from, or None while that is not due."""
        return self.position if now - self.confirmed >= self._pause else None

    def doubt(self) -> None:
        """Ask the store at the next look."""
        self.confirmed = float("-inf")

    def learn(self, changes: Changes, asked: float) -> list[str]:
        """Take over what the store said to a question of the time *asked*; return the prefixes that are news."""
        self.confirmed = asked
        if changes.position.journal != self.position.journal:
            self._prefixes = Prefixes()
            self.position = Position(changes.position.journal)
        fresh = [(prefix, number) for prefix, number in changes.prefixes if number > self.position.number]
        for prefix, number in fresh:
            self._prefixes.add(prefix, number)
        self._prefixes.floor = max(self._prefixes.floor, changes.floor)
        if changes.position.number > self.position.number:
            self.position = changes.position
        self._prefixes.number = self.position.number
        return [prefix for prefix, _ in fresh]

    def heard(self, news: News) -> bool:
        """Take over what a message says; return whether its prefixes are news."""
        known, told, count = self.position, news.position, len(news.prefixes)
        if told.journal == known.journal and told.number <= known.number:
            return False
        if told.journal == known.journal and told.number == known.number + count:
            for number, prefix in enumerate(news.prefixes, known.number + 1):
                self._prefixes.add(prefix, number)
            self.position = told
        else:
            self.doubt()  # one was missed, or the journal is another one
        return True

    def judge(self, key: str, journal: bytes, number: int) -> bool | None:
        """Return whether an entry of the store is current; None for: that is not known, ask the store first.

        Args:
            key: Its key.
            journal: The journal when it was claimed; empty for an entry from before there was one.
            number: The number of the journal's last invalidation then.
        """
        known = self.position
        if journal != known.journal and journal:
            return None
        if number > known.number:
            self.doubt()
        return not self._prefixes.outdated(key, number)
