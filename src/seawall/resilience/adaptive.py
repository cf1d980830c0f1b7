"""An adaptive limit: as many calls at once as the target keeps up with, found from how long they take.

A gradient limit (after Netflix, *concurrency-limits*, Gradient2, and Envoy's adaptive concurrency). Once in a window
the mean time of its calls is compared with the time of an unhurried call: where calls take longer, they wait
somewhere, and the limit is lowered by as much; half its square root is added as room for growth, and the whole of it
while nothing waits. The time of an unhurried call follows the least means seen, and is measured anew now and then with
the limit lowered, so that a target that has become slower by itself is not mistaken for a busy one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from seawall.resilience.checks import duration, refuse, whole
from seawall.resilience.engine import AnyCall, Engine
from seawall.resilience.environment import Environment
from seawall.resilience.events import CallRefused, LimitChanged
from seawall.resilience.outcomes import Outcome, Outcomes
from seawall.resilience.problems import LimitReached
from seawall.resilience.queueing import Line

__all__ = ["AdaptiveLimit", "AdaptiveLimitEngine", "AdaptivePermit"]

_FEWEST = 10  # calls that a mean is made of
_ENOUGH = 100  # calls whose mean is not chance any more; a window is made up to five times longer to have them
_MEASURE_FIRST = 8  # windows before the first measurement of an unhurried call
_MEASURE_EVERY = 60  # windows between two measurements of an unhurried call
_MEASURE_AT = 0.5  # of the limit
_UNHURRIED = 0.95  # a gradient above this is chance, not a queue, and the limit may grow faster
_STEEPEST = 0.5  # of the limit is the least it falls to in one window
_FAILING = 0.05  # share of failures from which on the limit falls, however quick the others are
_BACK_OFF = 0.8
_STEP = 0.2
_SLOWER = 1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveLimit:
    """Find out how many calls at once a target keeps up with, and make no more.

    Args:
        start: The limit in the beginning.
        least: It never falls below this.
        most: It never rises above this.
        window: How often it changes.
        queue: Calls that may wait for a place, first come, first served; 0 refuses at once.
        patience: How long a call waits at most; never past the deadline of the call being served.
        counts: Which ends of a call mean that the target could not cope: its failures.

    Raises:
        DeclarationError: A setting is impossible, or `start` is not between `least` and `most`.
    """

    start: int = 20
    least: int = 2
    most: int = 1000
    window: float | str = 0.5
    queue: int = 0
    patience: float | str = 1.0
    counts: Outcomes = field(default_factory=Outcomes)

    def __post_init__(self) -> None:
        for setting in ("start", "least", "most"):
            whole("AdaptiveLimit", setting, getattr(self, setting), most=1_000_000)
        if self.least > self.most:
            raise refuse("AdaptiveLimit", "least", self.least, f"it is more than most={self.most}")
        if not self.least <= self.start <= self.most:
            raise refuse("AdaptiveLimit", "start", self.start, f"write a number from {self.least} to {self.most}")
        duration("AdaptiveLimit", "window", self.window)
        whole("AdaptiveLimit", "queue", self.queue, least=0)
        duration("AdaptiveLimit", "patience", self.patience)

    def engine(self, name: str, environment: Environment) -> AdaptiveLimitEngine:
        """Return the limit at work, at its start."""
        return AdaptiveLimitEngine(name, self, environment)


class AdaptiveLimitEngine(Engine):
    """An adaptive limit: a decorator, ``async with limit.guard()``, or `acquire` with the outcome told later."""

    kind = "adaptive_limit"

    def __init__(self, name: str, policy: AdaptiveLimit, environment: Environment) -> None:
        super().__init__(name, environment)
        self.policy = policy
        self.running = 0
        self.refused = 0
        self._limit = float(policy.start)
        self._unhurried = 0.0  # seconds; 0 before anything is known
        self._seconds = duration("AdaptiveLimit", "window", policy.window)
        self._patience = duration("AdaptiveLimit", "patience", policy.patience)
        self._line = Line(environment.clock)
        self._monotonic = environment.clock.monotonic
        self._until_measured = _MEASURE_FIRST
        self._before_measuring: float | None = None
        self._most_running = 0
        self._begin_window(self._monotonic())

    @property
    def limit(self) -> int:
        """How many calls may run at once now."""
        return int(self._limit)

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        return len(self._line.waiting)

    async def acquire(self) -> AdaptivePermit:
        """Take a place for one call; whoever asked says later how it ended, by the permit.

        Raises:
            LimitReached: There is none, and none became free in time.
        """
        if self.running >= self.limit or self._line.waiting:
            if self.waiting >= self.policy.queue:
                raise self._refuse(f"{self.running} calls run and {self.waiting} wait")
            if not await self._line.wait(self._patience, self._free):
                raise self._refuse("no place became free in time")
        else:
            self.running += 1
        self._most_running = max(self._most_running, self.running)
        return AdaptivePermit(self, self._monotonic())

    def guard(self) -> _Block:
        """Take a place for a block: ``async with limit.guard():``; how it ends is the outcome."""
        return _Block(self)

    def wrap(self, function: AnyCall) -> AnyCall:
        """Return *function* within this limit."""
        limit, counts = self, self.policy.counts

        async def call(*args: Any, **kwargs: Any) -> Any:
            permit = await limit.acquire()
            try:
                result = await function(*args, **kwargs)
            except BaseException as error:
                permit.report(counts.of_error(error))
                raise
            permit.report(counts.of_result(result))
            return result

        return call

    def end(self, outcome: Outcome, began: float) -> None:
        """Give the place of a call that began at *began* to the next, and learn from how it ended."""
        now = self._monotonic()
        if outcome is Outcome.SUCCESS:
            self._ended += 1
            self._total += now - began
        elif outcome is Outcome.FAILURE:
            self._failed += 1
        calls, windows = self._ended + self._failed, (now - self._window_began) / self._seconds
        if windows >= 1 and (calls >= _ENOUGH or (windows >= 5 and calls >= _FEWEST)):
            self._adjust()
            self._begin_window(now)
        self._free()

    def _free(self) -> None:
        self.running -= 1
        while self.running < self.limit and self._line.call_next():
            self.running += 1

    def _adjust(self) -> None:
        before = self.limit
        measuring, self._before_measuring = self._before_measuring, None
        if self._failed > _FAILING * (self._ended + self._failed):
            self._limit *= _BACK_OFF
        elif self._ended:
            mean = self._total / self._ended
            if measuring is not None or not self._unhurried:
                if mean > self._unhurried * _SLOWER and measuring is not None:
                    self._until_measured = 1  # slower, or busy even at half the limit: look again at a lower one
                self._unhurried = mean
            elif mean < self._unhurried:
                # By steps: one lucky window must not make every later one look busy.
                self._unhurried += _STEP * (mean - self._unhurried)
            base = self._limit if measuring is None else measuring
            gradient = max(_STEEPEST, min(1.0, self._unhurried / mean)) if mean else 1.0
            room = math.sqrt(base) if gradient > _UNHURRIED else math.sqrt(base) / 2
            wanted = base * gradient + room
            # A limit that nobody reaches teaches nothing about a higher one.
            if wanted <= base or measuring is not None or 2 * self._most_running >= base:
                self._limit = wanted
        self._until_measured -= 1
        if self._until_measured <= 0:
            self._until_measured = _MEASURE_EVERY
            self._before_measuring = self._limit
            self._limit *= _MEASURE_AT
        self._limit = min(self.policy.most, max(self.policy.least, self._limit))
        if self.limit != before and self.environment.hooks:
            at = self._monotonic()
            self.environment.emit(LimitChanged(name=self.name, at=at, before=before, after=self.limit))

    def _begin_window(self, now: float) -> None:
        self._window_began = now
        self._ended = 0
        self._failed = 0
        self._total = 0.0
        self._most_running = self.running

    def _refuse(self, reason: str) -> LimitReached:
        self.refused += 1
        if self.environment.hooks:
            at = self._monotonic()
            self.environment.emit(CallRefused(name=self.name, at=at, policy=self.kind, reason=reason))
        return LimitReached(self.name, reason)


class AdaptivePermit:
    """A place within an adaptive limit. Its end is told once."""

    __slots__ = ("_began", "_limit")

    def __init__(self, limit: AdaptiveLimitEngine, began: float) -> None:
        self._limit: AdaptiveLimitEngine | None = limit
        self._began = began

    def report(self, outcome: Outcome) -> None:
        """Say how the call ended."""
        limit, self._limit = self._limit, None
        if limit is not None:
            limit.end(outcome, self._began)

    def release(self) -> None:
        """Give the place back: the call was not made, or was cancelled."""
        self.report(Outcome.IGNORED)


class _Block:
    __slots__ = ("_limit", "_permit")

    def __init__(self, limit: AdaptiveLimitEngine) -> None:
        self._limit = limit

    async def __aenter__(self) -> AdaptivePermit:
        self._permit = await self._limit.acquire()
        return self._permit

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._permit.report(Outcome.SUCCESS if error is None else self._limit.policy.counts.of_error(error))
