"""When a worker that has died is started again."""

from __future__ import annotations

from seawall.clock import Random
from seawall.lifecycle import Backoff

__all__ = ["SETTLED", "Restarts"]

SETTLED = 10.0
"""Seconds after which a worker that serves is taken to work; when it dies then, nothing is held against it."""


class Restarts:
    """The deaths of those who have held one post.

    The first is followed by a new start at once. Who dies soon again, or before it has served, is waited for: half a
    second, then twice as long each time, up to half a minute, half of it left to chance so that posts do not start in
    step. So a worker that cannot start costs a start every half minute, and one that was killed is back at once.

    Args:
        random: Chance.
        backoff: How the wait grows.
        settled: Seconds of service after which it begins anew.
    """

    def __init__(self, random: Random, backoff: Backoff | None = None, settled: float = SETTLED) -> None:
        self._random = random
        self._backoff = backoff or Backoff(first=0.5, most=30.0)
        self._settled = settled
        self._soon = 0
        self.count = 0

    def died(self, served: float | None) -> float:
        """Return the seconds to wait before the next start.

        Args:
            served: For how many seconds it had served; None if it never did.
        """
        self.count += 1
        if served is not None and served >= self._settled:
            self._soon = 0
        self._soon += 1
        if self._soon == 1 and served is not None:
            return 0.0
        return self._backoff.delay(max(1, self._soon - 1), self._random)

    def forgive(self) -> None:
        """Hold nothing against the next one: it has other code or settings."""
        self._soon = 0
