"""The one budget of time that stopping has, shared by everything that must end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any

from seawall.clock import Clock

__all__ = ["CALLS_UNTIL", "TASKS_UNTIL", "Budget"]

CALLS_UNTIL = 0.7
"""The share of the budget after which running calls are cut: the rest is kept for what comes after them."""
TASKS_UNTIL = 0.85
"""The share after which background tasks are cut; what is left belongs to the resources."""
LEAST_PATIENCE = 0.25
"""Seconds that whatever was cancelled has to give back what it holds, however short the budget is."""


class Budget:
    """The time there is to stop, from now on.

    Args:
        seconds: How long all of it may take.
        clock: What time it is.
    """

    def __init__(self, seconds: float, clock: Clock) -> None:
        self.seconds = seconds
        self._clock = clock
        self._began = clock.monotonic()
        self._hurry = asyncio.Event()

    @property
    def spent(self) -> float:
        """Seconds since stopping began."""
        return self._clock.monotonic() - self._began

    @property
    def patience(self) -> float:
        """Seconds that whatever was cancelled has to end."""
        return max(LEAST_PATIENCE, min(self.seconds / 10, 5.0))

    @property
    def hurried(self) -> bool:
        """Whether nothing is waited for any more."""
        return self._hurry.is_set()

    def hurry(self) -> None:
        """Wait for nothing any more: from now on there is no time left."""
        self._hurry.set()

    def left(self, share: float = 1.0) -> float:
        """Return the seconds until *share* of the budget is spent; none once it was hurried."""
        return 0.0 if self.hurried else max(0.0, self.seconds * share - self.spent)

    async def pause(self, seconds: float) -> None:
        """Wait for *seconds*, but not longer than there is time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, self.left())):
                await self._hurry.wait()

    async def wait(self, tasks: Iterable[asyncio.Task[Any]], seconds: float) -> set[asyncio.Task[Any]]:
        """Wait for *tasks* until *seconds* have passed or the budget is hurried; return those that still run.

        Even when there is no time at all, they have a moment: coming to an end is often one step.
        """
        pending = {task for task in tasks if not task.done()}
        if pending and seconds > 0 and not self.hurried:
            await self._wait(pending, seconds)
        if self.hurried or seconds < LEAST_PATIENCE:
            pending = {task for task in pending if not task.done()}
            if pending:
                await asyncio.wait(pending, timeout=LEAST_PATIENCE)
        return {task for task in pending if not task.done()}

    async def _wait(self, pending: set[asyncio.Task[Any]], seconds: float) -> None:
        # Two helpers, so that ten thousand tasks are not watched anew whenever one of them ends.
        everything = asyncio.ensure_future(asyncio.wait(pending))
        hurry = asyncio.ensure_future(self._hurry.wait())
        try:
            await asyncio.wait({everything, hurry}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            everything.cancel()
            hurry.cancel()
