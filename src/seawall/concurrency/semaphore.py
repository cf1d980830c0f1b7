"""A semaphore: so much at once, each taking its share, in the order in which they came.

As Go's ``semaphore.Weighted`` (x/sync): shares of different weight, and a heavy one is not starved by light ones that
come after it. What waits leaves the line without a trace when it is cancelled or its time is over.
"""

from __future__ import annotations

from collections.abc import Iterator

from seawall.clock import Clock
from seawall.concurrency.checks import patience, whole
from seawall.concurrency.turns import FairLock, Hold, LockState, Owned
from seawall.problems import DeclarationError

__all__ = ["Permit", "Semaphore"]


class Permit(Hold):
    """A share of a semaphore: ``async with``, or `release` by whoever has it, in whatever task."""

    __slots__ = ()

    def release(self) -> None:
        """Give it back; a second time does nothing."""
        if self in self._lock.held:
            self._lock.give_back(self)


class Semaphore(FairLock, Owned):
    """Lets in as much as *limit* allows: ``async with semaphore.hold(weight):``. It belongs to one event loop.

    Args:
        limit: How much there is in all.
        clock: By what `hold` and `acquire` wait.

    Raises:
        DeclarationError: *limit* is less than 1.
    """

    __slots__ = ("free", "limit")

    def __init__(self, limit: int, *, clock: Clock | None = None) -> None:
        super().__init__(clock)
        self.limit = whole("Semaphore", "limit", limit)
        self.free = limit
        """How much is free. While anybody waits, it is less than the first in line wants."""

    def hold(self, weight: int = 1, *, within: float | str | None = None) -> Permit:
        """Have a share for the time of an ``async with`` block; first come, first served.

        Args:
            weight: How much of it.
            within: How long to wait at most; None for as long as it takes. The end of the call being served ends the
                wait in any case.

        Raises:
            DeclarationError: *weight* is less than 1 or more than there is, or *within* is no duration.
            TimeoutError: On entering: there was not enough in time.
        """
        return Permit(self, self._weight(weight), patience("hold", within))

    async def acquire(self, weight: int = 1, *, within: float | str | None = None) -> Permit:
        """Take a share and return it, to be released later, by anybody; as `hold` in the rest.

        Cancelled while it waits, or in the moment in which its turn comes, nothing has been taken.
        """
        permit = Permit(self, self._weight(weight), patience("acquire", within))
        if not self.try_take(permit):
            await self.take(permit)
        return permit

    def try_acquire(self, weight: int = 1) -> Permit | None:
        """Take a share if it is there now and nobody waits; return None otherwise.

        Raises:
            DeclarationError: *weight* is less than 1 or more than there is.
        """
        permit = Permit(self, self._weight(weight))
        return permit if self.try_take(permit) else None

    def admits(self, hold: Hold) -> bool:
        """Whether there is enough for *hold* now."""
        return hold.amount <= self.free

    def enter(self, hold: Hold) -> None:
        """Note that *hold* begins."""
        self.held[hold] = None
        self.free -= hold.amount

    def leave(self, hold: Hold) -> None:
        """Note that *hold* has ended."""
        del self.held[hold]
        self.free += hold.amount

    def refuse_hopeless(self, hold: Hold) -> None:
        """Refuse nothing: a share can be given back by another task than the one that took it."""

    def states(self) -> Iterator[LockState]:
        """Give its state, where any of it is held."""
        if self.held:
            yield self.state(self.free)

    def missing(self, hold: Hold) -> int:
        """Return how much must be given back before there is enough for *hold*."""
        return max(0, hold.amount - self.free)

    def describe(self, hold: Hold) -> str:
        """Return how much *hold* is."""
        return f"{hold.amount} of {self.limit}"

    def _weight(self, weight: object) -> int:
        if type(weight) is int and 1 <= weight <= self.limit:
            return weight
        amount = whole("Semaphore", "weight", weight)
        if amount > self.limit:
            raise DeclarationError(
                f"Semaphore: weight={amount} is not possible with limit={self.limit}: it would wait for ever."
            )
        return amount
