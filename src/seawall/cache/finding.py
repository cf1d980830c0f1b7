"""How values are found: what this process has, what the shared tier has, what has to be loaded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from seawall.cache.compression import Compression
from seawall.cache.copies import Copies
from seawall.cache.counts import Counts
from seawall.cache.entry import Before
from seawall.cache.flights import AGAIN, Flight, Flights
from seawall.cache.loads import Job, Loads
from seawall.cache.options import CacheOptions
from seawall.cache.shared import Shared, SharedOut
from seawall.cache.want import Found, Loader, Want
from seawall.clock import Clock, Random
from seawall.problems import Unavailable

__all__ = ["Finding"]

ATTEMPTS = 3
"""How often one caller begins a load anew because the one it waited for was cut short."""


class Finding:
    """Settles wants: gives each its value, or its error.

    Looks and loads are each done once for all who want the same. The caller that comes first looks by himself, without
    a task, because most looks find something; loads have tasks.

    Args:
        clock: What time it is.
        random: Decides about early refresh and jitter.
        options: How the cache works.
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
        self._now = clock.monotonic
        self._random = random
        self._options = options
        self._counts = counts
        self._copies = copies
        self._shared = shared
        self._looks = Flights()
        self._flights = Flights()
        self._loads = Loads(clock, random, options, counts, copies, shared, compression)

    async def settle_one(self, want: Want, load: Callable[[], Awaitable[Any]]) -> None:
        """Give *want* its value or its error; most hits of the shared tier come this way."""
        refresh: list[Want] = []
        missing: Sequence[Want] = ()
        alone = False
        if want.old is None or not self._from_copy(want, refresh):
            missing, shared = (want,), self._shared
            if shared is not None:
                try:
                    if self._found(want, await self._look_one(shared, want), refresh):
                        missing = ()
                except SharedOut as error:
                    missing, alone = self._without((want,), error), True
        if missing or refresh:

            async def one(_: list[Any]) -> Sequence[Any]:
                return (await load(),)

            await self._finish(missing, refresh, Loader(one), alone=alone)

    async def settle(self, wants: Sequence[Want], loader: Loader) -> None:
        """Give every one of *wants* its value or its error; no two have one name."""
        refresh: list[Want] = []
        missing = [want for want in wants if want.old is None or not self._from_copy(want, refresh)]
        alone = False
        if missing and self._shared is not None:
            try:
                missing = await self._look(self._shared, missing, refresh)
            except SharedOut as error:
                missing, alone = self._without(missing, error), True
        await self._finish(missing, refresh, loader, alone=alone)

    async def _finish(self, missing: Sequence[Want], refresh: Sequence[Want], loader: Loader, *, alone: bool) -> None:
        self._load([want for want in refresh if want.name not in self._flights.running], loader, alone=alone)
        if missing:
            await self._join(missing, loader, alone=alone)

    def open(self) -> None:
        """Take loads again after `close`."""
        self._flights.closed = False

    async def close(self) -> None:
        """Cancel every load, and wait until they have ended."""
        await self._flights.close()

    def leave(self, names: Sequence[str], tags: Sequence[str], prefixes: Sequence[str]) -> None:
        """Let nobody join what is under way for what is invalidated."""
        self._looks.leave(names, tags, prefixes)
        self._flights.leave(names, tags, prefixes)

    def _from_copy(self, want: Want, refresh: list[Want]) -> bool:
        """Settle *want* with what this process has, if that will do without a look at the shared tier."""
        entry = want.old
        if entry is None or not self._copies.current(want.name, entry):
            want.old = None
            return False
        now, keep = self._now(), want.keep
        if entry.error is not None:
            if now >= entry.fresh_until:
                return False
            self._counts.errors += 1
            want.error = entry.error.with_traceback(None)
            return True
        if now < entry.fresh_until:
            if self._shared is not None and now >= entry.sure_until:
                return False
            self._counts.local_hits += 1
            if self._shared is None and keep.refresh_now(entry.fresh_until - now, entry.took, self._random):
                refresh.append(want)
        elif now < min(entry.fresh_until + keep.stale_while_revalidate, entry.stale_until):
            self._counts.stale += 1
            refresh.append(want)
        else:
            return False
        want.value = entry.value
        return True

    async def _look(self, shared: Shared, wants: Sequence[Want], refresh: list[Want]) -> list[Want]:
        """Settle *wants* with what the shared tier has, in one look for all that nobody looks for; return the rest."""
        own = [want for want in wants if want.name not in self._looks.running]
        others = [want for want in wants if want.name in self._looks.running]
        answers = [*zip(own, await self._look_many(shared, own), strict=True)]
        answers += [(want, await self._look_one(shared, want)) for want in others]
        return [want for want, found in answers if not self._found(want, found, refresh)]

    async def _look_one(self, shared: Shared, want: Want) -> Found | None:
        """Look in the shared tier, or wait for who does."""
        while (running := self._looks.running.get(want.name)) is not None:
            found: Found | None = await running.wait()
            if found is not AGAIN:
                return found
        flight, before = self._looks.begin(want.name, want.tags), self._copies.before(want.tags)
        try:
            found = await shared.read_one(want)
        except SharedOut as error:
            flight.end(error=error)
            raise
        except BaseException:
            flight.end()  # the caller was cancelled: the next one looks
            raise
        self._take(want, found, before, flight)
        return found

    async def _look_many(self, shared: Shared, wants: Sequence[Want]) -> list[Found | None]:
        flights = [self._looks.begin(want.name, want.tags) for want in wants]
        befores = [self._copies.before(want.tags) for want in wants]
        try:
            answers = await shared.read(wants)
            for want, found, before, flight in zip(wants, answers, befores, flights, strict=True):
                self._take(want, found, before, flight)
        except SharedOut as error:
            for flight in flights:
                flight.end(error=error)
            raise
        finally:
            for flight in flights:
                flight.end()  # as above
        return answers

    def _take(self, want: Want, found: Found | None, before: Before, flight: Flight) -> None:
        """Keep a copy of what was found, and tell the others who wait for it."""
        if found is not None and found.left > 0:
            self._loads.keep(want, found.value, found.left, found.took, found.size, before, flight)
        flight.end(found)

    def _found(self, want: Want, found: Found | None, refresh: list[Want]) -> bool:
        if found is None:
            return False
        if found.left > 0:
            self._counts.shared_hits += 1
            soon = want.keep.refresh_now(found.left, found.took, self._random)
        elif found.left > -want.keep.stale_while_revalidate:
            self._counts.stale += 1
            soon = True
        else:
            return False
        want.value = found.value
        if soon:
            want.replaces = found.fresh_until
            refresh.append(want)
        return True

    def _without(self, wants: Sequence[Want], error: SharedOut) -> list[Want]:
        """Settle *wants* with what this process has, as nobody says whether it is current; return the rest.

        What is invalidated while the shared tier is out of order is so in the process that does it, which is told.
        """
        missing = []
        for want in wants:
            if want.value is not AGAIN:
                continue
            copy = self._copies.fresh(want.name)  # there may be one by now
            if copy is not None:
                self._counts.local_hits += 1
                want.value = copy.value
            elif self._options.on_outage == "fail":
                want.error = Unavailable("What is kept cannot be looked up now.")
                want.error.__cause__ = error
            else:
                missing.append(want)
        return missing

    async def _join(self, wants: Sequence[Want], loader: Loader, *, alone: bool) -> None:
        """Wait for the loads of *wants*; those that nobody has begun are begun."""
        self._counts.misses += len(wants)
        for _ in range(ATTEMPTS):
            new = [want for want in wants if want.name not in self._flights.running]
            self._counts.joined += len(wants) - len(new)
            flights = {want.name: flight for want in wants if (flight := self._flights.running.get(want.name))}
            if not self._flights.closed:
                flights |= self._load(new, loader, alone=alone)
            cut = []
            for want in wants:
                try:
                    want.value = await flights[want.name].wait() if want.name in flights else AGAIN
                except Exception as error:  # noqa: BLE001 - it is told to all who wait
                    want.error = error
                else:
                    if want.value is AGAIN:
                        cut.append(want)
            if not cut:
                return
            wants = cut
        for want in wants:
            want.error = Unavailable("What was wanted could not be loaded: its load was cut short.")

    def _load(self, wants: Sequence[Want], loader: Loader, *, alone: bool) -> dict[str, Flight]:
        """Begin to load *wants*."""
        jobs = [Job(want, self._flights.begin(want.name, want.tags)) for want in wants]
        flights = {job.want.name: job.flight for job in jobs}
        if jobs:
            self._flights.spawn(self._loads.run(jobs, loader, alone=alone), list(flights.values()))
        return flights
