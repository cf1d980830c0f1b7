"""Several calls for one answer: the first that goes well, or as many as are needed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

__all__ = ["QuorumFailed", "first_success", "quorum"]

T = TypeVar("T")


class QuorumFailed(ExceptionGroup[Exception]):
    """So many calls failed that what was needed cannot be had; it holds what they raised."""


async def first_success(*calls: Awaitable[T]) -> T:
    """Return the result of the first of *calls* that goes well; the others are cancelled and waited for.

    Args:
        calls: What to run side by side.

    Raises:
        ValueError: There is none.
        QuorumFailed: All of them failed.
    """
    return (await quorum(1, *calls))[0]


async def quorum(needed: int, /, *calls: Awaitable[T]) -> list[T]:
    """Return the results of the first *needed* calls that go well, in the order in which they came.

    As soon as they are there, or cannot be had any more, the other calls are cancelled and waited for.

    Args:
        needed: How many results are needed.
        calls: What to run side by side.

    Raises:
        ValueError: *needed* is less than 1, or more than there are calls.
        QuorumFailed: So many failed that there cannot be enough.
    """
    if not 1 <= needed <= len(calls):
        for call in calls:
            if asyncio.iscoroutine(call):
                call.close()
        raise ValueError(f"needed={needed!r} is not possible with {len(calls)} calls: write a number from 1 to that")
    loop = asyncio.get_running_loop()
    order = {loop.create_task(_run(call), name="quorum"): number for number, call in enumerate(calls)}
    running = set(order)
    results: list[T] = []
    errors: list[Exception] = []
    try:
        while len(results) < needed:
            if len(results) + len(running) < needed:
                raise QuorumFailed(f"{len(errors)} of {len(calls)} calls failed, and {needed} are needed", errors)
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(done, key=order.__getitem__):
                if task.cancelled():
                    errors.append(RuntimeError("a call was cancelled by somebody else"))
                elif (error := task.exception()) is None:
                    results.append(task.result())
                elif isinstance(error, Exception):
                    errors.append(error)
                else:
                    raise error
        return results[:needed]
    finally:
        await end(running)


async def end(tasks: set[asyncio.Task[Any]]) -> None:
    """Cancel *tasks* and wait until all of them have ended, however often this task is cancelled meanwhile."""
    for task in tasks:
        task.cancel()
    cancelled: asyncio.CancelledError | None = None
    while tasks:
        try:
            done, tasks = await asyncio.wait(tasks)
        except asyncio.CancelledError as again:
            cancelled = again
            done, tasks = {task for task in tasks if task.done()}, {task for task in tasks if not task.done()}
        for task in done:
            if not task.cancelled():
                task.exception()  # it lost: what became of it matters to nobody
    if cancelled is not None:
        raise cancelled


def _run(call: Awaitable[T]) -> Coroutine[Any, Any, T]:
    if asyncio.iscoroutine(call):
        return call

    async def wait() -> T:
        return await call

    return wait()
