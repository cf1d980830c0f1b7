"""Time limits on calls, without a timer for each.

All calls under one limit stand in one table in the order in which they began, which is the order in which they
expire, so one timer watches the oldest. A call whose own deadline comes sooner gets a timer of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, cast

from seawall.call import current
from seawall.clock import Timer
from seawall.resilience.checks import duration
from seawall.resilience.engine import AnyCall, Engine
from seawall.resilience.environment import Environment
from seawall.resilience.events import TookTooLong
from seawall.resilience.problems import TimedOut

__all__ = ["Timeout", "TimeoutEngine"]

_MESSAGE = "its time limit has passed"


@dataclass(frozen=True, slots=True)
class Timeout:
    """Cancel a call after so many seconds, or at the deadline of the call being served, whichever is sooner.

    Outside a retry it limits all attempts together, inside it each. Where the deadline has passed already, the call
    is not made.

    Args:
        seconds: A number, or ``"500ms"``, ``"2s"``.

    Raises:
        DeclarationError: It is no duration of more than 0.
    """

    seconds: float | str

    def __post_init__(self) -> None:
        duration("Timeout", "seconds", self.seconds)

    def engine(self, name: str, environment: Environment) -> TimeoutEngine:
        """Return the time limit at work."""
        return TimeoutEngine(name, self, environment)


class TimeoutEngine(Engine):
    """A time limit: a decorator, or ``async with timeout.guard()``."""

    kind = "timeout"

    def __init__(self, name: str, policy: Timeout, environment: Environment) -> None:
        super().__init__(name, environment)
        self.policy = policy
        self.seconds = duration("Timeout", "seconds", policy.seconds)
        self.expired: dict[int, tuple[int, int]] = {}
        """Calls that were cancelled for their time; how often their tasks had been asked to stop by then, and when
        the calls began."""
        self._monotonic = environment.clock.monotonic
        self._running: dict[int, tuple[asyncio.Task[Any], float, int]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last = 0

    def wrap(self, function: AnyCall) -> AnyCall:
        """Return *function* within this limit."""
        limit, seconds, running, monotonic = self, self.seconds, self._running, self._monotonic
        current_task = cast("Callable[[], asyncio.Task[Any]]", asyncio.current_task)  # coroutines run in a task
        served = current.get

        async def call(*args: Any, **kwargs: Any) -> Any:
            task = current_task()
            due = monotonic() + seconds
            request = served(None)
            if request is not None and request.deadline is not None and request.deadline < due:
                async with _Sooner(limit, request.deadline):
                    return await function(*args, **kwargs)
            if task.get_loop() is not limit._loop:
                limit._watch(task)
            key = limit._last = limit._last + 1
            running[key] = task, due, task.cancelling()
            try:
                result = await function(*args, **kwargs)
            except BaseException as error:
                if running.pop(key, None) is None:
                    limit.settle(key, task, error, seconds)
                raise
            if running.pop(key, None) is None:
                limit.settle(key, task, None, seconds)
            return result

        return call

    def guard(self) -> _Sooner:
        """Limit a block: ``async with timeout.guard():``.

        Raises:
            TimedOut: On entering, that the deadline has passed already; on leaving, that the block took too long.
        """
        return _Sooner(self, None)

    def settle(self, key: int, task: Any, error: BaseException | None, seconds: float) -> None:
        """Raise what a call that was cancelled for its time ends in, unless somebody else cancelled it as well.

        Requests between its beginning and its expiry can be either: a cancellation that has not arrived yet, or is
        still being cleaned up after; or one that task groups before Python 3.13 leave behind when one of their tasks
        fails. Of the first there is an exception, which does not carry our message.

        Raises:
            TimedOut: Nobody else has asked the task to stop.
        """
        if key not in self.expired:
            return  # forgotten, with the event loop it ran on
        before, begun = self.expired.pop(key)
        expiries = self.environment.expiries
        expiries[task] -= 1
        others = expiries[task]
        if not others:
            del expiries[task]
        asked = task.uncancel()
        if isinstance(error, asyncio.CancelledError):
            request = current.get(None)
            # A limit further out has passed as well, or the call's own: the cancellation is theirs to turn.
            if asked > before or others or (request is not None and request.expired):
                return
            if before > begun and _by_somebody_else(error):
                return
            raise TimedOut(self.name, seconds) from None
        raise TimedOut(self.name, seconds) from error

    def expire(self, key: int, task: asyncio.Task[Any], seconds: float, begun: int) -> None:
        """Cancel *task*, whose call *key* had *seconds*; *begun* requests to stop had been made when it began."""
        self.expired[key] = task.cancelling(), begun
        expiries = self.environment.expiries
        expiries[task] = expiries.get(task, 0) + 1
        task.cancel(_MESSAGE)
        if self.environment.hooks:
            self.environment.emit(TookTooLong(name=self.name, at=self._monotonic(), limit=seconds))

    def next_key(self) -> int:
        """Return a number for one more call."""
        self._last += 1
        return self._last

    def _watch(self, task: asyncio.Task[Any]) -> None:
        """Begin to watch on the loop of *task*: nothing is watched yet, or only calls of a loop that is gone."""
        self._running.clear()
        self._loop = task.get_loop()
        self.environment.clock.call_later(self.seconds, self._sweeper(self._loop))

    def _sweeper(self, loop: asyncio.AbstractEventLoop) -> Callable[[], None]:
        def sweep() -> None:
            if self._loop is not loop:
                return
            now = self._monotonic()
            while self._running:
                key = next(iter(self._running))
                task, due, begun = self._running[key]
                if due > now:
                    self.environment.clock.call_later(due - now, sweep)
                    return
                del self._running[key]
                self.expire(key, task, self.seconds, begun)
            self._loop = None

        return sweep


class _Sooner:
    """One block within a time limit, with a timer of its own."""

    def __init__(self, limit: TimeoutEngine, deadline: float | None) -> None:
        self._limit = limit
        self._deadline = deadline
        self._key = 0
        self._begun = 0
        self._seconds = 0.0
        self._timer: Timer | None = None
        self._task: asyncio.Task[Any] | None = None

    async def __aenter__(self) -> None:
        limit = self._limit
        now = limit.environment.clock.monotonic()
        if self._deadline is None:
            request = current.get(None)
            due = now + limit.seconds
            given = request.deadline if request is not None else None
            self._deadline = due if given is None else min(due, given)
        self._seconds = self._deadline - now
        if self._seconds <= 0:
            raise TimedOut(limit.name, 0.0)
        self._key = limit.next_key()
        self._task = asyncio.current_task()
        self._begun = self._task.cancelling() if self._task is not None else 0
        self._timer = limit.environment.clock.call_later(self._seconds, self._expire)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._timer is not None  # noqa: S101 - set on entering
        self._timer.cancel()
        if self._key in self._limit.expired:
            self._limit.settle(self._key, self._task, error, self._seconds)

    def _expire(self) -> None:
        assert self._task is not None  # noqa: S101 - set on entering
        self._limit.expire(self._key, self._task, self._seconds, self._begun)


def _by_somebody_else(error: BaseException | None) -> bool:
    """Whether *error*, or what was being handled when it was raised, is a cancellation that is not a time limit's."""
    while error is not None:
        if isinstance(error, asyncio.CancelledError) and error.args != (_MESSAGE,):
            return True
        error = error.__context__
    return False
