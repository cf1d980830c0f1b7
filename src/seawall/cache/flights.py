"""One load for all who want the same at the same time (Go's ``singleflight``, with an owner)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from seawall.cache.counts import Counts

__all__ = ["Flights"]

ATTEMPTS = 3
"""How often one caller begins a load anew because the one it waited for was cancelled."""


class Flights:
    """Runs loads, each in a task of its own, and lets callers wait for them.

    A caller that is cancelled leaves; the load goes on, for the others or for the next. A load that is itself cancelled
    costs one more load. What a load raises is raised to all who waited for it.

    Args:
        counts: Where callers that joined are counted.
    """

    def __init__(self, counts: Counts) -> None:
        self._running: dict[str, asyncio.Task[Any]] = {}
        self._all: set[asyncio.Task[Any]] = set()
        self._counts = counts

    def __len__(self) -> int:
        return len(self._all)

    async def join(self, name: str, load: Callable[[], Awaitable[Any]]) -> Any:
        """Return what *load* returns, or what a load of the same name that is under way does."""
        for attempt in range(ATTEMPTS):
            task = self._running.get(name)
            if task is None:
                task = self.start(name, load)
            else:
                self._counts.joined += 1
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                this = asyncio.current_task()
                # Was it the load that was cancelled, or we?
                if not task.cancelled() or (this is not None and this.cancelling()) or attempt == ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    def start(self, name: str, load: Callable[[], Awaitable[Any]]) -> asyncio.Task[Any]:
        """Begin a load if there is none of this *name*, and return its task."""
        task = self._running.get(name)
        if task is not None:
            return task
        task = asyncio.ensure_future(_run(load))
        self._running[name] = task
        self._all.add(task)

        def ended(task: asyncio.Task[Any]) -> None:
            self._all.discard(task)
            if self._running.get(name) is task:
                del self._running[name]
            if not task.cancelled():
                task.exception()  # those who waited have it; if nobody did, it was counted

        task.add_done_callback(ended)
        return task

    def present(self, name: str, task: asyncio.Task[Any] | None) -> bool:
        """Return whether *task* is the load of *name* that others may join: nothing was invalidated under it."""
        return self._running.get(name) is task

    def leave(self, name: str) -> None:
        """Let nobody join the load of *name* any more: what it is going to return is out of date."""
        self._running.pop(name, None)

    def leave_all(self) -> None:
        """Let nobody join any load that is under way."""
        self._running.clear()

    async def close(self) -> None:
        """Cancel every load, and wait until they have ended."""
        tasks = list(self._all)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def _run(load: Callable[[], Awaitable[Any]]) -> Any:
    return await load()
