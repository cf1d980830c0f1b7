"""The shared tier as the cache asks it: what is out of order is left alone, what cannot be read is missing."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

from seawall.cache.codec import Codec
from seawall.cache.counts import Counts
from seawall.cache.store import SharedStore
from seawall.clock import Clock
from seawall.limit.outage import Outage

__all__ = ["Claimed", "Follower", "Found", "Held", "OnOutage", "Shared", "SharedOut"]

OnOutage = Literal["load", "fail"]
T = TypeVar("T")

logger = logging.getLogger("seawall.cache")


class SharedOut(Exception):
    """The shared tier did not answer, or is being left alone because it did not lately."""


@runtime_checkable
class Follower(Protocol):
    """A store that tells what other processes invalidate."""

    async def follow(self, heard: Callable[[tuple[str, ...], tuple[str, ...]], None]) -> None:
        """Call *heard* with names and tags until the connection breaks, which raises OSError."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """A value of the shared tier; *left* are the seconds until it ceases to be fresh, less than 0 if it has."""

    value: Any
    fresh_until: float
    left: float
    took: float
    size: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """The answer to a claim."""

    won: bool
    found: Found | None
    versions: list[bytes]


@dataclass(frozen=True, slots=True)
class Held:
    """A claim this process holds, and what was kept when it was granted."""

    shared: Shared
    token: str
    versions: list[bytes]
    found: Found | None


class Shared:
    """Asks the store.

    Args:
        store: The store.
        clock: What time it is.
        counts: Where what goes wrong is counted.
        lease: Seconds a claim lasts.
        retry: Seconds a store that did not answer is left alone.
    """

    def __init__(self, store: SharedStore, clock: Clock, counts: Counts, lease: float, retry: float) -> None:
        self.store = store
        self._clock = clock
        self._counts = counts
        self._lease = lease
        self._outage = Outage(clock, retry)

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
            self._counts.outages += 1
            if self._outage.failed():
                logger.error("cache: the shared tier cannot be reached: %s", error)
            raise SharedOut(str(error)) from error
        if self._outage.answered():
            logger.info("cache: the shared tier answers again")
        return answer

    async def read(self, name: str, tags: Sequence[str], codec: Codec) -> Found | None:
        """Return what is kept under *name* and of use."""
        seen = await self.ask(lambda: self.store.read(name, tags))
        return self._unpack(codec, seen.data, seen.versions)

    async def claim(self, name: str, tags: Sequence[str], token: str, codec: Codec) -> Claimed:
        """Claim the load of *name*."""
        claim = await self.ask(lambda: self.store.claim(name, tags, token, self._lease))
        return Claimed(claim.won, self._unpack(codec, claim.data, claim.versions), claim.versions)

    async def fill(self, name: str, tags: Sequence[str], held: Held, data: bytes, life: float) -> bool:
        """Keep *data*; return whether the claim was still held and no tag invalidated."""
        return await self.ask(lambda: self.store.fill(name, tags, held.token, held.versions, data, life))

    async def release(self, name: str, token: str) -> None:
        """Give a claim back."""
        await self.ask(lambda: self.store.release(name, token))

    async def close(self) -> None:
        """Close connections, if the store has any."""
        close = getattr(self.store, "close", None)
        if close is not None:
            await close()

    def _unpack(self, codec: Codec, data: bytes | None, versions: list[bytes]) -> Found | None:
        if data is None:
            return None
        try:
            stored, value = codec.unpack(data)
        except (ValueError, RecursionError) as error:
            self._counts.poisoned += 1
            logger.warning("cache: an entry cannot be read, and is taken for missing: %s", error)
            return None
        if stored.versions != versions:
            return None
        left = stored.fresh_until - self._clock.time()
        return Found(value, stored.fresh_until, left, stored.took, len(data))
