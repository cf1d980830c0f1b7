"""The arithmetic of a limit: the generic cell rate algorithm, one number for each caller.

GCRA (ITU-T I.371, ATM traffic management) keeps for each caller the *theoretical arrival time*: the moment at which
everything taken so far would have been given back. Each unit taken moves it by the emission interval; a call conforms
while it is no further ahead of now than the burst takes to be given back.

A quota by the calendar is the same arithmetic with time standing still: 'now' is the beginning of the present window,
and a unit is one quantum, so that the number of what was taken stands in the distance between the two. When the next
window begins, 'now' jumps past all of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from seawall.limit.rate import Rate, Window

__all__ = ["EPOCH", "QUANTUM", "SLACK", "Calendar", "Rule", "refused", "rule_of"]

QUANTUM = 2.0**-24
"""Seconds (60 ns). Emission intervals are whole numbers of these, so that sums of them are exact in doubles as long as
a clock shows less than 17 years; rounded up, a rate is never exceeded. At 1,000/s that is 0.005 % less than asked."""
EPOCH = 1_767_225_600
"""2026-01-01T00:00:00Z. Seconds since 1970 are too large for a double to tell quanta apart."""
SLACK = 2.0**-30
"""Seconds of rounding (where a sum passes a power of two) that are not held against a caller."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rate in numbers.

    Args:
        id: Where its cells are: rules with the same id share them, also when their numbers differ.
        interval: Seconds until one unit is given back; a whole number of quanta.
        tolerance: Seconds ahead of now that a caller may be: *burst* intervals.
        window: The calendar window, for a quota.
        label: What callers know it by.
        count: Units in *period*.
        period: Seconds.
    """

    id: str
    interval: float
    tolerance: float
    window: Window
    label: str
    count: int
    period: float

    @property
    def burst(self) -> int:
        """Units that can be taken at once."""
        return int(self.tolerance / self.interval)

    def remaining(self, left: float) -> int:
        """Return the units that a caller has left, of the seconds that a store has given back."""
        return max(0, int((left + SLACK) / self.interval))

    def reset(self, left: float, calendar: Calendar) -> int:
        """Return the whole seconds until the allowance is whole again."""
        if self.window:
            return math.ceil(calendar.remaining(self.window))
        return max(0, math.ceil(self.tolerance - left - SLACK))

    def wait(self, left: float, calendar: Calendar) -> float:
        """Return the seconds until a call that was refused would pass; *left* is negative."""
        return calendar.remaining(self.window) if self.window else -left


def rule_of(rate: Rate, scope: str, index: int) -> Rule:
    """Return *rate* in numbers.

    Args:
        rate: The rate.
        scope: The operation it stands for, unless it has a name.
        index: Which of the operation's rates it is.
    """
    key = rate.key if isinstance(rate.key, str) else getattr(rate.key, "__qualname__", "function")
    kind = rate.window or "rate"
    where = f"={rate.name}" if rate.name else f"{scope}#{index}"
    interval = QUANTUM if rate.window else math.ceil(rate.period / rate.count / QUANTUM) * QUANTUM
    return Rule(
        f"{where}:{kind}:{key}", interval, rate.burst * interval, rate.window, rate.label, rate.count, rate.period
    )


class Calendar:
    """The present calendar windows of UTC.

    Args:
        wall: Returns seconds since 1970.
    """

    __slots__ = ("_spans", "_wall")

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._spans: dict[Window, tuple[float, float]] = {}

    def start(self, window: Window) -> float:
        """Return when the present window began, in seconds since `EPOCH`."""
        return self._span(window)[0] - EPOCH

    def remaining(self, window: Window) -> float:
        """Return the seconds until the next window begins."""
        return self._span(window)[1] - self._wall()

    def _span(self, window: Window) -> tuple[float, float]:
        now = self._wall()
        span = self._spans.get(window)
        if span is None or not span[0] <= now < span[1]:
            span = self._spans[window] = _span(window, now)
        return span


def _span(window: Window, now: float) -> tuple[float, float]:
    day = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if window == "day":
        return day.timestamp(), (day + timedelta(days=1)).timestamp()
    first = day.replace(day=1)
    return first.timestamp(), (first + timedelta(days=32)).replace(day=1).timestamp()


def refused(lefts: Iterable[float]) -> bool:
    """Return whether what a store gave back means that nothing was taken."""
    return any(left < -SLACK for left in lefts)
