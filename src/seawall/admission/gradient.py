"""Finds out how many calls can run at once, from how much slower they become.

By Little's law a service has on average *rate times latency* calls in it. Up to some number, more of them mean a
higher rate; beyond it they wait for each other, and only latency grows. The limit follows the gradient, the latency
without load divided by the latency now, as in Netflix's concurrency-limits (Gradient2) and Envoy's adaptive
concurrency filter. The headroom above it is a third of theirs, the square root of the limit: it lets the limit grow
where the gradient is 1.

The latency without load is measured anew in the manner of Envoy, and of BBR's ProbeRTT: from time to time the limit is
lowered for a moment. If that does not make calls faster, they were not waiting for each other. If it makes them faster
in the same proportion, they wait for each other under the lower limit too, and it is measured again soon.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

__all__ = ["Gradient", "GradientOptions", "Phase", "Reading"]

SMOOTHING = 0.3
LEAST_GRADIENT = 0.5
HEADROOM = 1 / 3
SEARCHING, STEADY = 0.5, 0.75
"""The part of the limit under which the latency without load is measured: at first, and once that has proved right."""
BEYOND_CHANCE = 0.05
PROOFS = 3
"""Measurements in a row that must agree before they are believed for longer."""
SOON = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientOptions:
    """How a limit is found.

    Args:
        least: The least it can be.
        most: The most.
        tolerance: How much slower calls may be than without load before that counts.
        remeasure: Seconds between measurements of the latency without load.
    """

    least: int = 16
    most: int = 1000
    tolerance: float = 1.05
    remeasure: float = 10.0


class Phase(Enum):
    """What is being done."""

    FOLLOWING = "following"
    DRAINING = "draining"
    """The limit is lowered, and calls that began before are still in the way."""
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
        served: Calls of those that ended well that would have run at once without load.
        hit: Whether the limit was reached.
    """

    now: float
    latency: float
    expected: float
    running: float
    served: float
    hit: bool


class Gradient:
    """A limit that follows what calls say of it."""

    __slots__ = ("_measure_at", "_proofs", "_share", "_until", "_usual", "level", "options", "phase")

    def __init__(self, options: GradientOptions) -> None:
        self.options = options
        self.level = float(options.most)
        """The limit as it was found, not rounded, and not lowered for a measurement."""
        self.phase = Phase.FOLLOWING
        self._measure_at = 0.0
        self._until = 0.0
        self._usual = 0.0
        self._share = SEARCHING
        self._proofs = 0

    @property
    def limit(self) -> int:
        """How many calls may run now."""
        level = self.level if self.phase is Phase.FOLLOWING else self.level * self._share
        return max(1, min(self.options.most, math.floor(level)))

    def start(self, reading: Reading) -> None:
        """Begin with as many calls as were served at once, by Little's law: their rate times what they take alone.

        It is measured at once: what the first calls of all took may have been taken under load.
        """
        self.level = reading.served
        self._bound()
        self._share = SEARCHING
        self._proofs = 0
        self._drain(reading)

    def resume(self, now: float) -> None:
        """Go on with the limit as it was; calls that were let in beyond it are not held against it."""
        self.phase, self._until = Phase.DRAINING, now

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
        self._bound()
        if reading.hit and reading.now >= self._measure_at:
            self._drain(reading)

    def _drain(self, reading: Reading) -> None:
        self.phase = Phase.DRAINING
        self._usual = reading.latency / reading.expected
        self._until = reading.now + reading.latency

    def _bound(self) -> None:
        self.level = min(float(self.options.most), max(float(self.options.least), self.level))

    def drained(self, now: float, running: int) -> bool:
        """Return whether calls that end from now on began under the lower limit; then the measurement begins.

        Args:
            now: The time.
            running: Calls that run.
        """
        if now < self._until or running > self.limit:
            return False
        self.phase = Phase.MEASURING
        return True

    def measured(self, now: float, before: float, after: float) -> None:
        """End a measurement.

        Args:
            now: The time.
            before: The mean latency without load, as it was taken for.
            after: The same as it was measured.
        """
        self.phase = Phase.FOLLOWING
        # In proportion: 'after' would be the lower limit's share of what was usual.
        waited = not before or after < (self._share + BEYOND_CHANCE) * self._usual * before
        self._proofs = 0 if waited else self._proofs + 1
        steady = self._proofs >= PROOFS
        self._share = STEADY if steady else SEARCHING
        self._measure_at = now + (self.options.remeasure if steady else min(SOON, self.options.remeasure))
