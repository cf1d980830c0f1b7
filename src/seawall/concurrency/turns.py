"""What fair locks have in common: a line of those that wait, and who they and the holders are.

A lock that is given back goes straight to who has waited longest, so nobody can come in between; and who is cancelled
in the moment in which it gets it gives it on. Who holds and who waits is noted, for reports (`Owned.states`): a lock
that is not given back, and tasks that wait for each other, can be named.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from seawall.clock import Clock, SystemClock
from seawall.problems import SeawallError

__all__ = ["FairLock", "Hold", "LockState", "Owned", "Share", "WaitsForItself"]


class WaitsForItself(SeawallError):
    """A task asks for what it holds already, and would wait for itself for ever."""


@dataclass(frozen=True, slots=True)
class Share:
    """A task's part in a lock.

    Args:
        task: It; None where it was taken outside of any task.
        amount: How much of the lock it holds; of one that waits, how much must become free for it.
        what: In words; empty where there is nothing to add.
    """

    task: asyncio.Task[Any] | None
    amount: int
    what: str = ""


@dataclass(frozen=True, slots=True)
class LockState:
    """A lock as it is now.

    Args:
        name: Which it is.
        free: How many may enter.
        holders: Who holds it.
        waiters: Who waits for it, the first in line first. None of them gets it before those in front of it.
    """

    name: str
    free: int
    holders: tuple[Share, ...]
    waiters: tuple[Share, ...]


class Owned(ABC):
    """Something of which it is known who holds it, and who waits for it."""

    __slots__ = ()

    @abstractmethod
    def states(self) -> Iterator[LockState]:
        """Give all that is held of it."""


class Hold:
    """One stay in a lock: ``async with``, once at a time."""

    __slots__ = ("_lock", "amount", "task", "turn", "within", "writes")

    def __init__(self, lock: FairLock, amount: int = 1, within: float | None = None, *, writes: bool = True) -> None:
        self._lock = lock
        self.amount = amount
        self.within = within
        self.writes = writes
        self.task: asyncio.Task[Any] | None = None
        self.turn: asyncio.Future[bool] | None = None

    async def __aenter__(self) -> Self:
        if self in self._lock.held or self.turn is not None:
            raise RuntimeError("this stay in a lock has begun already: ask the lock for another one")
        if not self._lock.try_take(self):
            await self._lock.take(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.give_back(self)


class FairLock(ABC):
    """A lock whose line is served in order. It belongs to one event loop."""

    __slots__ = ("__weakref__", "_clock", "held", "line")

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock
        self.line: deque[Hold] = deque()
        """Stays that wait, the longest first."""
        self.held: dict[Hold, None] = {}
        """Stays that are under way."""

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self.line)

    @abstractmethod
    def admits(self, hold: Hold) -> bool:
        """Whether there is room for *hold* now."""

    def enter(self, hold: Hold) -> None:
        """Note that *hold* begins."""
        self.held[hold] = None

    def leave(self, hold: Hold) -> None:
        """Note that *hold* has ended."""
        del self.held[hold]

    def try_take(self, hold: Hold) -> bool:
        """Begin *hold* if there is room for it and nobody waits; return whether there was."""
        hold.task = asyncio.current_task()
        if self.line or not self.admits(hold):
            return False
        self.enter(hold)
        return True

    async def take(self, hold: Hold) -> None:
        """Wait for the turn of *hold*, for which there was no room, and begin it.

        Raises:
            TimeoutError: Its time was over before.
        """
        self.refuse_hopeless(hold)
        turn = hold.turn = asyncio.get_running_loop().create_future()
        self.line.append(hold)
        timer = None
        if hold.within is not None:
            timer = (self._clock or SystemClock()).call_later(hold.within, lambda: self._expire(hold, turn))
        try:
            came = await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.result():
                self.give_back(hold)
            else:
                self._step_out(hold)
            raise
        finally:
            hold.turn = None
            if timer is not None:
                timer.cancel()
        if not came:
            raise TimeoutError(f"{self.title()} did not become free within {hold.within:g} s")

    def refuse_hopeless(self, hold: Hold) -> None:
        """Refuse *hold* where it would wait for its own task.

        Raises:
            WaitsForItself: It would.
        """
        if any(other.task is hold.task for other in self.held):
            raise WaitsForItself(f"{self.title()} is held by this task already, which would wait for itself")

    def give_back(self, hold: Hold) -> None:
        """End *hold*, and let in who is next."""
        self.leave(hold)
        if self.line:
            self.serve()

    def serve(self) -> None:
        """Let in, in order, whom there is room for."""
        line = self.line
        while line:
            hold = line[0]
            turn = hold.turn
            if turn is None or turn.done():
                line.popleft()
            elif self.admits(hold):
                line.popleft()
                self.enter(hold)
                turn.set_result(True)
            else:
                return

    def _step_out(self, hold: Hold) -> None:
        if hold in self.line:
            self.line.remove(hold)
        self.serve()  # it may have kept others waiting that there is room for

    def _expire(self, hold: Hold, turn: asyncio.Future[bool]) -> None:
        if not turn.done():
            turn.set_result(False)
            self._step_out(hold)

    # -- for reports

    def title(self) -> str:
        """Return which lock it is."""
        return f"{type(self).__name__} 0x{id(self):x}"

    def state(self, free: int) -> LockState:
        """Return how it stands, with *free* places."""
        holders = tuple(Share(hold.task, hold.amount, self.describe(hold)) for hold in self.held)
        waiters = tuple(
            Share(hold.task, self.missing(hold), self.describe(hold))
            for hold in self.line
            if hold.turn is not None and not hold.turn.done()
        )
        return LockState(self.title(), free, holders, waiters)

    def missing(self, hold: Hold) -> int:
        """Return how much must be given back before there is room for *hold*, were it the first in line."""
        return hold.amount

    def describe(self, hold: Hold) -> str:  # noqa: ARG002 - for locks that tell stays apart
        """Return *hold* in words."""
        return ""
