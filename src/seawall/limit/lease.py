"""Allowances taken from a distant store in portions: one trip for many calls, within a bound that is known."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from seawall.clock import Clock
from seawall.limit.rule import Calendar, Rule

__all__ = ["LeasedStore"]

PORTION = 10
"""A portion is never more than this part of a burst, so that one process cannot take all of it."""


class Grants(Protocol):
    """A store that gives portions."""

    async def grant(self, rules: Sequence[Rule], key: str, want: int, need: int) -> tuple[int, tuple[float, ...]]:
        """Take up to *want* units, at least *need*, or nothing; see `RedisStore.grant`."""
        ...

    async def forgive(self, rules: Sequence[Rule], key: str) -> None:
        """Make an allowance whole again."""

    async def close(self) -> None:
        """Let go of connections."""


@dataclass(slots=True)
class Lease:
    """What this process holds of one caller's allowance."""

    units: int = 0
    until: float = 0.0
    lefts: tuple[float, ...] = ()
    refused_at: float = 0.0
    refused_until: float = 0.0
    refused_cost: int = 0
    refused_lefts: tuple[float, ...] = ()
    trip: asyncio.Future[None] | None = None


class LeasedStore:
    """Takes *size* units at a time for each caller and hands them out here, until they are used or *seconds* are over.

    What is handed out was taken before, so that no call passes that the store has not paid for. The error is one of
    time: units may be used up to *seconds* later than they were taken. With ``p`` processes, no span of ``t`` seconds
    sees more than ``burst + p * size + t * count / period`` calls, and up to ``p * size`` of an allowance lie unused
    where a caller has gone elsewhere. A refusal is remembered until the store said there would be more.

    Args:
        store: What gives the portions.
        clock: What time it is.
        size: Units; fewer for a small burst (a tenth of it).
        seconds: How long they may be held.
        max_keys: Callers that are held something for at a time; of one more, the oldest one's is given up.
    """

    def __init__(self, store: Grants, clock: Clock, size: int, seconds: float, max_keys: int) -> None:
        self._store = store
        self._clock = clock
        self._calendar = Calendar(clock.time)
        self._size = size
        self._seconds = seconds
        self._max = max_keys
        self._leases: dict[tuple[object, str], Lease] = {}

    async def take(self, rules: Sequence[Rule], key: str, cost: int) -> tuple[float, ...]:
        """Take from every rule or from none; see `RemoteStore.take`."""
        lease = self._lease(tuple(rule.id for rule in rules), key)
        while True:
            now = self._clock.monotonic()
            if lease.units >= cost and now < lease.until:
                lease.units -= cost
                return tuple(left + lease.units * rule.interval for rule, left in zip(rules, lease.lefts, strict=True))
            if now < lease.refused_until and cost >= lease.refused_cost:
                since = now - lease.refused_at
                return tuple(
                    left if rule.window or left >= 0 else left + since
                    for rule, left in zip(rules, lease.refused_lefts, strict=True)
                )
            if lease.trip is None:
                return await self._go(lease, rules, key, cost)
            await asyncio.shield(lease.trip)

    async def forgive(self, rules: Sequence[Rule], key: str) -> None:
        """Make an allowance whole again, here and in the store; other processes keep what they hold of it."""
        self._leases.pop((tuple(rule.id for rule in rules), key), None)
        await self._store.forgive(rules, key)

    async def close(self) -> None:
        """Forget what is held, and close the store."""
        self._leases.clear()
        await self._store.close()

    async def _go(self, lease: Lease, rules: Sequence[Rule], key: str, cost: int) -> tuple[float, ...]:
        """Ask the store; calls of the same caller wait meanwhile."""
        trip = lease.trip = asyncio.get_running_loop().create_future()
        try:
            size = max(cost, min((self._size, *(rule.burst // PORTION for rule in rules))))
            taken, lefts = await self._store.grant(rules, key, size, cost)
            now = self._clock.monotonic()
            if taken:
                ends = (self._calendar.remaining(rule.window) for rule in rules if rule.window)
                lease.units, lease.lefts = taken - cost, lefts
                lease.until = now + min((self._seconds, *ends))
                return tuple(left + lease.units * rule.interval for rule, left in zip(rules, lefts, strict=True))
            waits = [rule.wait(left, self._calendar) for rule, left in zip(rules, lefts, strict=True) if left < 0]
            lease.refused_at, lease.refused_until = now, now + max(waits, default=0.0)
            lease.refused_cost, lease.refused_lefts = cost, lefts
            return lefts
        finally:
            lease.trip = None
            trip.set_result(None)

    def _lease(self, rules: object, key: str) -> Lease:
        lease = self._leases.get((rules, key))
        if lease is None:
            if len(self._leases) >= self._max:
                del self._leases[next(iter(self._leases))]
            lease = self._leases[rules, key] = Lease()
        return lease
