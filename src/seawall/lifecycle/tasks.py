"""Background work: named, supervised, counted, and ended before what it works with is closed."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal

import msgspec

from seawall.call import current
from seawall.clock import Clock, Random
from seawall.lifecycle.budget import TASKS_UNTIL, Budget
from seawall.problems import Unavailable

__all__ = ["BackgroundTask", "Backoff", "Restart", "TaskCounts", "TaskState", "Tasks", "Work"]

Restart = Literal["never", "on-failure", "always"]
Work = Callable[[], Awaitable[Any]]

logger = logging.getLogger("seawall.tasks")


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before work is started again: longer each time it fails soon, and never in step with others.

    The wait doubles (*factor*) up to *most*, and half of it is left to chance ("equal jitter", after Brooker's
    "Exponential Backoff And Jitter"). Work that has run for longer than *most* begins anew with *first*.

    Args:
        first: Seconds before the first restart.
        most: Seconds at the most.
        factor: By how much the wait grows; 1 to 10.

    Raises:
        ValueError: A number is not possible.
    """

    first: float = 0.5
    most: float = 30.0
    factor: float = 2.0

    def __post_init__(self) -> None:
        if not (0 < self.first <= self.most and 1 <= self.factor <= 10):
            raise ValueError(f"{self}: 0 < first <= most and 1 <= factor <= 10 must hold")

    def delay(self, failures: int, random: Random) -> float:
        """Return the seconds to wait after *failures* in a row, at least one."""
        grown = min(self.most, self.first * self.factor ** min(failures - 1, 64))
        return grown * (1 + random.random()) / 2


class TaskState(StrEnum):
    """Where a background task stands."""

    WAITING = "waiting"
    """It has not begun, or is about to be started again."""
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"
    CUT = "cut"
    """It had not ended when the service had no time left."""


@dataclass(frozen=True, slots=True)
class TaskCounts:
    """What has become of background work since the service started.

    Args:
        running: Tasks that have not ended, those about to be restarted included.
        finished: Runs that ended well.
        failed: Runs that ended with an exception.
        restarted: Runs that were started again.
        cancelled: Tasks that were cancelled by their owner.
        cut: Tasks that had not ended when the service had no time left.
    """

    running: int = 0
    finished: int = 0
    failed: int = 0
    restarted: int = 0
    cancelled: int = 0
    cut: int = 0


class BackgroundTask:
    """One piece of background work.

    Args:
        name: What it is called.
        origin: The request id of the call that started it; None outside a call.
    """

    def __init__(self, name: str, origin: str | None) -> None:
        self.name = name
        self.origin = origin
        self.state = TaskState.WAITING
        self.restarts = 0
        self.error: Exception | None = None
        """What its last run failed with."""
        self._ended = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<BackgroundTask {self.name!r} {self.state}>"

    def cancel(self) -> None:
        """Cancel it; it is not started again."""
        if self._task is not None:
            self._task.cancel()

    async def wait(self) -> None:
        """Wait until it has ended for good, however that was."""
        await self._ended.wait()


@dataclass(frozen=True, slots=True)
class _Order:
    task: BackgroundTask
    work: Work | Coroutine[Any, Any, Any]
    restart: Restart
    backoff: Backoff
    context: contextvars.Context

    def discard(self) -> None:
        if inspect.iscoroutine(self.work):
            self.work.close()
        self.task.state = TaskState.CANCELLED
        self.task._ended.set()  # noqa: SLF001 - a task and its owner


class Tasks:
    """The background work of one service.

    Args:
        clock: Measures how long work ran.
        random: Spreads restarts.
        limit: Tasks that may run at once.
    """

    def __init__(self, clock: Clock, random: Random, limit: int = 10_000) -> None:
        self._clock = clock
        self._random = random
        self._limit = limit
        self._live: dict[asyncio.Task[None], BackgroundTask] = {}
        self._queued: list[_Order] | None = None
        self._open = False
        self._draining = asyncio.Event()
        self._counts = TaskCounts()
        self.around: Callable[[str], contextlib.AbstractContextManager[object]] = contextlib.nullcontext
        """Goes around each run of a task, by the task's name."""

    @property
    def counts(self) -> TaskCounts:
        """What has become of background work since the service started."""
        return replace(self._counts, running=len(self._live) + len(self._queued or ()))

    @property
    def live(self) -> tuple[BackgroundTask, ...]:
        """The tasks that have not ended, the oldest first."""
        return (*self._live.values(), *(order.task for order in self._queued or ()))

    @property
    def draining(self) -> bool:
        """Whether background work is asked to come to its end."""
        return self._draining.is_set()

    async def stopping(self) -> None:
        """Wait until background work is asked to come to its end: no call runs then, and resources are still open."""
        await self._draining.wait()

    async def pause(self, seconds: float) -> bool:
        """Wait for *seconds*, or until the service stops; return whether to go on.

        ::

            while await service.tasks.pause(60):
                await tidy_up()
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._draining.wait()
        return not self._draining.is_set()

    def start(
        self,
        work: Work | Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        restart: Restart = "never",
        backoff: Backoff | None = None,
    ) -> BackgroundTask:
        """Begin *work* beside the calls, and return at once.

        Started inside a call, it outlives the call: `current_call` still tells which one it was, without its
        deadline. Started while resources are still starting, it begins once all of them have.

        Args:
            work: A coroutine, or a function without parameters that returns one.
            name: What it is called in the log; the function's name by default.
            restart: When to start it again; a coroutine runs once.
            backoff: How long to wait before that.

        Raises:
            RuntimeError: The service does not run, or has begun to close what the work would need.
            Unavailable: Too much background work is running.
            ValueError: A coroutine cannot be started again; or there is no such *restart*.
        """
        try:
            return self._start(work, name, restart, backoff or Backoff())
        except BaseException:
            if inspect.iscoroutine(work):
                work.close()  # nobody else knows that it will not be awaited
            raise

    def _start(
        self, work: Work | Coroutine[Any, Any, Any], name: str | None, restart: Restart, backoff: Backoff
    ) -> BackgroundTask:
        name = name or str(getattr(work, "__qualname__", None) or type(work).__name__)
        if restart not in ("never", "on-failure", "always"):
            raise ValueError(f"background task {name}: restart={restart!r} is none of never, on-failure, always")
        if restart != "never" and inspect.iscoroutine(work):
            raise ValueError(f"background task {name}: a coroutine runs once; give the function, not what it returns")
        if not self._open or self._draining.is_set():
            why = "is stopping" if self._open else "does not run"
            raise RuntimeError(
                f"background task {name}: the service {why}. Start it from an operation or a resource, or declare it "
                "with @service.background."
            )
        if len(self._live) + len(self._queued or ()) >= self._limit:
            raise Unavailable("Too much background work is running.", headers={"retry-after": "1"})
        origin, context = _origin()
        order = _Order(BackgroundTask(name, origin), work, restart, backoff, context)
        if self._queued is None:
            self._launch(order)
        else:
            self._queued.append(order)
        return order.task

    # -- for the lifecycle

    def open(self) -> None:
        """Accept work, and keep it until `begin`."""
        self._counts = TaskCounts()
        self._draining = asyncio.Event()
        self._queued = []
        self._open = True

    def begin(self) -> None:
        """Start what was kept, and from now on whatever comes."""
        queued, self._queued = self._queued or [], None
        for order in queued:
            self._launch(order)

    async def drain(self, budget: Budget) -> list[str]:
        """Ask all work to come to its end, cancel what does not in time, and return the names of what was cut."""
        self._draining.set()
        late = await budget.wait(self._live, budget.left(TASKS_UNTIL))
        names = sorted(self._live[each].name for each in late)
        for each in late:
            self._live[each].state = TaskState.CUT
            each.cancel()
        if late:
            logger.warning("cancelling %d background tasks that have not ended in time: %s", len(late), _some(names))
            _, stuck = await asyncio.wait(late, timeout=budget.patience)
            if stuck:
                left = sorted(each.get_name() for each in stuck)
                logger.error("%d background tasks do not end when they are cancelled: %s", len(stuck), _some(left))
        self._open = False
        return names

    def close(self) -> None:
        """Take no more work, and forget what never began."""
        self._open = False
        queued, self._queued = self._queued or [], None
        for order in queued:
            order.discard()

    # -- its own

    def _launch(self, order: _Order) -> None:
        task = order.task
        running = asyncio.get_running_loop().create_task(
            self._supervise(order), name=f"background {task.name}", context=order.context
        )
        task._task = running  # noqa: SLF001 - a task and its owner
        self._live[running] = task
        running.add_done_callback(self._ended)

    def _ended(self, running: asyncio.Task[None]) -> None:
        task = self._live.pop(running)
        if task.state is TaskState.CUT:
            self._count(cut=1)
        elif running.cancelled():
            task.state = TaskState.CANCELLED
            self._count(cancelled=1)
        task._ended.set()  # noqa: SLF001 - a task and its owner

    async def _supervise(self, order: _Order) -> None:
        task, soon = order.task, 0
        while True:
            began = self._clock.monotonic()
            task.state = TaskState.RUNNING
            failed = await self._run(order)
            if task.state is TaskState.CUT:
                return
            task.state = TaskState.FAILED if failed else TaskState.FINISHED
            lasted = self._clock.monotonic() - began
            soon = soon + 1 if failed and lasted < order.backoff.most else 1
            again = order.restart == "always" or (order.restart == "on-failure" and failed)
            delay = order.backoff.delay(soon, self._random) if again and not self.draining else None
            self._tell(task, delay)
            if delay is None:
                return
            ended, task.state = task.state, TaskState.WAITING
            if not await self.pause(delay):
                task.state = ended
                return
            task.restarts += 1
            self._count(restarted=1)

    async def _run(self, order: _Order) -> bool:
        """Run the work once; return whether it failed."""
        me = asyncio.current_task()
        asked = me.cancelling() if me else 0
        try:
            with self.around(order.task.name):
                await (order.work if inspect.iscoroutine(order.work) else order.work())  # type: ignore[operator]
        except asyncio.CancelledError as error:
            if me is None or me.cancelling() > asked:
                raise
            # Not this task was cancelled, but something it waited for.
            order.task.error = RuntimeError(f"what it waited for was cancelled: {error}")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the work's own
            order.task.error = error
        else:
            self._count(finished=1)
            return False
        self._count(failed=1)
        return True

    def _tell(self, task: BackgroundTask, delay: float | None) -> None:
        if task.state is TaskState.FAILED:
            then = "" if delay is None else f"; it starts again in {delay:.1f} s"
            logger.error("background task %s failed%s", task.name, then, exc_info=task.error)

    def _count(self, **more: int) -> None:
        counts = self._counts
        self._counts = replace(counts, **{name: getattr(counts, name) + value for name, value in more.items()})


def _origin() -> tuple[str | None, contextvars.Context]:
    """Return the id of the current call, and a context in which that call is current without its deadline."""
    context = contextvars.copy_context()
    call = current.get(None)
    if call is None:
        return None, context
    # The work outlives the call: its deadline is not the work's, and its answer is about to be sent.
    context.run(current.set, msgspec.structs.replace(call, deadline=None, ended="", fields=None, outer=None))
    return call.request_id, context


def _some(names: list[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
