"""A pool of workers: items are put in, so many are worked on at once, and whoever puts faster than that waits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

from seawall.concurrency.checks import whole
from seawall.concurrency.pool_results import Results, Ticket
from seawall.concurrency.race import end
from seawall.concurrency.retrying import retried
from seawall.concurrency.sources import Source, pour
from seawall.problems import SeawallError

if TYPE_CHECKING:
    from seawall.resilience import Retry, RetryEngine

__all__ = ["PoolClosed", "PoolProgress", "WorkerPool"]

T = TypeVar("T")
R = TypeVar("R")


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
        retried: Attempts besides the first one of each item.
    """

    waiting: int
    running: int
    done: int
    failed: int
    cancelled: int
    retried: int


class WorkerPool(Generic[T, R]):
    """Workers that call *function* with each item that is put in; every item is accounted for in `progress`.

    ::

        async with WorkerPool(send_mail, workers=8, queue=100) as pool:
            async for mail in mails:
                await pool.put(mail)

    At the end of the block everything that was put in has been worked on; where the block raises, or is cancelled, the
    workers are cancelled and waited for. `results` gives what *function* returns.

    Args:
        function: What to do with an item.
        workers: Items that are worked on at once.
        queue: Items that may wait; `put` waits while there are as many.
        on_error: Told of each item that failed, and why. Without it the first error ends the pool: it is raised where
            the block ends, and `put` refuses.
        retry: How an item that failed is tried again: a policy, or one at work that shares its budget with others
            (``resilience.engine("mails", Retry(idempotent=True))``). A worker waits between attempts, and so the pool
            slows down where much fails.

    Raises:
        DeclarationError: *workers* or *queue* is less than 1, or *retry* is no policy.
    """

    def __init__(
        self,
        function: Callable[[T], Awaitable[R]],
        *,
        workers: int,
        queue: int = 1000,
        on_error: Callable[[T, Exception], None] | None = None,
        retry: Retry | RetryEngine | None = None,
    ) -> None:
        self._attempts: int | None = None
        self._function = function if retry is None else retried("WorkerPool", self._counted(function), retry)
        self._size = whole("WorkerPool", "queue", queue)
        self._count = whole("WorkerPool", "workers", workers)
        self._on_error = on_error
        self._items: deque[T | Ticket] = deque()
        self._idle: deque[asyncio.Future[None]] = deque()
        self._putting: deque[asyncio.Future[None]] = deque()
        self._drained: asyncio.Future[None] | None = None
        self._workers: set[asyncio.Task[Any]] = set()
        self._feeders: set[asyncio.Task[None]] = set()
        self._results: set[Results] = set()
        self._running = self._done = self._failed = self._cancelled = 0
        self._error: Exception | None = None
        self._open = False

    @property
    def progress(self) -> PoolProgress:
        """How far it is now."""
        ended = self._done + self._failed + self._cancelled
        again = 0 if self._attempts is None else max(0, self._attempts - ended - self._running)
        return PoolProgress(len(self._items), self._running, self._done, self._failed, self._cancelled, again)

    async def put(self, item: T) -> None:
        """Put *item* in; waits while the queue is full. Cancelled while it waits, it has not been put in.

        Raises:
            PoolClosed: The pool has ended, or has not begun.
        """
        if self._open and len(self._items) < self._size:
            self._items.append(item)
            if self._idle:
                _wake(self._idle)
        else:
            await self._put(item)

    async def _put(self, item: T | Ticket) -> None:
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

    async def results(self, items: Source[T], *, ordered: bool = True) -> AsyncIterator[R]:
        """Put all of *items* in and give the results, while the block runs.

        No more than ``workers + queue`` items are in the pool, or done and not asked for: whoever iterates slowly is
        waited for. Items that failed and were told (*on_error*) are left out. Where the iteration ends early, what has
        not been begun is taken out of the pool; close the generator for that to happen at once (`contextlib.aclosing`).

        Args:
            items: What to work on; they are taken as there is room for them. A generator is closed at the end.
            ordered: Whether the results come in the order of the items; else as they are done.

        Raises:
            PoolClosed: The pool has not begun, or was cancelled.
            Exception: What ended the pool, or what *items* raised.
        """
        if not self._open:
            raise PoolClosed("this pool does not run: ask for results within its block") from self._error
        results = Results(self._count + self._size, ordered=ordered)
        self._results.add(results)
        feeder = asyncio.get_running_loop().create_task(self._feed(results, items), name="worker pool source")
        self._feeders.add(feeder)
        stream = aiter(results)
        try:
            async for result in stream:
                yield result
        finally:
            self._results.discard(results)
            self._feeders.discard(feeder)
            self._take_out(results)
            await end({feeder})

    async def _feed(self, results: Results, items: Source[T]) -> None:
        async def put(item: T) -> None:
            await self._put(await results.ticket(item))

        try:
            await pour(items, put)
        except Exception as error:  # noqa: BLE001 - it is raised where the results are asked for
            if results.error is None:
                results.error = error
        finally:
            results.over = True
            results.wake()

    def _take_out(self, results: Results) -> None:
        items = self._items
        kept = [item for item in items if not (isinstance(item, Ticket) and item.results is results)]
        if len(kept) < len(items):
            self._cancelled += len(items) - len(kept)
            items.clear()
            items.extend(kept)
            for _ in range(self._size - len(items)):
                _wake(self._putting)
            if not items and not self._running:
                self._tell()

    def cancel(self) -> None:
        """End the pool now: what is worked on is cancelled, what waits is not begun; the end of the block waits.

        `put` and `results` raise `PoolClosed` from then on.
        """
        self._close()
        for task in self._workers:
            task.cancel()

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
            workers, self._workers = {*self._workers, *self._feeders}, set()
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
                item: Any = items.popleft()
                ticket = None
                if type(item) is Ticket:
                    ticket, item = item, item.item
                self._running += 1
                if putting and len(items) < size:
                    _wake(putting)
                try:
                    result = await function(item)
                    self._done += 1
                    if ticket is not None:
                        ticket.done(result)
                except Exception as error:  # noqa: BLE001 - whatever it is, it is told, or ends the pool
                    self._failed += 1
                    self._note(item, error)
                    if ticket is not None:
                        ticket.done()
                except BaseException as error:
                    self._cancelled += 1
                    if ticket is not None:
                        ticket.done()
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

    def _counted(self, function: Callable[[T], Awaitable[R]]) -> Callable[[T], Awaitable[R]]:
        self._attempts = 0

        async def attempt(item: T) -> R:
            self._attempts = (self._attempts or 0) + 1
            return await function(item)

        return attempt

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
        for results in self._results:
            if results.error is None:
                results.error = self._error or PoolClosed("this pool was ended before all results had come")
            results.wake()
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
