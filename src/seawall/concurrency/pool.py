"""A pool of workers: items are put in, so many are worked on at once, and whoever puts faster than that waits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast

from seawall.concurrency.checks import whole
from seawall.concurrency.race import end
from seawall.problems import SeawallError

__all__ = ["PoolClosed", "PoolProgress", "WorkerPool"]

T = TypeVar("T")


class PoolClosed(SeawallError):
    """The pool has ended: nothing more can be put into it."""


@dataclass(frozen=True, slots=True)
class PoolProgress:
    """How far a pool is.

    Args:
        waiting: Items that have been put in, and not been begun.
        running: Items that are worked on.
        done: Items that went well.
        failed: Items that did not.
        cancelled: Items that were begun or waiting when the pool was cancelled.
    """

    waiting: int
    running: int
    done: int
    failed: int
    cancelled: int


class WorkerPool(Generic[T]):
    """Workers that call *function* with each item that is put in; every item is accounted for in `progress`.

    ::

        async with WorkerPool(send_mail, workers=8, queue=100) as pool:
            async for mail in mails:
                await pool.put(mail)

    At the end of the block everything that was put in has been worked on; where the block raises, or is cancelled, the
    workers are cancelled and waited for. For retries, give a function that has them (`seawall.resilience.Retry`). For
    results in order, see `gather`.

    Args:
        function: What to do with an item.
        workers: Items that are worked on at once.
        queue: Items that may wait; `put` waits while there are as many.
        on_error: Told of each item that failed, and why. Without it the first error ends the pool: it is raised where
            the block ends, and `put` refuses.

    Raises:
        DeclarationError: *workers* or *queue* is less than 1.
    """

    def __init__(
        self,
        function: Callable[[T], Awaitable[object]],
        *,
        workers: int,
        queue: int = 1000,
        on_error: Callable[[T, Exception], None] | None = None,
    ) -> None:
        self._function = function
        self._size = whole("WorkerPool", "queue", queue)
        self._count = whole("WorkerPool", "workers", workers)
        self._on_error = on_error
        self._items: deque[T] = deque()
        self._idle: deque[asyncio.Future[None]] = deque()
        self._putting: deque[asyncio.Future[None]] = deque()
        self._drained: asyncio.Future[None] | None = None
        self._workers: set[asyncio.Task[Any]] = set()
        self._running = self._done = self._failed = self._cancelled = 0
        self._error: Exception | None = None
        self._open = False

    @property
    def progress(self) -> PoolProgress:
        """How far it is now."""
        return PoolProgress(len(self._items), self._running, self._done, self._failed, self._cancelled)

    async def put(self, item: T) -> None:
        """Put *item* in; waits while the queue is full. Cancelled while it waits, it has not been put in.

        Raises:
            PoolClosed: The pool has ended, or has not begun.
        """
        while len(self._items) >= self._size and self._open:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._putting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    _wake(self._putting)  # the room is for somebody else
                raise
        if not self._open:
            raise PoolClosed("this pool does not run: put items in within its block") from self._error
        self._items.append(item)
        if self._idle:
            _wake(self._idle)

    async def put_all(self, items: Iterable[T]) -> None:
        """Put all of *items* in, taking each when there is room for it; as `put`."""
        waiting, size, idle = self._items, self._size, self._idle
        for item in items:
            if len(waiting) >= size or not self._open:
                await self.put(item)
            else:
                waiting.append(item)
                if idle:
                    _wake(idle)

    async def drain(self) -> None:
        """Wait until everything that has been put in has been worked on, or the pool has ended by an error."""
        while (self._items or self._running) and self._open:
            if self._drained is None or self._drained.done():
                self._drained = asyncio.get_running_loop().create_future()
            await asyncio.wait({self._drained})

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._open = True
        self._workers = {loop.create_task(self._work(), name="worker pool") for _ in range(self._count)}
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                await self.drain()
        finally:
            self._close()
            workers, self._workers = self._workers, set()
            try:
                await end(workers)
            finally:
                self._cancelled += len(self._items)
                self._items.clear()
        if self._error is not None and (error is None or isinstance(error, PoolClosed)):
            raise self._error

    async def _work(self) -> None:
        items, function, putting, size = self._items, self._function, self._putting, self._size
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        while True:
            while items:
                item = items.popleft()
                self._running += 1
                if putting and len(items) < size:
                    _wake(putting)
                try:
                    await function(item)
                    self._done += 1
                except Exception as error:  # noqa: BLE001 - whatever it is, it is told, or ends the pool
                    self._failed += 1
                    self._note(item, error)
                except BaseException as error:
                    self._cancelled += 1
                    # What the function itself was cancelled by ends this item, and not the worker.
                    if not isinstance(error, asyncio.CancelledError) or task.cancelling():
                        raise
                finally:
                    self._running -= 1
            if not self._running:
                self._tell()
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append(turn)
            await turn

    def _note(self, item: T, error: Exception) -> None:
        if self._on_error is not None:
            try:
                self._on_error(item, error)
                return
            except Exception as raised:  # noqa: BLE001 - it was told, and could not cope
                error = raised
        if self._error is None:
            self._error = error
        self._close()

    def _close(self) -> None:
        self._open = False
        for turn in self._putting:
            if not turn.done():
                turn.set_result(None)
        self._putting.clear()
        self._tell()

    def _tell(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)


def _wake(line: deque[asyncio.Future[None]]) -> None:
    """Give the turn to the first in *line* that is still there."""
    while line:
        turn = line.popleft()
        if not turn.done():
            turn.set_result(None)
            return
