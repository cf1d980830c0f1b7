"""Loads of what nobody has: who claims it loads it, the others wait for him."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from seawall.cache.codec import PLAIN, Codec, Stored, pack
from seawall.cache.compression import Compression
from seawall.cache.copies import Copies
from seawall.cache.counts import Counts
from seawall.cache.entry import Before
from seawall.cache.flights import Flight
from seawall.cache.options import CacheOptions
from seawall.cache.shared import Claimed, Shared, SharedOut
from seawall.cache.store import Filled
from seawall.cache.want import Loader, Want
from seawall.clock import Clock, Random
from seawall.problems import Unavailable

__all__ = ["Job", "Loads"]

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.1
"""Seconds between looks at a claim that another process has."""
GRACE = 1.0
"""Seconds beyond the lease after which a waiter stops waiting."""

logger = logging.getLogger("seawall.cache")


@dataclass(slots=True, eq=False)
class Job:
    """One value to load, who waits for it, and the claim that was granted."""

    want: Want
    flight: Flight
    claim: Claimed | None = None


class Loads:
    """Loads values, and keeps what is loaded.

    Args:
        clock: What time it is.
        random: Decides about jitter; makes tokens.
        options: Bounds of size and time.
        counts: Where what happens is counted.
        copies: The tier in the process.
        shared: The shared tier, if there is one.
        compression: Makes what goes there smaller.
    """

    def __init__(
        self,
        clock: Clock,
        random: Random,
        options: CacheOptions,
        counts: Counts,
        copies: Copies,
        shared: Shared | None,
        compression: Compression,
    ) -> None:
        self._clock = clock
        self._now = clock.monotonic
        self._random = random
        self._options = options
        self._counts = counts
        self._copies = copies
        self._shared = shared
        self._compression = compression

    async def run(self, jobs: list[Job], loader: Loader, *, alone: bool) -> None:
        """Load all of *jobs*, and end their flights.

        Args:
            jobs: What to load.
            loader: Loads it.
            alone: Whether the shared tier is left out, because it is out of order.
        """
        async with asyncio.TaskGroup() as group:
            token = ""
            if self._shared is not None and not alone:
                token = f"{self._random.getrandbits(128):032x}"
                jobs = await self._claim(self._shared, jobs, loader, token, group)
            await self._load_all(jobs, loader, token, group)

    async def _claim(
        self, shared: Shared, jobs: list[Job], loader: Loader, token: str, group: asyncio.TaskGroup
    ) -> list[Job]:
        """Claim, and wait for what others have claimed; return what is to be loaded now."""
        pause, until = FIRST_PAUSE, self._now() + self._options.lease + GRACE
        while True:
            befores = [self._copies.before(job.want.tags) for job in jobs]
            try:
                claims = await shared.claim([job.want for job in jobs], token)
            except SharedOut as error:
                return self._without_claim(jobs, error)
            won, rest, back = [], [], []
            for job, claim, before in zip(jobs, claims, befores, strict=True):
                if self._made_by_another(job, claim, before):
                    if claim.won:
                        back.append(job.want.name)
                elif claim.won:
                    job.claim = claim
                    won.append(job)
                else:
                    rest.append(job)
            if back:
                await shared.release(back, token)
            if not rest:
                return won
            await self._load_all(won, loader, token, group, wait=False)
            jobs = rest
            if self._now() >= until:
                return jobs  # whoever has the claims neither fills them nor gives them back
            await self._clock.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _without_claim(self, jobs: list[Job], error: SharedOut) -> list[Job]:
        """End the flights of *jobs* with what this process has, or as the policy says; return what is to be loaded."""
        rest = []
        problem = Unavailable("What is kept cannot be looked up now.")
        problem.__cause__ = error
        for job in jobs:
            copy = self._copies.fresh(job.want.name)
            if copy is not None:
                job.flight.end(copy.value)
            elif self._options.on_outage == "fail":
                job.flight.end(error=problem)
            else:
                rest.append(job)
        return rest

    def _made_by_another(self, job: Job, claim: Claimed, before: Before) -> bool:
        """End the flight with what is kept, if that is new, or if another one replaces it and it may be stale."""
        want, found = job.want, claim.found
        if found is None:
            return False
        if found.left > 0 and found.fresh_until > want.replaces:
            self.keep(job.want, found.value, found.left, found.took, found.size, before, job.flight)
        elif claim.won or found.left <= -want.keep.stale_while_revalidate:
            return False
        else:
            self._counts.stale += found.left <= 0
        job.flight.end(found.value)
        return True

    async def _load_all(
        self, jobs: list[Job], loader: Loader, token: str, group: asyncio.TaskGroup, *, wait: bool = True
    ) -> None:
        """Load in parts of as many as the loader takes: the last one here, if that may wait, the others beside it."""
        parts = [jobs[at : at + loader.most] for at in range(0, len(jobs), loader.most)]
        last = parts.pop() if parts and wait else None
        for part in parts:
            group.create_task(self._load(part, loader, token))
        if last is not None:
            await self._load(last, loader, token)

    async def _load(self, jobs: list[Job], loader: Loader, token: str) -> None:
        befores = [self._copies.before(job.want.tags) for job in jobs]
        self._counts.loads += 1
        began = self._now()
        try:
            async with asyncio.timeout(self._options.load_timeout):
                values = await loader.load([job.want.item for job in jobs])
        except BaseException as error:
            await self._give_back(jobs, token)
            if not isinstance(error, Exception):
                raise
            self._counts.failures += 1
            for job, before in zip(jobs, befores, strict=True):
                self._failed(job, error, before)
            return
        took = self._now() - began
        loaded = list(self._encoded(jobs, values, befores))
        kept = await self._fill(loaded, token, took)
        await self._give_back([job for job in jobs if job.claim is not None and job.want.name not in kept], token)
        for each in loaded:
            if kept.get(each.job.want.name, True):
                self.keep(each.job.want, each.value, each.life, took, len(each.data), each.before, each.job.flight)
            else:
                self._counts.outdated += 1
        for job, value in zip(jobs, values, strict=True):
            job.flight.end(value)

    def keep(self, want: Want, value: Any, left: float, took: float, size: int, before: Before, flight: Flight) -> None:
        """Keep a copy in this process, unless it was invalidated while it was under way."""
        if not flight.present:
            self._counts.outdated += 1
            return
        sure_until = float("inf")
        if self._shared is not None:
            sure_until = self._shared.journal.confirmed + self._options.local_ttl
        self._copies.put(want, value, left, took, size, before, sure_until)

    async def _fill(self, loaded: Sequence[_Loaded], token: str, took: float) -> dict[str, bool]:
        """Keep in the shared tier what was claimed there; return for each whether it was kept."""
        claimed = [(each, each.job.claim) for each in loaded if each.job.claim is not None]
        if self._shared is None or not claimed:
            return {}
        wall, filled = self._clock.time(), []
        for each, claim in claimed:
            want, fresh_until = each.job.want, wall + each.life
            position, value = claim.position, msgspec.Raw(each.data)
            stale_until = fresh_until + want.keep.stale
            stored = Stored(
                PLAIN, fresh_until, stale_until, took, claim.versions, value, position.journal, position.number
            )
            data = pack(stored, self._compression)
            self._counts.encoded_bytes += len(each.data)
            self._counts.sent_bytes += len(data)
            filled.append(Filled(want.name, want.tags, claim.versions, data, each.life + want.keep.stale))
        try:
            kept = await self._shared.fill(filled, token)
        except SharedOut:
            kept = [True] * len(filled)  # in this process; the claims run out
        return {each.name: done for each, done in zip(filled, kept, strict=True)}

    async def _give_back(self, jobs: Sequence[Job], token: str) -> None:
        names = [job.want.name for job in jobs if job.claim is not None]
        if names and self._shared is not None:
            await self._shared.release(names, token)

    def _failed(self, job: Job, error: Exception, before: Before) -> None:
        """End a flight with what was there before, where it may stand in for an error; else with the error."""
        want, keep, old, now = job.want, job.want.keep, job.want.old, self._now()
        if isinstance(error, keep.errors):
            if job.flight.present:
                self._copies.put_error(want, error, keep.life(self._random, negative=True), before)
        elif keep.stale_if_error:
            found = None if job.claim is None else job.claim.found
            if found is not None and found.left > -keep.stale_if_error:
                self._counts.stale += 1
                return job.flight.end(found.value)
            usable = old is not None and old.error is None and now < old.fresh_until + keep.stale_if_error
            if old is not None and usable and self._copies.current(want.name, old) and job.flight.present:
                self._counts.stale += 1
                return job.flight.end(old.value)
        return job.flight.end(error=error)

    def _encoded(self, jobs: Sequence[Job], values: Sequence[Any], befores: Sequence[Before]) -> Iterator[_Loaded]:
        for job, value, before in zip(jobs, values, befores, strict=True):
            data = self._encode(job.want.codec, value)
            if data is not None:
                life = job.want.keep.life(self._random, negative=value is None)
                yield _Loaded(job, value, data, life, before)

    def _encode(self, codec: Codec, value: Any) -> bytes | None:
        try:
            data = codec.encode(value)
        except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
            logger.warning("a value of %s cannot be kept: %s", type(value).__qualname__, error)
            self._counts.unstorable += 1
            return None
        if len(data) > self._options.max_value:
            self._counts.unstorable += 1
            return None
        return data


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A value that can be kept."""

    job: Job
    value: Any
    data: bytes
    life: float
    before: Before
