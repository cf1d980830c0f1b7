"""gather: one function over many items, so many at once, the results in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from seawall.concurrency.checks import whole

__all__ = ["gather"]

T = TypeVar("T")
R = TypeVar("R")
_MISSING: Any = object()


async def gather(function: Callable[[T], Awaitable[R]], items: Iterable[T], *, limit: int) -> list[R]:
    """Call *function* with each of *items*, at most *limit* at once, and return the results in the items' order.

    An item is taken when there is room for it, so that *items* may be a generator. When a call fails the others are
    cancelled and waited for.

    Args:
        function: What to call.
        items: What to call it with.
        limit: Calls at once.

    Raises:
        DeclarationError: *limit* is less than 1.
        Exception: What the first call to fail raised, as it raised it.
    """
    whole("gather", "limit", limit)
    results: list[R] = []
    iterator = iter(items)

    async def work() -> None:
        for item in iterator:
            number = len(results)
            results.append(_MISSING)
            results[number] = await function(item)

    try:
        async with asyncio.TaskGroup() as group:
            length = getattr(items, "__len__", None)
            for _ in range(limit if length is None else min(limit, length())):
                group.create_task(work(), name="gather")
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    if any(result is _MISSING for result in results):
        raise asyncio.CancelledError("a call was cancelled by somebody else")
    return results
