"""The slots of a pool: a bounded number, given in the order they were asked for, and known by who holds them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from seawall.call import current
from seawall.clock import Clock
from seawall.data.problems import PoolExhausted
from seawall.spans import recorder

__all__ = ["Holder", "PoolObserver", "PoolStats", "Slots"]

MARGIN = 0.1
"""The share of what is left of a deadline, at most `MOST_MARGIN` seconds, that is kept for the answer: so that a call
that waits in vain is told 503, which says why, and not 504."""
MOST_MARGIN = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Holder:
    """Who holds a slot, since when on the clock's `monotonic`; both names are empty outside of calls."""

    operation: str
    request_id: str
    since: float


@dataclass(frozen=True, slots=True)
class PoolStats:
    """A pool at one moment; times in seconds.

    Args:
        name: ``primary`` or ``read``.
        size: How many connections there may be.
        in_use: How many are held.
        idle: How many are open and free.
        waiting: How many calls wait for one.
        waits: How often one had to be waited for, so far.
        wait_seconds: How long all of that took.
        refused: How often there was none in time, so far.
        held_seconds: How long connections that were given back had been held, in all.
        takes: How often one was taken, so far.
        holders: Who holds one now, longest first.
    """

    name: str
    size: int
    in_use: int
    idle: int
    waiting: int
    waits: int
    wait_seconds: float
    refused: int
    held_seconds: float
    takes: int
    holders: tuple[Holder, ...]


class PoolObserver(Protocol):
    """Is told what happens to a pool, at once and on the event loop; must be quick and not raise."""

    def waited(self, pool: str, seconds: float, /) -> None:
        """A slot was got after waiting."""

    def refused(self, pool: str, seconds: float, /) -> None:
        """There was none in time."""

    def held(self, pool: str, operation: str, seconds: float, /) -> None:
        """A slot was given back."""


class Slots:
    """A fair, bounded semaphore whose waits end in time.

    Args:
        name: What it is called in numbers.
        size: How many may be held at once.
        queue: How many may wait.
        wait: Seconds one may wait; less when the call's deadline comes sooner.
        clock: What time it is.
    """

    def __init__(self, name: str, size: int, queue: int, wait: float, clock: Clock) -> None:
        self.name = name
        self.size = size
        self.observers: list[PoolObserver] = []
        self._queue = queue
        self._wait = wait
        self._clock = clock
        self._free = size
        self._waiting: dict[asyncio.Future[bool], None] = {}
        self._holders: dict[Holder, None] = {}
        self._waits = self._refused = self._takes = 0
        self._wait_seconds = self._held_seconds = 0.0

    def take_now(self) -> Holder | None:
        """Take a slot if one is free and nobody waits."""
        if self._free and not self._waiting:
            self._free -= 1
            return self._hold()
        return None

    async def take(self) -> Holder:
        """Take a slot, waiting for it in turn.

        Raises:
            PoolExhausted: None became free in time, or too many wait already.
        """
        holder = self.take_now()
        if holder is not None:
            return holder
        limit = self._limit()
        if len(self._waiting) >= self._queue or limit <= 0:
            raise self._refusal(0.0)
        began = self._clock.monotonic()
        spans = recorder()
        span = (
            None
            if spans is None
            else spans.internal("wait for a connection", {"db.client.connection.pool.name": self.name})
        )
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting[turn] = None
        timer = self._clock.call_later(limit, lambda: self._give_up(turn))
        try:
            granted = await turn
        except asyncio.CancelledError as error:
            self._waiting.pop(turn, None)
            if turn.done() and not turn.cancelled() and turn.result():
                self._pass_on()  # it was given in the same moment
            if span is not None:
                span.end(error)
            raise
        finally:
            timer.cancel()
        waited = self._clock.monotonic() - began
        if span is not None:
            span.end(kind="" if granted else "timeout")
        if not granted:
            raise self._refusal(waited)
        self._waits += 1
        self._wait_seconds += waited
        for observer in self.observers:
            observer.waited(self.name, waited)
        return self._hold()

    def give(self, holder: Holder) -> None:
        """Give a slot back; the one who waits longest gets it."""
        held = self._clock.monotonic() - holder.since
        del self._holders[holder]
        self._held_seconds += held
        for observer in self.observers:
            observer.held(self.name, holder.operation, held)
        self._pass_on()

    def stats(self, idle: int) -> PoolStats:
        """Return its numbers; *idle* connections are open and free."""
        return PoolStats(
            name=self.name,
            size=self.size,
            in_use=len(self._holders),
            idle=idle,
            waiting=len(self._waiting),
            waits=self._waits,
            wait_seconds=self._wait_seconds,
            refused=self._refused,
            held_seconds=self._held_seconds,
            takes=self._takes,
            holders=tuple(self._holders),
        )

    def _hold(self) -> Holder:
        call = current.get(None)
        now = self._clock.monotonic()
        holder = Holder("", "", now) if call is None else Holder(call.operation, call.request_id, now)
        self._holders[holder] = None
        self._takes += 1
        return holder

    def _limit(self) -> float:
        call = current.get(None)
        if call is None or call.deadline is None:
            return self._wait
        left = call.deadline - self._clock.monotonic()
        return min(self._wait, left - min(left * MARGIN, MOST_MARGIN))

    def _give_up(self, turn: asyncio.Future[bool]) -> None:
        if not turn.done():
            self._waiting.pop(turn, None)
            turn.set_result(False)

    def _pass_on(self) -> None:
        while self._waiting:
            turn = next(iter(self._waiting))
            del self._waiting[turn]
            if not turn.done():
                turn.set_result(True)
                return
        self._free += 1

    def _refusal(self, waited: float) -> PoolExhausted:
        self._refused += 1
        for observer in self.observers:
            observer.refused(self.name, waited)
        return PoolExhausted()
