"""Virtual time and scripted chance: tests that wait for hours and take milliseconds.

`ManualClock` brings an event loop of its own whose time is the clock's. When every task waits, the loop
asks its selector how long the next timer is away; the selector moves the clock by that much instead of
blocking. So everything that runs on the loop keeps virtual time: `asyncio.sleep`, timeouts, other people's
libraries. (The idea is trio's ``MockClock`` with autojump.)::

    clock = ManualClock()
    with asyncio.Runner(loop_factory=clock.loop_factory) as runner:
        runner.run(expires_after_an_hour(clock))  # returns at once
"""

from __future__ import annotations

import asyncio
import inspect
import math
import selectors
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

from seawall.clock import SystemClock, Timer

__all__ = ["ManualClock", "ManualRandom", "keeps_manual_time"]

_REAL = SystemClock()
_WALL_START = datetime(2026, 1, 1, tzinfo=UTC)
_NOTICE_SECONDS = 0.01
"""Real seconds after which a loop with ``autojump=False`` looks whether the clock was advanced."""


class ManualClock:
    """A clock that only moves when told to, or when every task of its loop waits.

    It implements the `Clock` port. `sleep` and `call_later` need the clock's own event loop, which
    `loop_factory` makes.

    Time that jumps is not for tests that wait for real threads, processes or sockets under a timeout: the
    timeout comes before the answer. Give such a test a *threshold*, or ``autojump=False``.

    Args:
        start: What `monotonic` says at first, in seconds. Not 0, so that code that takes 0 for 'never' is
            treated as a real clock treats it.
        wall: What `time` says at first; an aware datetime. 2026-01-01T00:00:00Z unless given.
        autojump: Whether time jumps to the next timer when every task waits. Otherwise only `advance` moves
            it.
        threshold: Real seconds for which nothing may have happened before time jumps.
        patience: Real seconds to wait for threads or sockets when nothing is due, before the loop gives up
            with an error that names the tasks.
        max_jumps: How often time may jump in one loop before it gives up: something sleeps for ever, or
            repeats itself while the test waits for what never comes.

    Raises:
        ValueError: *start*, *threshold* or *patience* is negative or not finite, or *wall* is naive.
    """

    def __init__(
        self,
        *,
        start: float = 1000.0,
        wall: datetime = _WALL_START,
        autojump: bool = True,
        threshold: float = 0.0,
        patience: float = 5.0,
        max_jumps: int = 1_000_000,
    ) -> None:
        if wall.tzinfo is None:
            raise ValueError(f"wall={wall!r} has no time zone: write datetime(…, tzinfo=UTC)")
        self.autojump = autojump
        self.threshold = _duration("threshold", threshold)
        self.patience = _duration("patience", patience)
        self.max_jumps = max_jumps
        self._now = _duration("start", start)
        self._wall_offset = wall.timestamp() - start
        # With autojump=False the clock is often advanced from another thread than the loop's.
        self._lock = threading.Lock()

    def monotonic(self) -> float:
        """Return seconds that never go back; the time of the clock's loop too."""
        return self._now

    def time(self) -> float:
        """Return seconds since 1970-01-01T00:00:00Z by the wall clock."""
        return self._now + self._wall_offset

    async def sleep(self, seconds: float) -> None:
        """Wait for *seconds* of this clock; less than or equal to zero yields once.

        Raises:
            RuntimeError: The running event loop is not this clock's.
        """
        self._own_loop()
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Run *callback* once *seconds* of this clock have passed.

        Raises:
            RuntimeError: The running event loop is not this clock's.
        """
        return self._own_loop().call_later(seconds, callback)

    def advance(self, seconds: float) -> None:
        """Move the time forward, from any thread. What became due runs when the loop next comes round.

        Timers see the time after the whole step, as after a pause of the machine. To live through a span
        timer by timer, use ``await clock.sleep(seconds)`` with autojump.

        Raises:
            ValueError: *seconds* is negative or not finite.
        """
        _duration("seconds", seconds)
        with self._lock:
            now = self._now + seconds
            # asyncio runs the timers that are due before 'now + 1 ns'. After some 100 days floats are coarser
            # than that, and a timer due at exactly 'now' would never run: go one step past it.
            self._now = now if now + 1e-9 > now else math.nextafter(now, math.inf)

    def shift_wall(self, seconds: float) -> None:
        """Move the wall clock alone, forward or back, as a time server's correction does.

        Raises:
            ValueError: *seconds* is not finite.
        """
        if not math.isfinite(seconds):
            raise ValueError(f"seconds={seconds!r} is not finite")
        self._wall_offset += seconds

    def loop_factory(self) -> asyncio.AbstractEventLoop:
        """Return a new event loop that keeps this clock's time.

        For ``asyncio.Runner(loop_factory=…)``, and for the anyio pytest plugin as the backend
        ``("asyncio", {"loop_factory": clock.loop_factory})``.
        """
        return _ManualLoop(self)

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, _ManualLoop) or loop.clock is not self:
            raise RuntimeError(
                f"this ManualClock does not rule the running event loop ({type(loop).__name__}): run the test with "
                "asyncio.Runner(loop_factory=clock.loop_factory), or take the fixtures of seawall.testing.fixtures"
            )
        return loop


class ManualRandom:
    """Chance as a script: implements the `Random` port by giving the values it was given, in order.

    For chance that is merely repeatable, `SystemRandom` takes a seed.

    Args:
        values: Numbers in [0, 1).

    Raises:
        ValueError: A value is not in [0, 1).
    """

    def __init__(self, *values: float) -> None:
        for value in values:
            if not 0 <= value < 1:
                raise ValueError(f"{value!r} is not in [0, 1)")
        self._given = len(values)
        self._values = list(reversed(values))

    def random(self) -> float:
        """Return the next value.

        Raises:
            LookupError: All have been drawn.
        """
        if not self._values:
            raise LookupError(f"chance was asked more often than the {self._given} times that were scripted")
        return self._values.pop()

    def getrandbits(self, bits: int) -> int:
        """Return the next value, stretched to *bits* bits: 0.5 gives the highest bit alone.

        Raises:
            LookupError: All have been drawn.
        """
        return int(self.random() * (1 << bits))


def keeps_manual_time() -> bool:
    """Whether the running event loop is that of a `ManualClock`."""
    return isinstance(asyncio.get_running_loop(), _ManualLoop)


class _ManualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is a manual clock's."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        super().__init__(_JumpingSelector(clock, self))

    def time(self) -> float:
        return self.clock.monotonic()

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109, ARG002 - asyncio's signature
        """Wait for threads without a limit: they run in real time, and a limit here would pass at once."""
        await super().shutdown_default_executor()


class _JumpingSelector(selectors.DefaultSelector):
    """A selector that, instead of blocking until a timer is due, moves the clock there."""

    def __init__(self, clock: ManualClock, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._clock = clock
        self._loop = loop
        self._jumps = 0
        self._idle_since: float | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; see the class for what happens when nothing is."""
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            self._idle_since = None
            return ready
        if timeout is None:
            return self._wait(self._clock.patience) or self._give_up()
        if self._clock.autojump:
            return (self._wait(self._clock.threshold) if self._clock.threshold else []) or self._jump(timeout)
        return self._stand_still()

    def _wait(self, seconds: float) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(seconds)

    def _jump(self, seconds: float) -> list[tuple[selectors.SelectorKey, int]]:
        self._jumps += 1
        if self._jumps > self._clock.max_jumps:
            # A new allowance, or the tasks could not be cancelled and cleaned up after the error.
            self._jumps = 0
            raise RuntimeError(
                f"time jumped {self._clock.max_jumps} times and the test still waits: something sleeps for ever, or "
                f"repeats itself while the test waits for what never comes. {self._waiting()}"
            )
        self._clock.advance(seconds)
        return []

    def _stand_still(self) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait a little for `advance`; give up once it has not come for as long as the clock's patience."""
        ready = self._wait(_NOTICE_SECONDS)
        now = _REAL.monotonic()
        if ready:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now
        elif now - self._idle_since > self._clock.patience:
            self._idle_since = None
            raise RuntimeError(
                f"every task waits for time to pass, and nobody advanced the clock for {self._clock.patience:g} s "
                f"(autojump is off). {self._waiting()}"
            )
        return ready

    def _give_up(self) -> list[tuple[selectors.SelectorKey, int]]:
        raise RuntimeError(
            f"every task waits for something that never comes: no timer is set, and nothing happened for "
            f"{self._clock.patience:g} s. {self._waiting()}{_deadlocks()}"
        )

    def _waiting(self) -> str:
        tasks = sorted(asyncio.all_tasks(self._loop), key=lambda task: task.get_name())
        return "Waiting: " + ("; ".join(map(_describe, tasks)) or "no task")


def _deadlocks() -> str:
    """Return which tasks wait for each other, and for what; empty where none do."""
    from seawall.profiling.locks import describe_locks, find_locks  # noqa: PLC0415 - for tests that hang

    return "\n".join(describe_locks(find_locks(), _REAL.monotonic, 0.0).deadlock_lines())


def _describe(task: asyncio.Task[Any]) -> str:
    """Return a task's name and the coroutines it waits in, the outermost first."""
    chain: list[str] = []
    awaited: Any = task.get_coro()
    while inspect.iscoroutine(awaited):
        if (frame := awaited.cr_frame) is not None:
            place = f"{PurePath(frame.f_code.co_filename).name}:{frame.f_lineno}"
            chain.append(f"{frame.f_code.co_qualname} ({place})")
        awaited = awaited.cr_await
    return f"{task.get_name()}: {' > '.join(chain)}"


def _duration(name: str, seconds: float) -> float:
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError(f"{name}={seconds!r} must be a finite number of seconds, 0 or more")
    return seconds
