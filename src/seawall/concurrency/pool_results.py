"""The results of a pool as a stream: in order or as they come, and never more of them than are asked for soon."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

__all__ = ["Results", "Ticket"]
_PENDING: Any = object()
_SKIPPED: Any = object()


class Ticket:
    """An item in a pool whose result is wanted."""

    __slots__ = ("item", "result", "results")

    def __init__(self, item: Any, results: Results) -> None:
        self.item = item
        self.results = results
        self.result: Any = _PENDING

    def done(self, result: Any = _SKIPPED) -> None:
        """Note the result; none where it failed or was cancelled."""
        self.result = result
        self.results.came(self)


class Results:
    """What is wanted of a pool by one who iterates.

    Args:
        window: Items that may be in the pool, or done and not asked for, at once.
        ordered: Whether results come in the order of the items.
    """

    __slots__ = ("_feeder", "_left", "_line", "_reader", "error", "ordered", "over", "window")

    def __init__(self, window: int, *, ordered: bool) -> None:
        self.window = window
        self.ordered = ordered
        self.over = False
        """Whether nothing more is put in."""
        self.error: Exception | None = None
        """Why it ended before its time."""
        self._left = 0
        """Items whose result has not been given."""
        self._line: deque[Ticket] = deque()
        """Ordered: all of those, the oldest first. Unordered: those that are done."""
        self._feeder = _Wait()
        self._reader = _Wait()

    async def ticket(self, item: Any) -> Ticket:
        """Return a ticket for *item*; waits while as many are out as may be."""
        while not self.window:
            await self._feeder.wait()
        self.window -= 1
        self._left += 1
        ticket = Ticket(item, self)
        if self.ordered:
            self._line.append(ticket)
        return ticket

    def came(self, ticket: Ticket) -> None:
        """Note that *ticket* is done."""
        if not self.ordered:
            self._line.append(ticket)
        if self._line[0] is ticket:
            self._reader.wake()

    def wake(self) -> None:
        """Let the reader look whether anything is left to come."""
        self._reader.wake()

    async def __aiter__(self) -> AsyncIterator[Any]:
        """Give results until nothing is left to come; what ended it before its time is raised."""
        while True:
            if self.error is not None:
                raise self.error
            if self._line and self._line[0].result is not _PENDING:
                result = self._line.popleft().result
                self._left -= 1
                self.window += 1
                self._feeder.wake()
                if result is not _SKIPPED:
                    yield result
            elif self.over and not self._left:
                return
            else:
                await self._reader.wait()


class _Wait:
    """One that waits, and can be woken."""

    __slots__ = ("_turn",)

    def __init__(self) -> None:
        self._turn: asyncio.Future[None] | None = None

    async def wait(self) -> None:
        self._turn = asyncio.get_running_loop().create_future()
        try:
            await self._turn
        finally:
            self._turn = None

    def wake(self) -> None:
        if self._turn is not None and not self._turn.done():
            self._turn.set_result(None)
