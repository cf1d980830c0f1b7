"""The cache: look in the process, look in the shared tier, load once."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import msgspec

from seawall.cache.codec import Codec, returned_by
from seawall.cache.counts import Counts
from seawall.cache.entry import Entry
from seawall.cache.flights import Flights
from seawall.cache.keep import WINDOW, Keep
from seawall.cache.local import Local
from seawall.cache.shared import Follower, Found, OnOutage, Shared, SharedOut
from seawall.cache.shared import Held as _Held
from seawall.cache.store import SharedStore
from seawall.cache.tags import Tags
from seawall.clock import Clock, Random
from seawall.problems import DeclarationError, Unavailable

__all__ = ["Cache", "CacheOptions"]

T = TypeVar("T")
EMPTY: Any = inspect.Parameter.empty
OVERHEAD = 256
"""Bytes an entry is taken to need besides its value."""
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.1
"""Seconds between looks at a claim that another process has."""
GRACE = 1.0
"""Seconds beyond the lease after which a waiter stops waiting."""
MOST_TYPES = 10_000
"""Functions and lifetimes whose reading is remembered; beyond that they are read again."""

logger = logging.getLogger("seawall.cache")


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheOptions:
    """How a cache works; see `seawall.settings.CacheSettings` for what each option means."""

    store: Literal["auto", "memory", "redis"] = "auto"
    max_entries: int = 10_000
    max_bytes: int = 64 * 1024 * 1024
    max_value: int = 1024 * 1024
    local_ttl: float = 1.0
    lease: float = 10.0
    load_timeout: float = 30.0
    on_outage: OnOutage = "load"
    timeout: float = 0.25
    retry: float = 1.0


@dataclass(frozen=True, slots=True)
class _Before:
    """The versions of the tags, as this process knew them when a look or a load began."""

    versions: tuple[int, ...]
    epoch: int


@dataclass(frozen=True, slots=True)
class _Want:
    """One request for a value, as the slow path hands it on."""

    name: str
    loader: Callable[[], Awaitable[Any]]
    keep: Keep
    tags: tuple[str, ...]
    codec: Codec
    old: Entry | None


class Cache:
    """Values by key, loaded once for all who ask at the same time.

    Values are shared by everybody who gets them: take them as read-only, or keep immutable ones. A load runs in a task
    of its own, which lasts for `CacheOptions.load_timeout` at the most and outlives the caller that began it.

    Args:
        clock: What time it is. With a shared tier the wall clocks of all machines must agree to within what a ttl may
            be off.
        random: Decides about early refresh and jitter.
        options: Bounds, and what happens while the shared tier is out of order.
        shared: The shared tier; None for none.
    """

    def __init__(
        self,
        clock: Clock,
        random: Random,
        options: CacheOptions | None = None,
        shared: SharedStore | None = None,
    ) -> None:
        self.options = options or CacheOptions()
        self.counts = Counts()
        self.tags = Tags()
        self._clock = clock
        self._now = clock.monotonic
        self._random = random
        self._local: Local[Entry] = Local(self.options.max_entries, self.options.max_bytes, _size)
        self._flights = Flights(self.counts)
        chosen = self.options
        self._shared = None if shared is None else Shared(shared, clock, self.counts, chosen.lease, chosen.retry)
        self._codecs: dict[Any, Codec] = {}
        self._by_code: dict[int, tuple[Any, Codec]] = {}
        self._keeps: dict[float | str, Keep] = {}
        self._following: asyncio.Task[None] | None = None

    async def get_or_load(
        self,
        key: str,
        loader: Callable[[], Awaitable[T]],
        ttl: float | str | Keep,
        *,
        tags: Iterable[str] = (),
        returns: Any = EMPTY,
    ) -> T:
        """Return the value of *key*, from *loader* if nobody has loaded it.

        Args:
            key: Any text. Values of different types do not meet, whatever their keys.
            loader: Finds the value out.
            ttl: How long it is kept: seconds, ``"5m"``, or a `Keep` for more.
            tags: By which it can be invalidated together with others.
            returns: The type of the value, if *loader* does not say it.

        Raises:
            DeclarationError: The type is not known or cannot be kept, or *ttl* is impossible.
            Unavailable: The shared tier is out of order, and `CacheOptions.on_outage` is ``fail``.
            Exception: Whatever *loader* raises; it is raised to all who waited, and forgotten.
        """
        codec = self._codec_of(loader) if returns is EMPTY else self._codecs.get(returns) or self._codec(returns)
        name = codec.fingerprint + key
        entry = self._local.get(name)
        if (
            entry is not None
            and self._now() < entry.sure_until
            and (not entry.tags or self.tags.current(entry.tags, entry.versions, entry.epoch))
        ):
            return entry.value  # type: ignore[no-any-return]  # what the loader returned
        return await self._slow(_Want(name, loader, self._keep(ttl), tuple(dict.fromkeys(tags)), codec, entry))  # type: ignore[no-any-return]  # as above

    async def invalidate(self, key: str, returns: Any) -> None:
        """Forget the value of *key* of the type *returns*, here and everywhere.

        Raises:
            Unavailable: The shared tier could not be told: other processes may go on with what they have for as long as
                it lives. What this process has is forgotten all the same.
        """
        await self.forget((self._codec(returns).fingerprint + key,), ())

    async def invalidate_tags(self, *tags: str) -> None:
        """Outdate every value that has one of *tags*, in one step, here and everywhere.

        Raises:
            Unavailable: As `invalidate`.
        """
        await self.forget((), tags)

    async def forget(self, names: tuple[str, ...], tags: tuple[str, ...]) -> None:
        """Forget full names and tags; see `invalidate`."""
        self._heard(names, tags)
        if self._shared is not None:
            try:
                shared = self._shared.store
                await self._shared.ask(lambda: shared.invalidate(names, tags))
            except SharedOut as error:
                raise Unavailable("What is out of date could not be invalidated everywhere.") from error
            # Loads that began while the shared tier was being told may have read what it held before.
            self._heard(names, tags)

    def start(self) -> None:
        """Follow what other processes invalidate; does nothing without a shared tier, or when it is done already."""
        store: object = None if self._shared is None else self._shared.store
        if isinstance(store, Follower) and self._following is None:
            self._following = asyncio.ensure_future(self._follow(store))

    async def close(self) -> None:
        """Stop following, cancel loads, close connections."""
        following, self._following = self._following, None
        if following is not None:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following
        await self._flights.close()
        if self._shared is not None:
            await self._shared.close()

    async def _follow(self, store: Follower) -> None:
        while True:
            with suppress(OSError):
                await store.follow(self._heard)
            # What was said meanwhile is found out by versions, once copies are older than local_ttl.
            await self._clock.sleep(self.options.retry)

    def _heard(self, names: tuple[str, ...], tags: tuple[str, ...]) -> None:
        for name in names:
            self._local.drop(name)
            self._flights.leave(name)
        if tags:
            self.tags.invalidate(tags)
            self._flights.leave_all()

    def _codec(self, returns: Any) -> Codec:
        codec = self._codecs.get(returns)
        if codec is None:
            if len(self._codecs) >= MOST_TYPES:
                self._codecs.clear()
            codec = self._codecs[returns] = Codec(returns)
        return codec

    def _codec_of(self, loader: Any) -> Codec:
        code = getattr(loader, "__code__", None)
        known = self._by_code.get(id(code))
        if known is not None:
            return known[1]
        returns = returned_by(loader)
        if returns is EMPTY or code is None:
            raise DeclarationError(
                f"cache: {getattr(loader, '__qualname__', loader)} does not say what it returns; annotate it, or pass "
                "returns=…."
            )
        if len(self._by_code) >= MOST_TYPES:
            self._by_code.clear()
        codec = self._codec(returns)
        self._by_code[id(code)] = code, codec
        return codec

    def _keep(self, ttl: float | str | Keep) -> Keep:
        if isinstance(ttl, Keep):
            return ttl
        keep = self._keeps.get(ttl)
        if keep is None:
            if len(self._keeps) >= MOST_TYPES:
                self._keeps.clear()
            keep = self._keeps[ttl] = Keep(ttl)
        return keep

    async def _slow(self, want: _Want) -> Any:
        entry, now = want.old, self._now()
        if entry is not None and self.tags.current(entry.tags, entry.versions, entry.epoch):
            if entry.error is not None:
                if now < entry.fresh_until:
                    raise entry.error.with_traceback(None)
            elif now < entry.fresh_until:
                if self._shared is None:
                    if want.keep.refresh_now(entry.fresh_until - now, entry.took, self._random):
                        self._flights.start(want.name, lambda: self._find(want))
                    return entry.value
            elif now < min(entry.fresh_until + want.keep.stale_while_revalidate, entry.stale_until):
                self._flights.start(want.name, lambda: self._find(want))
                self.counts.stale += 1
                return entry.value
        return await self._flights.join(want.name, lambda: self._find(want))

    async def _find(self, want: _Want) -> Any:
        """Look in the shared tier, and load if it has nothing."""
        shared = self._shared
        if shared is None:
            return await self._load(want)
        try:
            return await self._find_shared(want, shared)
        except SharedOut as error:
            if self.options.on_outage == "fail":
                raise Unavailable("What is kept cannot be looked up now.") from error
        return await self._load(want)

    async def _find_shared(self, want: _Want, shared: Shared) -> Any:
        """Look in the shared tier; claim the load, or wait for whoever has it."""
        before = _Before(self.tags.versions(want.tags), self.tags.epoch)
        found = await shared.read(want.name, want.tags, want.codec)
        if found is not None and found.left > 0 and not want.keep.refresh_now(found.left, found.took, self._random):
            return self._copy(want, found, before)
        token = f"{self._random.getrandbits(128):032x}"
        pause, until = FIRST_PAUSE, self._now() + self.options.lease + GRACE
        while self._now() < until:
            claim = await shared.claim(want.name, want.tags, token, want.codec)
            present = claim.found
            if present is not None and present.left > 0 and (found is None or present.fresh_until > found.fresh_until):
                if claim.won:
                    await shared.release(want.name, token)
                return self._copy(want, present, before)
            if claim.won:
                return await self._load(want, _Held(shared, token, claim.versions, present))
            if present is not None and present.left > -want.keep.stale_while_revalidate:
                self.counts.stale += present.left <= 0
                return present.value
            await self._clock.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        return await self._load(want)  # whoever has the claim neither fills it nor gives it back

    async def _load(self, want: _Want, held: _Held | None = None) -> Any:
        """Load, keep what is loaded, and return it; or what there was before, where it may stand in for an error."""
        before = _Before(self.tags.versions(want.tags), self.tags.epoch)
        task = asyncio.current_task()
        self.counts.loads += 1
        began = self._now()
        try:
            async with asyncio.timeout(self.options.load_timeout):
                value = await want.loader()
        except BaseException as error:
            if held is not None:
                with suppress(SharedOut):
                    await held.shared.release(want.name, held.token)
            if not isinstance(error, Exception):
                raise
            self.counts.failures += 1
            return self._stand_in(want, held, error, before, task)
        took = self._now() - began
        data = self._encode(want.codec, value)
        if data is None:
            if held is not None:
                with suppress(SharedOut):
                    await held.shared.release(want.name, held.token)
            return value
        life = want.keep.life(self._random, negative=value is None)
        if held is not None:
            wall = self._clock.time()
            packed = want.codec.pack(wall + life, wall + life + want.keep.stale, took, held.versions, data)
            with suppress(SharedOut):
                if not await held.shared.fill(want.name, want.tags, held, packed, life + want.keep.stale):
                    self.counts.outdated += 1
                    return value
        self._put(want, value, life, took, len(data), before, task)
        return value

    def _stand_in(
        self, want: _Want, held: _Held | None, error: Exception, before: _Before, task: asyncio.Task[Any] | None
    ) -> Any:
        keep, old, now = want.keep, want.old, self._now()
        if isinstance(error, keep.errors):
            life = keep.life(self._random, negative=True)
            if self._flights.present(want.name, task):
                entry = Entry(None, error, 0.0, now + life, 0.0, 0.0, want.tags, before.versions, before.epoch, 512)
                self._local.put(want.name, entry)
            raise error
        if keep.stale_if_error:
            kept = None if held is None else held.found
            if kept is not None and kept.left > -keep.stale_if_error:
                self.counts.stale += 1
                return kept.value
            if (
                old is not None
                and old.error is None
                and now < old.fresh_until + keep.stale_if_error
                and self.tags.current(old.tags, old.versions, old.epoch)
                and self._flights.present(want.name, task)
            ):
                self.counts.stale += 1
                return old.value
        raise error

    def _encode(self, codec: Codec, value: Any) -> bytes | None:
        try:
            data = codec.encode(value)
        except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
            logger.warning("a value of %s cannot be kept: %s", type(value).__qualname__, error)
            self.counts.unstorable += 1
            return None
        if len(data) > self.options.max_value:
            self.counts.unstorable += 1
            return None
        return data

    def _copy(self, want: _Want, found: Found, before: _Before) -> Any:
        self.counts.shared_hits += 1
        self._put(want, found.value, found.left, found.took, found.size, before, asyncio.current_task())
        return found.value

    def _put(
        self,
        want: _Want,
        value: Any,
        left: float,
        took: float,
        size: int,
        before: _Before,
        task: asyncio.Task[Any] | None,
    ) -> None:
        if not self._flights.present(want.name, task):
            self.counts.outdated += 1  # invalidated while it was under way
            return
        keep, now = want.keep, self._now()
        sure = left - WINDOW * keep.early * took
        if self._shared is not None:
            sure = min(sure, self.options.local_ttl)
        until, stale, versions, epoch = now + left, now + left + keep.stale, before.versions, before.epoch
        size += OVERHEAD
        entry = Entry(value, None, now + sure, until, stale, took, want.tags, versions, epoch, size)
        self._local.put(want.name, entry)


def _size(entry: Entry) -> int:
    return entry.size
