"""Where items come from: what can be iterated over, waiting or not."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from typing import TypeVar

__all__ = ["Source", "pour"]

T = TypeVar("T")
Source = Iterable[T] | AsyncIterable[T]


async def pour(source: Source[T], put: Callable[[T], Awaitable[object]]) -> None:
    """Put each item of *source*, one after the other; a generator is closed at the end, whichever way that comes."""
    try:
        if isinstance(source, AsyncIterable):
            async for item in source:
                await put(item)
        else:
            for item in source:
                await put(item)
    finally:
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()
