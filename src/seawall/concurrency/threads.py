"""Work that does not wait, in threads: so many at once, in the caller's context, told when nobody waits any more.

Python cannot stop a thread. Who waits for one can be cancelled, by a deadline or by anybody else, and goes on at once;
the thread's place is given on when it has really ended, so that abandoned work is never more than there are places.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from seawall.call import current
from seawall.clock import Clock, SystemClock
from seawall.concurrency.checks import whole
from seawall.problems import DeadlineExceeded, SeawallError, Unavailable

__all__ = ["Threads", "ThreadsBusy", "ThreadsClosed", "should_stop"]

P = ParamSpec("P")
R = TypeVar("R")

_stop: contextvars.ContextVar[threading.Event | None] = contextvars.ContextVar("seawall_thread_stop", default=None)


class ThreadsBusy(Unavailable):
    """503: every thread works, and as much waits as may wait."""

    type = "urn:problem-type:seawall:threads-busy"
    title = "Too much to compute at once"
    guard = "threads"


class ThreadsClosed(SeawallError):
    """These threads have ended, or have not begun."""


def should_stop() -> bool:
    """Whether nobody waits any more for the work of this thread; long loops ask it now and then. False elsewhere."""
    stop = _stop.get()
    return stop is not None and stop.is_set()


class Threads:
    """Threads for work that computes or blocks: ``await threads.run(resize, picture)`` within ``async with``.

    For what computes in Python, threads keep the event loop answering but do not make it faster. At the end of the
    block running work is told to stop (`should_stop`) and waited for.

    Args:
        workers: Threads.
        queue: Work that may wait for one, first come, first served; more is refused.
        clock: By what deadlines pass.

    Raises:
        DeclarationError: *workers* is less than 1, or *queue* less than 0.
    """

    def __init__(self, workers: int, *, queue: int = 100, clock: Clock | None = None) -> None:
        self.workers = whole("Threads", "workers", workers)
        self._queue = whole("Threads", "queue", queue, least=0)
        self._monotonic = (clock or SystemClock()).monotonic
        self._executor: ThreadPoolExecutor | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._line: deque[asyncio.Future[None]] = deque()
        self._stops: set[threading.Event] = set()
        self._ended: asyncio.Future[None] | None = None
        self.running = 0
        """How many threads work, abandoned ones among them."""

    @property
    def waiting(self) -> int:
        """How much work waits for a thread."""
        return len(self._line)

    async def run(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call *function* in a thread, under a copy of the caller's context, and return its result.

        Raises:
            ThreadsBusy: Too much waits already.
            DeadlineExceeded: The deadline of the call being served has passed; *function* was not called.
            ThreadsClosed: It is used outside of its block.
            Exception: What *function* raised.
        """
        await self._place()
        try:
            call = current.get(None)
            if call is not None and call.deadline is not None and call.deadline <= self._monotonic():
                raise DeadlineExceeded("No time was left to begin.")
            if self._executor is None:
                raise ThreadsClosed("these threads do not run: use them within their block")
            stop = threading.Event()
            context = contextvars.copy_context()
            context.run(_stop.set, stop)
            work = self._executor.submit(context.run, functools.partial(function, *args, **kwargs))
        except BaseException:
            self._leave()
            raise
        self._stops.add(stop)
        work.add_done_callback(functools.partial(self._done_in_thread, stop))
        try:
            return await asyncio.wrap_future(work)
        except asyncio.CancelledError:
            stop.set()
            raise

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._executor = ThreadPoolExecutor(self.workers, thread_name_prefix="seawall")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        executor, self._executor = self._executor, None
        while self._line:
            turn = self._line.popleft()
            if not turn.done():
                turn.set_exception(ThreadsClosed("these threads have ended"))
        for stop in self._stops:
            stop.set()
        try:
            while self.running:
                self._ended = asyncio.get_running_loop().create_future()
                await self._ended
        finally:
            if executor is not None:
                executor.shutdown(wait=False, cancel_futures=True)

    async def _place(self) -> None:
        if self._executor is None:
            raise ThreadsClosed("these threads do not run: use them within their block")
        if self.running < self.workers:
            self.running += 1
            return
        if len(self._line) >= self._queue:
            raise ThreadsBusy(headers={"retry-after": "1"})
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn in self._line:
                self._line.remove(turn)
            elif not turn.cancelled() and turn.exception() is None:
                self._leave()
            raise

    def _leave(self) -> None:
        """Give the place to who has waited longest."""
        while self._line:
            turn = self._line.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.running -= 1
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    def _done_in_thread(self, stop: threading.Event, _work: Future[Any]) -> None:
        assert self._loop is not None  # noqa: S101 - set on entering
        with contextlib.suppress(RuntimeError):  # the loop is gone, and who waited with it
            self._loop.call_soon_threadsafe(self._done, stop)

    def _done(self, stop: threading.Event) -> None:
        self._stops.discard(stop)
        self._leave()
