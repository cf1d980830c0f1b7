"""Notices that a store is out of order, and spares calls the waiting for it."""

from __future__ import annotations

from seawall.clock import Clock

__all__ = ["Outage"]


class Outage:
    """Whether the store is worth asking.

    One failure is enough: for *pause* seconds nobody asks. Then one call does, the others still do not, until one has
    been answered. So a dead store costs one call per pause its timeout, and all others nothing.

    Args:
        clock: What time it is.
        pause: Seconds.
    """

    __slots__ = ("_clock", "_pause", "_until", "failures")

    def __init__(self, clock: Clock, pause: float) -> None:
        self._clock = clock
        self._pause = pause
        self._until = 0.0
        self.failures = 0
        """How often it did not answer, of the times it was asked."""

    @property
    def lasts(self) -> bool:
        """Whether the store did not answer when it was last asked."""
        return self._until > 0.0

    def may_ask(self) -> bool:
        """Return whether this call is to ask the store; of those during an outage, one in a while."""
        if not self._until:
            return True
        now = self._clock.monotonic()
        if now < self._until:
            return False
        self._until = now + self._pause
        return True

    def failed(self) -> bool:
        """Note that the store did not answer; return whether that is news."""
        news = not self._until
        self.failures += 1
        self._until = self._clock.monotonic() + self._pause
        return news

    def answered(self) -> bool:
        """Note that it did; return whether that is news."""
        news, self._until = bool(self._until), 0.0
        return news
