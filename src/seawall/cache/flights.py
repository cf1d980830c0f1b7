"""One load for all who want the same at the same time (Go's ``singleflight``, with an owner)."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import msgspec

from seawall.cache.codec import key_of

__all__ = ["AGAIN", "Flight", "Flights"]

AGAIN: Any = object()
"""What a flight ends with that was cut short: whoever waited may begin another one."""


class Flight(msgspec.Struct, eq=False):
    """Something that one caller, or a task, finds out for all who want it.

    Args:
        name: What is found out.
        running: Where others find it while they may join.
        tags: The tags of what is found out.
        waiting: What those wait for who have joined; None while nobody has, as for most.
    """

    name: str
    running: dict[str, Flight]
    tags: tuple[str, ...] = ()
    waiting: asyncio.Future[Any] | None = None
    _outcome: tuple[Any, Exception | None] | None = None

    @property
    def present(self) -> bool:
        """Whether others may still join: nothing was invalidated under it."""
        return self.running.get(self.name) is self

    async def wait(self) -> Any:
        """Return what is found out, or raise the error of that; `AGAIN` if it was cut short.

        The cancellation of one who waits changes nothing for the others.
        """
        if self._outcome is None:
            if self.waiting is None:
                self.waiting = asyncio.get_running_loop().create_future()
            await asyncio.shield(self.waiting)
        value, error = self._outcome or (AGAIN, None)
        if error is not None:
            raise error
        return value

    def end(self, value: Any = AGAIN, error: Exception | None = None) -> None:
        """Tell all who wait; does nothing if they have been told."""
        if self._outcome is None:
            self._outcome = value, error
            if self.running.get(self.name) is self:
                del self.running[self.name]
            if self.waiting is not None and not self.waiting.done():
                self.waiting.set_result(None)


class Flights:
    """Flights by name, and the tasks that some of them are.

    A caller that is cancelled leaves; the load goes on, for the others or for the next. A load that is itself cancelled
    costs one more load. What a load raises is raised to all who waited for it.
    """

    def __init__(self) -> None:
        self.running: dict[str, Flight] = {}
        self._all: set[asyncio.Task[None]] = set()
        self.closed = False

    def __len__(self) -> int:
        return len(self._all)

    def begin(self, name: str, tags: tuple[str, ...]) -> Flight:
        """Return a new flight, for a value with *tags*, that others join from now on."""
        flight = self.running[name] = Flight(name, self.running, tags)
        return flight

    def spawn(self, work: Coroutine[Any, Any, None], flights: Sequence[Flight]) -> None:
        """Run *work*, which ends *flights*, in a task of its own; those it leaves open are cut short."""
        task = asyncio.ensure_future(work)
        self._all.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._all.discard(task)
            for flight in flights:
                flight.end()

        task.add_done_callback(ended)

    def leave(self, names: Sequence[str], tags: Sequence[str], prefixes: Sequence[str]) -> None:
        """Let nobody join flights for what is invalidated any more: what they are going to find is out of date."""
        for name in names:
            self.running.pop(name, None)
        if tags or prefixes:
            beginnings = tuple(prefixes)
            for name, flight in tuple(self.running.items()):
                if key_of(name).startswith(beginnings) or any(tag in tags for tag in flight.tags):
                    del self.running[name]

    async def close(self) -> None:
        """Cancel every task, and wait until they have ended."""
        self.closed = True
        tasks = list(self._all)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
