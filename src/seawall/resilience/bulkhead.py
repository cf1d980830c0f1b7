"""A bulkhead: so many calls at once, so many in a queue, and no more."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from seawall.resilience.checks import duration, whole
from seawall.resilience.engine import AnyCall, Engine
from seawall.resilience.environment import Environment
from seawall.resilience.events import CallRefused
from seawall.resilience.problems import BulkheadFull
from seawall.resilience.queueing import Line

__all__ = ["Bulkhead", "BulkheadEngine", "BulkheadPermit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bulkhead:
    """Let a bounded number of calls run at once, so that one slow target does not take everything down.

    Args:
        limit: Calls at once.
        queue: Calls that may wait for a place, first come, first served; 0 refuses at once.
        patience: How long a call waits at most; never past the deadline of the call being served.

    Raises:
        DeclarationError: A setting is impossible.
    """

    limit: int
    queue: int = 0
    patience: float | str = 1.0

    def __post_init__(self) -> None:
        whole("Bulkhead", "limit", self.limit)
        whole("Bulkhead", "queue", self.queue, least=0)
        duration("Bulkhead", "patience", self.patience)

    def engine(self, name: str, environment: Environment) -> BulkheadEngine:
        """Return an empty bulkhead."""
        return BulkheadEngine(name, self, environment)


class BulkheadEngine(Engine):
    """A bulkhead: a decorator, ``async with bulkhead.guard()``, or `acquire` with the permit given back later."""

    kind = "bulkhead"

    def __init__(self, name: str, policy: Bulkhead, environment: Environment) -> None:
        super().__init__(name, environment)
        self.policy = policy
        self.free = policy.limit
        """Places that are free. While anybody waits there is none: a place goes from hand to hand."""
        self.refused = 0
        self._line = Line(environment.clock)
        self._waiting: deque[asyncio.Future[bool]] = self._line.waiting
        self._patience = duration("Bulkhead", "patience", policy.patience)

    @property
    def running(self) -> int:
        """How many calls run."""
        return self.policy.limit - self.free

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        return len(self._waiting)

    def wrap(self, function: AnyCall) -> AnyCall:
        """Return *function* in this bulkhead."""
        bulkhead, waiting = self, self._waiting

        async def call(*args: Any, **kwargs: Any) -> Any:
            if bulkhead.free:
                bulkhead.free -= 1
            else:
                await bulkhead.queue()
            try:
                return await function(*args, **kwargs)
            finally:
                if waiting:
                    bulkhead.give_back()
                else:
                    bulkhead.free += 1

        return call

    async def acquire(self) -> BulkheadPermit:
        """Take a place; whoever asked gives it back by the permit.

        Raises:
            BulkheadFull: There is none, and none became free in time.
        """
        if self.free:
            self.free -= 1
        else:
            await self.queue()
        return BulkheadPermit(self)

    def guard(self) -> _Block:
        """Take a place for a block: ``async with bulkhead.guard():``."""
        return _Block(self)

    async def queue(self) -> None:
        """Wait for a place and take it.

        Raises:
            BulkheadFull: The queue is full, or no place became free in time.
        """
        if len(self._waiting) >= self.policy.queue:
            raise self._refuse(f"{self.running} calls run and {self.waiting} wait")
        if not await self._line.wait(self._patience, self.give_back):
            raise self._refuse("no place became free in time")

    def give_back(self) -> None:
        """Give a place to whoever has waited longest, or set it free."""
        if not self._line.call_next():
            self.free += 1

    def _refuse(self, reason: str) -> BulkheadFull:
        self.refused += 1
        if self.environment.hooks:
            at = self.environment.clock.monotonic()
            self.environment.emit(CallRefused(name=self.name, at=at, policy=self.kind, reason=reason))
        return BulkheadFull(self.name, reason)


class BulkheadPermit:
    """A place in a bulkhead."""

    __slots__ = ("_bulkhead",)

    def __init__(self, bulkhead: BulkheadEngine) -> None:
        self._bulkhead: BulkheadEngine | None = bulkhead

    def release(self) -> None:
        """Give it back; the second time does nothing."""
        bulkhead, self._bulkhead = self._bulkhead, None
        if bulkhead is not None:
            bulkhead.give_back()


class _Block:
    __slots__ = ("_bulkhead", "_permit")

    def __init__(self, bulkhead: BulkheadEngine) -> None:
        self._bulkhead = bulkhead

    async def __aenter__(self) -> BulkheadPermit:
        self._permit = await self._bulkhead.acquire()
        return self._permit

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._permit.release()
