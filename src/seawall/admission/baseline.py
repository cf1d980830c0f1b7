"""How long an operation takes when nobody is in its way."""

from __future__ import annotations

__all__ = ["Baseline"]

LEAST = 10
"""Calls before a mean says anything."""
NEAR = 0.2
DRIFT = 0.005
"""How much of a difference is taken over by each window in which nothing was refused: half of it in 140. A queue that
grows slowly must not pass for a service that has become slower by itself."""


class Baseline:
    """The mean latency of one operation without load, and what was measured since the last look.

    Means are compared with means: the least latency says little about an operation that takes now 50, now 150 ms.
    Plans add to `count` and `spent` themselves.
    """

    __slots__ = ("_early", "_early_spent", "count", "cuts", "mean", "spent")

    def __init__(self) -> None:
        self._early = 0
        self._early_spent = 0.0
        self.count = 0
        """Calls that ended well since the last look, and those that were cut."""
        self.cuts = 0
        """The latter."""
        self.spent = 0.0
        """Seconds they took."""
        self.mean = 0.0
        """Seconds without load; 0 while it is not known."""

    def expected(self) -> float:
        """Return the seconds that the calls since the last look would have taken without load; 0 if that is unknown.

        The first calls of all are taken for what is usual until it is measured.
        """
        if not self.mean:
            early = self._early + self.count
            if early < LEAST:
                return 0.0
            self.mean = (self._early_spent + self.spent) / early
        return self.mean * self.count

    def cut(self, seconds: float) -> None:
        """Note a call that did not end well after *seconds*: it counts if it had longer than is usual."""
        if 0.0 < self.mean < seconds:
            self.count += 1
            self.cuts += 1
            self.spent += seconds

    def measured(self) -> None:
        """Take what was measured since the last look for the latency without load.

        Small differences are chance, and evened out with what was measured before.
        """
        if self.count >= LEAST:
            measured = self.spent / self.count
            near = abs(measured - self.mean) <= NEAR * self.mean
            self.mean = (self.mean + measured) / 2 if near else measured

    def drift(self) -> None:
        """Move towards what was measured since the last look, when there was no sign of load."""
        if self.mean and self.count >= LEAST:
            self.mean += DRIFT * (self.spent / self.count - self.mean)

    def forget(self) -> None:
        """Begin to measure anew."""
        if not self.mean:
            self._early += self.count
            self._early_spent += self.spent
        self.count = self.cuts = 0
        self.spent = 0.0
