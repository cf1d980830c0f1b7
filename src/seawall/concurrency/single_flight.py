"""Single flight: whoever asks for what is being fetched already waits for that (Go, x/sync/singleflight)."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Generic, TypeVar

__all__ = ["SingleFlight"]

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class _Flight:
    __slots__ = ("task", "waiting")

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self.task = task
        self.waiting = 0


class SingleFlight(Generic[K, T]):
    """At most one call at a time for each key; all who ask meanwhile get its result, or its error.

    The call runs in a task of its own, in an empty context: no caller's deadline, trace or cancellation is that of the
    others. It ends with its last caller: when all have been cancelled, it is cancelled and waited for.
    """

    def __init__(self) -> None:
        self._flights: dict[K, _Flight] = {}

    def __len__(self) -> int:
        """How many calls are under way."""
        return len(self._flights)

    async def run(self, key: K, function: Callable[[], Awaitable[T]]) -> T:
        """Return what *function* returns, or what the call for *key* that is under way does.

        Raises:
            Exception: What the call raised, the same to all who waited for it.
        """
        flight = self._flights.get(key)
        if flight is None:
            flight = self._start(key, function)
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        except asyncio.CancelledError:
            if flight.waiting == 1 and not flight.task.done():
                # The last one leaves, so that nobody joins what is about to end.
                self._forget(key, flight)
                flight.task.cancel()
                await _ended(flight.task)
            raise
        finally:
            flight.waiting -= 1

    def _start(self, key: K, function: Callable[[], Awaitable[T]]) -> _Flight:
        async def fly() -> T:
            try:
                return await function()
            finally:
                self._forget(key, flight)

        loop = asyncio.get_running_loop()
        flight = _Flight(loop.create_task(fly(), name=f"single flight {key!r}", context=contextvars.Context()))
        self._flights[key] = flight
        return flight

    def _forget(self, key: K, flight: _Flight) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]


async def _ended(task: asyncio.Task[Any]) -> None:
    """Wait until *task* has ended, however often this one is cancelled meanwhile: its own cancellation is under way."""
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            continue
    if not task.cancelled():
        task.exception()  # nobody is left to be told
