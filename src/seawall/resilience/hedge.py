"""Hedged calls: a second one when the first takes longer than usual (Dean and Barroso, "The Tail at Scale", 2013)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from seawall.resilience.attempts import repeatable
from seawall.resilience.budget import Budget, BudgetEngine
from seawall.resilience.checks import duration, number, refuse, whole
from seawall.resilience.engine import AnyCall, Engine
from seawall.resilience.environment import Environment
from seawall.resilience.events import Hedged
from seawall.resilience.latency import Latencies

__all__ = ["Hedge", "HedgeEngine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hedge:
    """Make a call that takes long a second time, and take the first answer; the other call is cancelled.

    For calls that may be made twice, and only for those: reads.

    Args:
        after: Seconds before the second call (``"200ms"``), or the quantile of the times seen (``"p95"``).
        extra: Further calls there may be.
        until_known: With a quantile, how long to wait while fewer than 20 times have been seen.
        budget: How many further calls there may be among all calls to the target.

    Raises:
        DeclarationError: A setting is impossible.
    """

    after: float | str = "p95"
    extra: int = 1
    until_known: float | str = 1.0
    budget: Budget = field(default_factory=lambda: Budget(share=0.1, least=1))

    def __post_init__(self) -> None:
        if self.quantile is None:
            duration("Hedge", "after", self.after)
        whole("Hedge", "extra", self.extra, most=10)
        duration("Hedge", "until_known", self.until_known)

    @property
    def quantile(self) -> float | None:
        """The quantile that `after` names, or None where it is a time."""
        text = self.after
        if not isinstance(text, str) or not text.startswith("p"):
            return None
        try:
            percent = float(text[1:])
        except ValueError:
            raise refuse("Hedge", "after", text, 'write a quantile such as "p95", or a time such as "200ms"') from None
        return number("Hedge", "after", percent, 1, 99.99) / 100

    def engine(self, name: str, environment: Environment) -> HedgeEngine:
        """Return hedges with a full budget of their own."""
        return HedgeEngine(name, self, environment, BudgetEngine(self.budget))


class HedgeEngine(Engine):
    """Hedged calls: a decorator. A block cannot run twice at once, so there is no ``async with``."""

    kind = "hedge"

    def __init__(self, name: str, policy: Hedge, environment: Environment, budget: BudgetEngine) -> None:
        super().__init__(name, environment)
        self.policy = policy
        self.budget = budget
        self.times = Latencies(policy.quantile or 0.95)
        fixed = policy.until_known if policy.quantile else policy.after
        self._fixed = duration("Hedge", "after", fixed)

    @property
    def delay(self) -> float:
        """Seconds after which a second call is made now."""
        if self.policy.quantile is None or len(self.times) < 20:
            return self._fixed
        return self.times.value() or 0.0

    def wrap(self, function: AnyCall) -> AnyCall:
        """Return *function* with hedges."""
        budget = self.budget

        async def call(*args: Any, **kwargs: Any) -> Any:
            if repeatable.get() is False:
                return await function(*args, **kwargs)
            budget.active += 1
            try:
                return await _Race(self, function, args, kwargs).run()
            finally:
                budget.active -= 1

        return call


class _Race:
    """One call and its hedges. They end with it, whichever way it ends: nothing goes on alone."""

    def __init__(self, hedge: HedgeEngine, function: AnyCall, args: Any, kwargs: Any) -> None:
        self._hedge = hedge
        self._function = function
        self._args = args
        self._kwargs = kwargs
        self._running: set[asyncio.Task[Any]] = set()
        self._extra: set[asyncio.Task[Any]] = set()

    async def run(self) -> Any:
        first_error: BaseException | None = None
        try:
            self._start(extra=False)
            while self._running:
                for task in await self._next_ended():
                    error = task.exception() if not task.cancelled() else asyncio.CancelledError()
                    if error is None:
                        return task.result()
                    first_error = first_error or error
            assert first_error is not None  # noqa: S101 - every call has ended, and none well
            raise first_error
        finally:
            first_error = None
            await self._end()

    async def _next_ended(self) -> set[asyncio.Task[Any]]:
        """Wait until a call ends; make a further one each time it has taken too long."""
        hedge = self._hedge
        while len(self._extra) < hedge.policy.extra:
            delay = hedge.delay
            ended = await self._ended_within(delay)
            if ended:
                return ended
            if not hedge.budget.spend():
                break
            self._start(extra=True)
            if hedge.environment.hooks:
                at = hedge.environment.clock.monotonic()
                hedge.environment.emit(Hedged(name=hedge.name, at=at, delay=delay))
        ended, self._running = await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        return ended

    async def _ended_within(self, seconds: float) -> set[asyncio.Task[Any]]:
        loop = asyncio.get_running_loop()
        alarm: asyncio.Future[None] = loop.create_future()
        timer = self._hedge.environment.clock.call_later(seconds, alarm.cancel)
        try:
            await asyncio.wait({*self._running, alarm}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            alarm.cancel()
        ended = {task for task in self._running if task.done()}
        self._running -= ended
        return ended

    def _start(self, *, extra: bool) -> None:
        task = asyncio.get_running_loop().create_task(self._timed(), name=f"hedge {self._hedge.name}")
        self._running.add(task)
        if extra:
            self._extra.add(task)

    async def _timed(self) -> Any:
        clock, began = self._hedge.environment.clock, self._hedge.environment.clock.monotonic()
        result = await self._function(*self._args, **self._kwargs)
        self._hedge.times.add(clock.monotonic() - began)
        self._hedge.budget.earn()
        return result

    async def _end(self) -> None:
        """Cancel the calls that lost and wait until they have ended, however often this task is cancelled."""
        for task in self._running:
            task.cancel()
        cancelled: asyncio.CancelledError | None = None
        while self._running:
            try:
                _, self._running = await asyncio.wait(self._running)
            except asyncio.CancelledError as again:
                cancelled = again
                self._running = {task for task in self._running if not task.done()}
        for _ in self._extra:
            self._hedge.budget.done()
        if cancelled is not None:
            raise cancelled
