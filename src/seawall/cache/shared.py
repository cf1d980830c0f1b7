"""The shared tier as the cache asks it: what is out of order is left alone, what cannot be read is missing."""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from seawall.cache.codec import key_of
from seawall.cache.compression import Compression
from seawall.cache.counts import Counts
from seawall.cache.journal import Journal
from seawall.cache.options import CacheOptions
from seawall.cache.store import Asked, Changes, Filled, Getter, News, Position, SharedStore, StoreFull
from seawall.cache.want import Found, Want
from seawall.clock import Clock
from seawall.limit.outage import Outage

__all__ = ["Claimed", "Shared", "SharedOut"]

MOST_NAMES, MOST_KEYS = 500, 2000
"""Names, and tags with them, in one step of the store: while it takes that, everybody else waits."""
T = TypeVar("T")

logger = logging.getLogger("seawall.cache")


class SharedOut(Exception):
    """The shared tier did not answer, has no room, or is being left alone because it did not answer lately."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """The answer to a claim: what was kept then, and what a value loaded now is to be judged by."""

    won: bool
    found: Found | None
    versions: list[bytes]
    position: Position


class Shared:
    """Asks the store.

    Args:
        store: The store.
        clock: What time it is.
        counts: Where what goes wrong is counted.
        compression: Restores values.
        options: Bounds of time.
        told: Is given prefixes that others have invalidated.
    """

    def __init__(
        self,
        store: SharedStore,
        clock: Clock,
        counts: Counts,
        compression: Compression,
        options: CacheOptions,
        told: Callable[[Sequence[str]], None],
    ) -> None:
        self.store = store
        self.journal = Journal(options.local_ttl)
        self._now, self._time = clock.monotonic, clock.time
        self._counts = counts
        self._compression = compression
        self._lease = options.lease
        self._outage = Outage(clock, options.retry)
        self._told = told
        self._get = store.get if isinstance(store, Getter) else None

    @property
    def answers(self) -> bool:
        """Whether the store answered when it was last asked."""
        return not self._outage.lasts

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """Return the answer of the store.

        Raises:
            SharedOut: There is none.
        """
        if not self._outage.may_ask():
            raise SharedOut("left alone")
        try:
            answer = await question()
        except OSError as error:
            raise self._failed(error) from error
        self._answered()
        return answer

    def _answered(self) -> None:
        if self._outage.answered():
            logger.info("cache: the shared tier answers again")

    def _failed(self, error: OSError) -> SharedOut:
        """Note that the store did not do what it was asked."""
        if isinstance(error, StoreFull):
            self._answered()
            self._counts.full += 1
        else:
            self._counts.outages += 1
            if self._outage.failed():
                logger.error("cache: the shared tier cannot be reached: %s", error)
        return SharedOut(str(error))

    async def read(self, wants: Sequence[Want]) -> list[Found | None]:
        """Return what is kept and of use."""
        return [found for part in _parts(wants) for found in await self._read(part, self._now())]

    async def read_one(self, want: Want) -> Found | None:
        """As `read`, in fewer steps: most hits of the shared tier come this way."""
        now = self._now()
        if self.journal.due(now) is not None or self._outage.lasts:
            return (await self._read((want,), now))[0]
        versions: list[bytes] = []
        try:
            if self._get is None or want.tags:
                answer = await self.store.read((Asked(want.name, want.tags),), None)
                data, versions = answer.items[0].data, answer.items[0].versions
            else:
                data = await self._get(want.name)
        except OSError as error:
            raise self._failed(error) from error
        found = self._open(want, data, versions)
        return (await self._read((want,), now))[0] if found is _UNKNOWN else found

    async def _read(self, wants: Sequence[Want], now: float) -> list[Found | None]:
        asked, known = [Asked(want.name, want.tags) for want in wants], self.journal.position
        answer = await self.ask(lambda: self.store.read(asked, known))
        self._learn(answer.changes, now)
        found = [self._open(want, seen.data, seen.versions) for want, seen in zip(wants, answer.items, strict=True)]
        return [None if each is _UNKNOWN else each for each in found]

    async def claim(self, wants: Sequence[Want], token: str) -> list[Claimed]:
        """Claim the loads of *wants*."""
        claimed = []
        for part in _parts(wants):
            asked, known, now = [Asked(want.name, want.tags) for want in part], self.journal.position, self._now()
            ask = functools.partial(self.store.claim, asked, token, self._lease, known)
            answer = await self.ask(ask)
            self._learn(answer.changes, now)
            for want, claim in zip(part, answer.items, strict=True):
                found = self._open(want, claim.data, claim.versions)
                found = None if found is _UNKNOWN else found
                claimed.append(Claimed(claim.won, found, claim.versions, self.journal.position))
        return claimed

    async def fill(self, filled: Sequence[Filled], token: str) -> list[bool]:
        """Keep what was loaded; return whether each claim was still held and no tag invalidated."""
        kept: list[bool] = []
        for part in _parts(filled):
            kept += await self.ask(functools.partial(self.store.fill, part, token))
        return kept

    async def release(self, names: Sequence[str], token: str) -> None:
        """Give claims back, where the store can be asked; they run out where it cannot."""
        with suppress(SharedOut):
            await self.ask(lambda: self.store.release(names, token))

    async def close(self) -> None:
        """Close connections, if the store has any."""
        close = getattr(self.store, "close", None)
        if close is not None:
            await close()

    def heard(self, news: News) -> None:
        """Take over the prefixes of a message, unless they are known already."""
        if news.prefixes and self.journal.heard(news):
            self._told(news.prefixes)

    def _learn(self, changes: Changes | None, asked: float) -> None:
        if changes is not None:
            fresh = self.journal.learn(changes, asked)
            if fresh:
                self._told(fresh)

    def _open(self, want: Want, data: bytes | None, versions: list[bytes]) -> Found | None:
        if data is None:
            return None
        size = len(data)
        self._counts.received_bytes += size
        try:
            stored, value = want.codec.open(data, self._compression)
        except ValueError as error:
            self._counts.poisoned += 1
            logger.warning("cache: an entry cannot be read, and is taken for missing: %s", error)
            return None
        if stored.versions != versions:
            return None
        known = self.journal.position
        if stored.number != known.number or stored.journal != known.journal:
            current = self.journal.judge(key_of(want.name), stored.journal, stored.number)
            if not current:
                return _UNKNOWN if current is None else None
        return Found(value, stored.fresh_until, stored.fresh_until - self._time(), stored.took, size)


_UNKNOWN = Found(None, 0.0, 0.0, 0.0, 0)
"""An entry of a journal that is not known yet."""


PartT = TypeVar("PartT", Want, Filled)


def _parts(items: Sequence[PartT]) -> Iterator[list[PartT]]:
    """Return *items* in parts that the store takes in one step each."""
    part: list[PartT] = []
    keys = 0
    for item in items:
        if part and (len(part) == MOST_NAMES or keys + len(item.tags) > MOST_KEYS):
            yield part
            part, keys = [], 0
        part.append(item)
        keys += 1 + len(item.tags)
    if part:
        yield part
