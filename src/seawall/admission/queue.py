"""Calls that wait for their turn: by priority, then in turns among callers, and never too many."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

__all__ = ["FairQueue", "Waiter"]


@dataclass(slots=True, eq=False)
class Waiter:
    """A call that waits.

    Args:
        priority: Its rank; a higher one goes first.
        caller: Whose turn it takes.
        until: When it has waited for too long.
        turn: Becomes true when it may run, false when it may not.
    """

    priority: int
    caller: object
    until: float
    turn: asyncio.Future[bool]


class FairQueue:
    """Waiting calls, at most *size* of them.

    The next is of the highest priority that waits, and of the caller whose last turn is longest ago: one who sends a
    hundred calls gets a turn in the same round as one who sends one. When it is full, a newcomer takes the place of
    the newest call of a lower priority, else of the caller who has most calls of the same priority waiting, unless
    that is he himself (longest queue drop: Suter et al., Buffer Management Schemes for Supporting TCP in Gigabit
    Routers with Per-flow Queueing, 1999).
    """

    __slots__ = ("_ranks", "_waiters", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self._waiters: dict[Waiter, None] = {}
        self._ranks: dict[int, dict[object, deque[Waiter]]] = {}

    def __len__(self) -> int:
        return len(self._waiters)

    @property
    def oldest(self) -> Waiter | None:
        """The one that waits longest."""
        return next(iter(self._waiters), None)

    def push(self, waiter: Waiter) -> Waiter | None:
        """Let *waiter* wait; return who cannot for want of room: another, itself, or nobody."""
        displaced = None
        if len(self._waiters) >= self.size:
            displaced = self._displaced_by(waiter)
            if displaced is waiter:
                return waiter
            self.remove(displaced)
        self._waiters[waiter] = None
        self._ranks.setdefault(waiter.priority, {}).setdefault(waiter.caller, deque()).append(waiter)
        return displaced

    @property
    def highest(self) -> int:
        """The priority of the next one. The queue must not be empty."""
        return max(self._ranks)

    def pop(self) -> Waiter:
        """Take out the next one. The queue must not be empty."""
        callers = self._ranks[self.highest]
        caller, waiting = next(iter(callers.items()))
        waiter = waiting[0]
        self.remove(waiter)
        if waiting:
            callers[caller] = callers.pop(caller)  # to the end of the round
        return waiter

    def remove(self, waiter: Waiter) -> None:
        """Take out *waiter*, if it waits."""
        if waiter not in self._waiters:
            return
        del self._waiters[waiter]
        callers = self._ranks[waiter.priority]
        waiting = callers[waiter.caller]
        waiting.remove(waiter)
        if not waiting:
            del callers[waiter.caller]
            if not callers:
                del self._ranks[waiter.priority]

    def _displaced_by(self, newcomer: Waiter) -> Waiter:
        lowest = min(self._ranks, default=newcomer.priority)
        if lowest > newcomer.priority or not self._waiters:
            return newcomer
        longest = max(self._ranks[lowest].values(), key=len)
        if lowest == newcomer.priority:
            own = self._ranks[lowest].get(newcomer.caller, ())
            if len(own) + 1 >= len(longest):
                return newcomer
        return longest[-1]
