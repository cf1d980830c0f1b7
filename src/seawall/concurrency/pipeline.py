"""Pipelines: items go through several functions, each with its own width, and no stage runs away from the next one.

Between two stages is a bounded channel, so a stage that is slow is waited for, back to the source. All tasks are those
of one group, which ends with the block it was opened in: an error, or the end of the block, cancels all stages at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

from seawall.concurrency.channel import Channel, ChannelClosed
from seawall.concurrency.checks import whole
from seawall.concurrency.retrying import retried
from seawall.concurrency.sources import Source, pour
from seawall.problems import DeclarationError

if TYPE_CHECKING:
    from seawall.resilience import Retry, RetryEngine

__all__ = ["Pipeline", "PipelineFlow", "StageProgress"]

T = TypeVar("T")
R = TypeVar("R")
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class _Stage:
    """One stage, as it was declared."""

    function: Callable[[Any], Awaitable[Any]]
    name: str
    width: int
    queue: int
    ordered: bool
    on_error: Callable[[Any, Exception], None] | None


class Pipeline(Generic[T, R]):
    """Functions one after the other, each for so many items at once. It is a value: `run` it as often as you like.

    ::

        orders = Pipeline(parse).then(price, width=8, retry=Retry(idempotent=True)).then(store, width=2)

        async with orders.run(lines) as stored:
            async for order in stored:
                ...

    Args:
        function: What the first stage does with each item.
        width: Items it works on at once.
        queue: Items that may wait for it; the stage before it waits while there are as many.
        ordered: Whether results leave it in the order in which items came to it. A result then waits for those before
            it, and its worker with it. Otherwise they leave as they are done.
        on_error: Told of each item that failed, and why; the item is left out. Without it the first error cancels every
            stage and is raised.
        retry: How an item that failed is tried again: a policy, or one at work.

    Raises:
        DeclarationError: *width* or *queue* is less than 1, or *retry* is no policy.
    """

    def __init__(
        self,
        function: Callable[[T], Awaitable[R]],
        *,
        width: int = 1,
        queue: int = 16,
        ordered: bool = True,
        on_error: Callable[[T, Exception], None] | None = None,
        retry: Retry | RetryEngine | None = None,
    ) -> None:
        name = getattr(function, "__qualname__", repr(function))
        where = f"stage {name}"
        if not callable(function):
            raise DeclarationError(f"Pipeline: {function!r} is no stage: write an async function of one item.")
        whole(where, "width", width)
        whole(where, "queue", queue)
        self._stages: tuple[_Stage, ...] = (
            _Stage(retried(where, function, retry), name, width, queue, ordered, on_error),
        )

    def then(
        self,
        function: Callable[[R], Awaitable[S]],
        *,
        width: int = 1,
        queue: int = 16,
        ordered: bool = True,
        on_error: Callable[[R, Exception], None] | None = None,
        retry: Retry | RetryEngine | None = None,
    ) -> Pipeline[T, S]:
        """Return this pipeline with one more stage; for the arguments see the class."""
        last = Pipeline(function, width=width, queue=queue, ordered=ordered, on_error=on_error, retry=retry)
        last._stages = (*self._stages, *last._stages)
        return cast("Pipeline[T, S]", last)

    def run(self, source: Source[T]) -> PipelineFlow[R]:
        """Let *source* through it: ``async with pipeline.run(source) as results:``, to be iterated over.

        Args:
            source: Where items come from; each is taken when there is room for it. A generator is closed at the end.

        Raises:
            Exception: At the end of the block: what *source*, or a stage without *on_error*, raised first.
        """
        return PipelineFlow(self._stages, source)

    async def collect(self, source: Source[T]) -> list[R]:
        """Let all of *source* through it and return what comes out.

        Raises:
            Exception: What *source*, or a stage without *on_error*, raised first.
        """
        async with self.run(source) as results:
            return [result async for result in results]

    def __str__(self) -> str:
        return " > ".join(f"{stage.name} ({stage.width})" for stage in self._stages)


@dataclass(frozen=True, slots=True)
class StageProgress:
    """How far a stage is.

    Args:
        name: Its function's name.
        waiting: Items that wait for it.
        running: Items it works on, those included whose result waits to leave it.
        done: Items that have left it.
        failed: Items that failed and were told.
    """

    name: str
    waiting: int
    running: int
    done: int
    failed: int


class PipelineFlow(Generic[R]):
    """A pipeline at work: made by `Pipeline.run`, used once."""

    def __init__(self, stages: tuple[_Stage, ...], source: Source[Any]) -> None:
        self._source = source
        self._results: Channel[Any] = Channel(stages[-1].queue)
        self._running: list[_Running] = []
        out: Callable[[Any], Awaitable[object]] = self._results.send
        for stage in reversed(stages):
            running = _Running(stage, out, self._running[0].inbox if self._running else self._results)
            self._running.insert(0, running)
            out = running.put
        self._group: asyncio.TaskGroup | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def progress(self) -> tuple[StageProgress, ...]:
        """How far each stage is."""
        return tuple(running.progress for running in self._running)

    async def __aenter__(self) -> Self:
        if self._group is not None:
            raise RuntimeError("a flow is used once: call run() again")
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        first = self._running[0]
        self._tasks.append(self._group.create_task(self._pour(first), name="pipeline source"))
        for running in self._running:
            for _ in range(running.stage.width):
                task = self._group.create_task(running.work(), name=f"pipeline {running.stage.name}")
                self._tasks.append(task)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._group is not None  # noqa: S101 - entered
        for task in self._tasks:
            task.cancel()
        try:
            await self._group.__aexit__(kind, error, trace)
        except BaseExceptionGroup as failures:
            # The stages are one piece of work to the caller, so it sees the error, not how it was run.
            raise failures.exceptions[0] from None

    def __aiter__(self) -> AsyncIterator[R]:
        return aiter(self._results)

    async def _pour(self, first: _Running) -> None:
        await pour(self._source, first.put)
        first.inbox.close()


class _Running:
    """A stage at work."""

    def __init__(self, stage: _Stage, out: Callable[[Any], Awaitable[object]], outbox: Channel[Any]) -> None:
        self.stage = stage
        self.inbox: Channel[tuple[int, Any]] = Channel(stage.queue)
        self._out = out
        self._outbox = outbox
        self._put = 0
        self._workers = stage.width
        self._running = self._done = self._failed = 0
        self._next = 0
        """The number of the item whose result may leave, where they leave in order."""
        self._turns: dict[int, asyncio.Future[None]] = {}

    @property
    def progress(self) -> StageProgress:
        return StageProgress(self.stage.name, len(self.inbox), self._running, self._done, self._failed)

    async def put(self, item: Any) -> None:
        """Let *item* wait for this stage. Items have numbers in the order in which they come into the channel."""
        entry, self._put = (self._put, item), self._put + 1
        if not self.inbox.try_send(entry):
            await self.inbox.send(entry)

    async def work(self) -> None:
        """Work on items until nothing more comes; the last worker tells the next stage."""
        ordered, out, inbox = self.stage.ordered, self._out, self.inbox
        while True:
            try:
                number, item = inbox.take() if inbox.ready else await inbox.receive()
            except ChannelClosed:
                break
            self._running += 1
            try:
                result = await self._result(item)
                if ordered and number != self._next:
                    await self._turn(number)
                if result is not _LEFT_OUT:
                    await out(result)
                    self._done += 1
                if ordered:
                    self._pass_on(number)
            finally:
                self._running -= 1
        self._workers -= 1
        if not self._workers:
            self._outbox.close()

    async def _result(self, item: Any) -> Any:
        stage = self.stage
        try:
            return await stage.function(item)
        except Exception as raised:  # noqa: BLE001 - whatever it is, it is told, or raised
            error = raised
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            error = RuntimeError("an item was cancelled by somebody else")
        if stage.on_error is None:
            raise error
        stage.on_error(item, error)
        self._failed += 1
        return _LEFT_OUT

    async def _turn(self, number: int) -> None:
        turn = self._turns[number] = asyncio.get_running_loop().create_future()
        await turn

    def _pass_on(self, number: int) -> None:
        self._next = number + 1
        turn = self._turns.pop(number + 1, None)
        if turn is not None and not turn.done():
            turn.set_result(None)


_LEFT_OUT: Any = object()
