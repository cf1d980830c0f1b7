"""Locks by key, and one for many readers or one writer. Both are fair, and pass from hand to hand.

A lock that is given back goes straight to who has waited longest, so nobody can come in between, and a key is forgotten
only when nobody holds it or waits for it: there is no moment at which two tasks hold different locks for one key.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Hashable
from typing import Generic, TypeVar

__all__ = ["KeyedLocks", "ReadWriteLock"]

K = TypeVar("K", bound=Hashable)
Turn = asyncio.Future[None]


class KeyedLocks(Generic[K]):
    """A lock for each key, for as long as it is held or waited for: ``async with locks.hold(order_id):``.

    They belong to one event loop, and a task that holds a key must not ask for it again.
    """

    def __init__(self) -> None:
        self._waiting: dict[K, deque[Turn]] = {}

    def __len__(self) -> int:
        """How many keys are held."""
        return len(self._waiting)

    def is_held(self, key: K) -> bool:
        """Whether *key* is held."""
        return key in self._waiting

    @contextlib.asynccontextmanager
    async def hold(self, key: K) -> AsyncGenerator[None]:
        """Hold *key* for the time of the block; first come, first served."""
        line = self._waiting.get(key)
        if line is None:
            self._waiting[key] = deque()
        else:
            await self._wait(key, line)
        try:
            yield
        finally:
            self._release(key)

    async def _wait(self, key: K, line: deque[Turn]) -> None:
        turn: Turn = asyncio.get_running_loop().create_future()
        line.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._release(key)
            elif turn in line:
                line.remove(turn)
            raise

    def _release(self, key: K) -> None:
        line = self._waiting[key]
        while line:
            turn = line.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._waiting[key]


class ReadWriteLock:
    """Many readers at once, or one writer. In the order in which they came, so that neither starves the other.

    It belongs to one event loop; a task that holds it must not ask for it again.
    """

    def __init__(self) -> None:
        self.readers = 0
        """How many read."""
        self.writing = False
        """Whether somebody writes."""
        self._line: deque[tuple[bool, Turn]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._line)

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncGenerator[None]:
        """Read for the time of the block, beside other readers."""
        if self.writing or self._line:
            await self._wait(writes=False)
        else:
            self.readers += 1
        try:
            yield
        finally:
            self.readers -= 1
            self._call_next()

    @contextlib.asynccontextmanager
    async def write(self) -> AsyncGenerator[None]:
        """Write for the time of the block, alone."""
        if self.writing or self.readers or self._line:
            await self._wait(writes=True)
        else:
            self.writing = True
        try:
            yield
        finally:
            self.writing = False
            self._call_next()

    async def _wait(self, *, writes: bool) -> None:
        entry = writes, asyncio.get_running_loop().create_future()
        self._line.append(entry)
        turn = entry[1]
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                if writes:
                    self.writing = False
                else:
                    self.readers -= 1
            elif entry in self._line:
                self._line.remove(entry)
            self._call_next()  # a writer that leaves may have kept readers waiting
            raise

    def _call_next(self) -> None:
        while self._line and not self.writing:
            writes, turn = self._line[0]
            if turn.done():
                self._line.popleft()
            elif writes and self.readers:
                return
            else:
                self._line.popleft()
                turn.set_result(None)
                if writes:
                    self.writing = True
                else:
                    self.readers += 1
