"""A line of calls that wait for something to become free: first come, first served, and nothing lost on the way out."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from seawall.call import current
from seawall.clock import Clock

__all__ = ["Line", "within_deadline"]


def within_deadline(clock: Clock, seconds: float) -> float:
    """Return *seconds*, or what is left until the deadline of the call being served where that is less."""
    request = current.get(None)
    if request is None or request.deadline is None:
        return seconds
    return min(seconds, request.deadline - clock.monotonic())


class Line:
    """Calls that wait, the one that has waited longest first."""

    __slots__ = ("_clock", "waiting")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.waiting: deque[asyncio.Future[bool]] = deque()

    async def wait(self, patience: float, give_back: Callable[[], None]) -> bool:
        """Stand in line.

        Args:
            patience: Seconds to wait at most; the deadline of the call being served makes it shorter.
            give_back: Called when the turn came together with a cancellation: the place is for somebody else then.

        Returns:
            Whether the turn came in time.
        """
        seconds = within_deadline(self._clock, patience)
        if seconds <= 0:
            return False
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.waiting.append(turn)
        timer = self._clock.call_later(seconds, lambda: self._leave(turn))
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.result():
                give_back()
            else:
                self._leave(turn)
            raise
        finally:
            timer.cancel()

    def call_next(self) -> bool:
        """Give the turn to the first in line; return whether anybody was there to take it."""
        while self.waiting:
            turn = self.waiting.popleft()
            if not turn.done():
                turn.set_result(True)
                return True
        return False

    def _leave(self, turn: asyncio.Future[bool]) -> None:
        if turn in self.waiting:
            self.waiting.remove(turn)
        if not turn.done():
            turn.set_result(False)
