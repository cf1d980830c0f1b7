"""Finds out how many calls can run at once, from how much slower they become.

By Little's law a service has on average *rate × latency* calls in it. Up to some number, more of them mean a higher
rate; beyond it they wait for each other, and only latency grows. The limit follows the gradient, *latency without load ÷
latency now*, as in Netflix's concurrency-limits (Gradient2) and Envoy's adaptive concurrency filter; the headroom above
it is theirs too, a third of it: the square root of the limit, so that the limit can grow where the gradient is 1.

The latency without load is measured anew in the manner of Envoy, and of BBR's ProbeRTT: from time to time the limit is
halved for a moment. If that does not make calls faster, they were not waiting for each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

__all__ = ["Gradient", "GradientOptions", "Phase", "Reading"]

SMOOTHING = 0.3
LEAST_GRADIENT = 0.5
HEADROOM = 1 / 3
DEGRADED = 0.8
"""The gradient below which a limit that is far from being reached comes down to where it matters."""
QUEUED = 0.8
"""Calls that take less than this part of their time under half the limit wait for each other even then, perhaps."""
STEADY = 0.1
"""How much two measurements may differ, of which the second shall not be followed by another one soon."""
SOON = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientOptions:
    """How a limit is found.

    Args:
        least: The least it can be.
        most: The most, and what it begins with.
        tolerance: How much slower calls may be than without load before that counts.
        remeasure: Seconds between measurements of the latency without load.
    """

    least: int = 4
    most: int = 1000
    tolerance: float = 1.05
    remeasure: float = 5.0


class Phase(Enum):
    """What is being done."""

    FOLLOWING = "following"
    DRAINING = "draining"
    """The limit is halved, and calls that began before are still in the way."""
    MEASURING = "measuring"
    """Calls that end now began with few others."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one window has shown.

    Args:
        now: Seconds, at its end.
        latency: Seconds a call took, on average.
        expected: Seconds it would have taken without load.
        running: Calls that ran at once, on average.
        hit: Whether the limit was reached.
    """

    now: float
    latency: float
    expected: float
    running: float
    hit: bool


class Gradient:
    """A limit that follows what calls say of it."""

    __slots__ = ("_measure_at", "_until", "_usual", "level", "options", "phase")

    def __init__(self, options: GradientOptions, now: float) -> None:
        self.options = options
        self.level = float(options.most)
        """The limit as it was found, not rounded, and not halved for a measurement."""
        self.phase = Phase.FOLLOWING
        # What the first calls of all took may have been taken under load.
        self._measure_at = now + min(SOON, options.remeasure)
        self._until = 0.0
        self._usual = 0.0

    @property
    def limit(self) -> int:
        """How many calls may run now."""
        level = self.level if self.phase is Phase.FOLLOWING else self.level / 2
        return max(1, min(self.options.most, math.floor(level)))

    def follow(self, reading: Reading) -> None:
        """Adjust the limit to what a window has shown; not while measuring."""
        options = self.options
        busy = reading.running >= self.level / 2 or reading.hit
        gradient = min(1.0, options.tolerance * reading.expected / reading.latency)
        if busy:
            target = max(LEAST_GRADIENT, gradient) * self.level
            if gradient < 1.0 or reading.hit:
                target += max(1.0, math.sqrt(self.level) * HEADROOM)
            self.level += SMOOTHING * (target - self.level)
        elif gradient < DEGRADED:
            self.level = min(self.level, 2 * reading.running)
        self.level = min(float(options.most), max(float(options.least), self.level))
        if reading.hit and reading.now >= self._measure_at:
            self.phase = Phase.DRAINING
            self._usual = reading.latency / reading.expected
            self._until = reading.now + reading.latency

    def drained(self, now: float) -> bool:
        """Return whether calls that end from now on began under the halved limit; then the measurement begins."""
        if now < self._until:
            return False
        self.phase = Phase.MEASURING
        return True

    def measured(self, now: float, before: float, after: float) -> None:
        """End a measurement.

        Half of a limit that is far too high is too high as well: then the next measurement comes soon, under the
        limit that this one leads to.

        Args:
            now: The time.
            before: The mean latency without load, as it was taken for.
            after: The same as it was measured.
        """
        self.phase = Phase.FOLLOWING
        steady = before > 0 and abs(after / before - 1) <= STEADY and after >= QUEUED * self._usual * before
        self._measure_at = now + (self.options.remeasure if steady else min(SOON, self.options.remeasure))
