"""Nothing left behind, and nobody waiting for ever: tasks, locks and permits at the end of a block of a test."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator
from typing import Any

from seawall.clock import SystemClock
from seawall.profiling.deadlocks import Wait
from seawall.profiling.locks import LockReport, LockView, describe_locks, find_circles, find_locks
from seawall.profiling.stacks import Place, short_path, source_line
from seawall.profiling.tasks import await_chain
from seawall.testing.clock import keeps_manual_time

__all__ = ["Deadlocked", "Leaked", "no_leaks"]

_CLOCK = SystemClock()
_TURNS = 50
"""Turns of the event loop that tasks have for their end, once the block is over."""


class Leaked(AssertionError):
    """Tasks, locks or permits of the block were left when it ended."""


class Deadlocked(AssertionError):
    """Tasks waited for each other, and would have for ever."""


@contextlib.asynccontextmanager
async def no_leaks(*, patience: float = 0.0, look_every: float = 1.0) -> AsyncGenerator[None]:
    """Fail if the block leaves a task running or a lock held that was not there before, or is in a deadlock.

    Seen are the locks of `seawall.concurrency`, whose holders are known, and those of asyncio. While the block runs, it
    is looked all *look_every* seconds whether tasks wait for each other; if they still do at the next look,
    `Deadlocked` is raised where one of them waits. A `ManualClock` says so by itself.

    Args:
        patience: Seconds that tasks have for their end, once the block is over; a few turns of the loop by default.
        look_every: Seconds between looks for deadlocks.

    Raises:
        Leaked: Something was left; it says what, with stacks.
        Deadlocked: Tasks waited for each other; it says which, for what, with stacks.
    """
    tasks, locks = asyncio.all_tasks(), {view.kind: _held(view) for view in _look().locks}
    watch = _Watch(look_every)
    try:
        yield
    except asyncio.CancelledError:
        watch.settle()
        raise
    finally:
        watch.end()
    watch.check()
    await _settle(tasks, patience)
    left = _others(tasks)
    held = [view for view in _look().locks if _grown(_held(view), locks.get(view.kind))]
    if left or held:
        raise Leaked(_told(left, held))


class _Watch:
    """Looks for deadlocks now and then, and ends the one that it finds twice."""

    def __init__(self, every: float) -> None:
        self._every = every
        self._task = asyncio.current_task()
        self._cancelled = False
        self._before: list[Any] = []
        self._found = ""
        self._timer = None if keeps_manual_time() else _CLOCK.call_later(every, self._look)

    def _look(self) -> None:
        circles = find_circles(find_locks())
        for circle in circles:
            if circle in self._before:
                self._found = "\n".join(_look().deadlock_lines())
                if not _break(circle, Deadlocked(self._found)) and self._task is not None and not self._cancelled:
                    self._cancelled = self._task.cancel()
        self._before = circles
        self._timer = _CLOCK.call_later(self._every, self._look)

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def settle(self) -> None:
        """Turn the cancellation of the block into the error that it is for, if it is ours."""
        if self._cancelled and self._task is not None:
            self._task.uncancel()
            self.check()

    def check(self) -> None:
        if self._found:
            raise Deadlocked(self._found)


def _break(circle: list[Wait], error: Deadlocked) -> bool:
    """Raise *error* where one of the tasks waits for a lock; return whether one does, and not only for a task."""
    for wait in circle:
        waiter = getattr(wait.task, "_fut_waiter", None)
        if isinstance(waiter, asyncio.Future) and not isinstance(waiter, asyncio.Task) and not waiter.done():
            waiter.set_exception(error)
            return True
    return False


def _look() -> LockReport:
    return describe_locks(find_locks(), _CLOCK.monotonic, 0.0)


async def _settle(before: set[asyncio.Task[Any]], patience: float) -> None:
    end, turns = _CLOCK.monotonic() + patience, 0
    while _others(before):
        turns += 1
        if turns > _TURNS and _CLOCK.monotonic() >= end:
            return
        await _CLOCK.sleep(0 if turns <= _TURNS else 0.01)


def _others(before: set[asyncio.Task[Any]]) -> list[asyncio.Task[Any]]:
    """Return the tasks that were not there *before*, but for those with which pytest's plugin runs a test."""
    return [task for task in asyncio.all_tasks() - before if not _is_runner(task)]


def _is_runner(task: asyncio.Task[Any]) -> bool:
    return "TestRunner." in getattr(task.get_coro(), "__qualname__", "")


def _held(view: LockView) -> tuple[float, float]:
    """Return how many hold a lock and how little of it is free: what may not grow."""
    return len(view.holders) + (view.unknown or 0), -view.free


def _grown(after: tuple[float, float], before: tuple[float, float] | None) -> bool:
    held, full = before or (0, -math.inf)
    return bool(after[0]) and (after[0] > held or after[1] > full)


def _told(tasks: list[asyncio.Task[Any]], locks: list[LockView]) -> str:
    lines = [f"{len(tasks)} tasks and {len(locks)} locks were left behind"]
    for task in sorted(tasks, key=lambda each: each.get_name()):
        lines.append(f"task {task.get_name()}")
        for frame in await_chain(task):
            place = Place(frame.f_code.co_qualname, frame.f_code.co_filename, frame.f_lineno or 0)
            lines.append(f"    {short_path(place.file)}:{place.line} in {place.name}: {source_line(place)}")
    for view in locks:
        lines.append(f"{view.kind}: {view.free} free, {view.waiting} waiting")
        lines += [f"    held by {party}" for party in view.holders]
        if view.unknown:
            lines.append(f"    held by {view.unknown} of whom nothing is known (acquire() without `async with`)")
    return "\n".join(lines)
