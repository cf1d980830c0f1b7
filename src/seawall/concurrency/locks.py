"""Locks by key, and one for many readers or one writer. Both are fair, and pass from hand to hand.

A key is forgotten only when nobody holds it or waits for it: there is no moment at which two tasks hold different locks
for one key.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any, Generic, Self, TypeVar

from seawall.clock import Clock
from seawall.concurrency.checks import patience
from seawall.concurrency.turns import FairLock, Hold, LockState, Owned

__all__ = ["KeyedLocks", "ReadWriteLock"]

K = TypeVar("K", bound=Hashable)


class KeyedLocks(Owned, Generic[K]):
    """A lock for each key, for as long as it is held or waited for: ``async with locks.hold(order_id):``.

    They belong to one event loop. A task that holds a key must not ask for it again: that is refused.

    Args:
        clock: By what `hold` waits.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock
        self._locks: dict[K, _KeyLock] = {}

    def __len__(self) -> int:
        """How many keys are held."""
        return len(self._locks)

    def is_held(self, key: K) -> bool:
        """Whether *key* is held."""
        return key in self._locks

    def hold(self, key: K, *, within: float | str | None = None) -> Hold:
        """Hold *key* for the time of an ``async with`` block; first come, first served.

        Args:
            key: What to lock.
            within: How long to wait at most; None for as long as it takes.

        Raises:
            TimeoutError: On entering: it did not become free in time.
            WaitsForItself: On entering: the task holds it already.
            DeclarationError: *within* is no duration.
        """
        return _KeyHold(self, key, patience("hold", within))

    def states(self) -> Iterator[LockState]:
        """Give every key that is held."""
        for lock in list(self._locks.values()):
            yield lock.state(0)

    def lock_of(self, key: K) -> FairLock:
        """Return the lock of *key*, a new one where nobody holds it or waits for it."""
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = _KeyLock(self._locks, key, self._clock)
        return lock


class _KeyHold(Hold):
    """A stay under a key, whose lock is looked up when it begins."""

    __slots__ = ("_key", "_locks")

    def __init__(self, locks: KeyedLocks[Any], key: Any, within: float | None) -> None:
        self._locks = locks
        self._key = key
        super().__init__(_NOWHERE, 1, within)

    async def __aenter__(self) -> Self:
        if self in self._lock.held or self.turn is not None:
            raise RuntimeError("this stay in a lock has begun already: ask the lock for another one")
        self._lock = self._locks.lock_of(self._key)
        if not self._lock.try_take(self):
            await self._lock.take(self)
        return self


class _KeyLock(FairLock):
    """The lock of one key, which takes itself out of the table with the last who holds it or waits for it."""

    __slots__ = ("_key", "_table")

    def __init__(self, table: dict[Any, _KeyLock], key: Any, clock: Clock | None) -> None:
        super().__init__(clock)
        self._table = table
        self._key = key

    def admits(self, hold: Hold) -> bool:  # noqa: ARG002 - one is as good as another
        return not self.held

    def give_back(self, hold: Hold) -> None:
        super().give_back(hold)
        if not self.held:  # who waited would hold it now
            del self._table[self._key]

    def title(self) -> str:
        return f"KeyedLocks 0x{id(self._table):x}, key {self._key!r:.100}"


_NOWHERE = _KeyLock({}, None, None)
"""What a stay belongs to that has not begun."""


class ReadWriteLock(FairLock, Owned):
    """Many readers at once, or one writer. In the order in which they came, so that neither starves the other.

    It belongs to one event loop. A task that holds it must not ask for it again: where it would have to wait for itself
    that is refused.

    Args:
        clock: By what `read` and `write` wait.
    """

    __slots__ = ("readers", "writing")

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__(clock)
        self.readers = 0
        """How many read."""
        self.writing = False
        """Whether somebody writes."""

    def read(self, *, within: float | str | None = None) -> Hold:
        """Read for the time of an ``async with`` block, beside other readers.

        Args:
            within: How long to wait at most; None for as long as it takes.

        Raises:
            TimeoutError: On entering: it did not become free in time.
            WaitsForItself: On entering: the task holds it already, and would wait for itself.
            DeclarationError: *within* is no duration.
        """
        return Hold(self, 1, patience("read", within), writes=False)

    def write(self, *, within: float | str | None = None) -> Hold:
        """Write for the time of an ``async with`` block, alone; as `read` in the rest."""
        return Hold(self, 1, patience("write", within))

    def admits(self, hold: Hold) -> bool:
        """Whether there is room for *hold* now."""
        return not self.writing and not (hold.writes and self.readers)

    def enter(self, hold: Hold) -> None:
        """Note that *hold* begins."""
        self.held[hold] = None
        if hold.writes:
            self.writing = True
        else:
            self.readers += 1

    def leave(self, hold: Hold) -> None:
        """Note that *hold* has ended."""
        del self.held[hold]
        if hold.writes:
            self.writing = False
        else:
            self.readers -= 1

    def states(self) -> Iterator[LockState]:
        """Give its state, where it is held."""
        if self.held:
            yield self.state(0)

    def missing(self, hold: Hold) -> int:
        """Return how many must leave before there is room for *hold*."""
        return len(self.held) if hold.writes or self.writing else 0

    def describe(self, hold: Hold) -> str:
        """Return what *hold* is for."""
        return "to write" if hold.writes else "to read"
