"""fan_out: several awaitables at once, their results as the fields of one value."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["fan_out"]

T = TypeVar("T")


async def fan_out(make: Callable[..., T], /, **parts: Awaitable[Any]) -> T:
    """Run *parts* side by side and return ``make(**results)``.

    All of them belong to one task group: when one fails the others are cancelled, and the call's deadline or
    cancellation reaches every one.

    ::

        return await fan_out(Dashboard, users=users.stats(), orders=orders.stats())

    Args:
        make: A type, or any function, that takes the results by name.
        parts: What to run; the names are the fields.

    Raises:
        Exception: What the first part to fail raised, as it raised it.
    """
    tasks: dict[str, asyncio.Task[Any]] = {}
    try:
        async with asyncio.TaskGroup() as group:
            for name, part in parts.items():
                tasks[name] = group.create_task(_run(part), name=f"fan_out {name}")
    except BaseExceptionGroup as failures:
        # The parts are one piece of work to the caller, so it sees the error, not how it was run.
        raise failures.exceptions[0] from None
    return make(**{name: task.result() for name, task in tasks.items()})


def _run(part: Awaitable[Any]) -> Coroutine[Any, Any, Any]:
    if asyncio.iscoroutine(part):
        return part

    async def wait() -> Any:
        return await part

    return wait()
