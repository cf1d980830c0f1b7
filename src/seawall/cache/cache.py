"""The cache: look in the process, look in the shared tier, load once."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from seawall.cache.codec import Codec, Codecs
from seawall.cache.compression import Compression
from seawall.cache.copies import Copies
from seawall.cache.counts import Counts
from seawall.cache.entry import Entry
from seawall.cache.finding import Finding
from seawall.cache.keep import Keep
from seawall.cache.options import CacheOptions
from seawall.cache.shared import Shared, SharedOut
from seawall.cache.store import Follower, News, SharedStore
from seawall.cache.want import Loader, Want
from seawall.clock import Clock, Random
from seawall.problems import Unavailable

__all__ = ["Cache", "CacheOptions"]

K = TypeVar("K")
T = TypeVar("T")
EMPTY: Any = inspect.Parameter.empty
MOST_KEEPS = 10_000
"""Lifetimes whose reading is remembered; beyond that they are read again."""
MOST_TAGS = 1000
"""Tags of one value."""


class Cache:
    """Values by key, loaded once for all who ask at the same time.

    Values are shared by everybody who gets them: take them as read-only, or keep immutable ones. A load runs in a task
    of its own, which lasts for `CacheOptions.load_timeout` at the most and outlives the caller that began it; it sees
    the call of that caller, and must not depend on it.

    Args:
        clock: What time it is. With a shared tier the wall clocks of all machines must agree to within what a ttl may
            be off.
        random: Decides about early refresh and jitter.
        options: Bounds, and what happens while the shared tier is out of order.
        shared: The shared tier; None for none.

    Raises:
        ConfigurationError: A library is not installed.
    """

    def __init__(
        self,
        clock: Clock,
        random: Random,
        options: CacheOptions | None = None,
        shared: SharedStore | None = None,
    ) -> None:
        self.options = chosen = options or CacheOptions()
        self.counts = Counts()
        self.copies = Copies(clock, chosen)
        self.tags = self.copies.tags
        compression = Compression(chosen.compress_from, chosen.max_value)
        self.shared = None
        if shared is not None:
            self.shared = Shared(shared, clock, self.counts, compression, chosen, self._outdate_prefixes)
        self._clock = clock
        self._now = clock.monotonic
        self._copy_of = self.copies.entries.get
        self._prefixes = self.copies.prefixes
        self._finding = Finding(clock, random, chosen, self.counts, self.copies, self.shared, compression)
        self._codecs = Codecs()
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
            ValueError: It has more than 1,000 tags.
            Unavailable: The shared tier is out of order, and `CacheOptions.on_outage` is ``fail``.
            Exception: Whatever *loader* raises; it is raised to all who waited, and forgotten.
        """
        codec = self._codecs.loaded_by(loader) if returns is EMPTY else self._codecs.of(returns)
        name = codec.fingerprint + key
        entry = self._copy_of(name)
        if (
            entry is not None
            and self._now() < entry.sure_until
            and entry.number == self._prefixes.number
            and (not entry.tags or self.tags.current(entry.tags, entry.versions, entry.epoch))
        ):
            self.counts.local_hits += 1
            return entry.value  # type: ignore[no-any-return]  # what the loader returned
        want = Want(name, None, self.keep(ttl), _tags(tags) if tags else (), codec, entry)
        await self._finding.settle_one(want, loader)
        if want.error is not None:
            raise want.error
        return want.value  # type: ignore[no-any-return]  # as above

    async def get_many(
        self,
        keys: Iterable[K],
        loader: Callable[[list[K]], Awaitable[Mapping[K, T]]],
        ttl: float | str | Keep,
        *,
        key: Callable[[Any], str] = str,
        tags: Callable[[Any], Iterable[str]] | None = None,
        returns: Any = EMPTY,
        most: int = 100,
    ) -> dict[K, T]:
        """Return the values of many keys, from as few looks and loads as can be.

        The shared tier is asked once for all that this process does not have (500 at a time). What nobody has is loaded
        together; what another load is finding out already is waited for.

        Args:
            keys: What is wanted; each once.
            loader: Finds out the values of some of them. A key it does not return has no value, which is kept too, for
                `Keep.negative`.
            ttl: How long each is kept.
            key: Makes the key of the cache: text that no other key has.
            tags: Makes the tags of one.
            returns: The type of a value, if *loader* does not say it.
            most: How many keys *loader* takes at once; for more, it runs several times at once.

        Returns:
            The keys that have a value, in their order. Value and key are the same as for `get_or_load` of the type
            ``T | None``.

        Raises:
            DeclarationError: As for `get_or_load`.
            ValueError: *most* is less than 1, or a value has too many tags.
            Unavailable: As for `get_or_load`.
            Exception: Whatever *loader* raises, for any of them; what else was loaded is kept.
        """
        wants = await self.find_many(keys, loader, self.keep(ttl), key=key, tags=tags, returns=returns, most=most)
        for want in wants:
            if want.error is not None:
                raise want.error
        return {want.item: want.value for want in wants if want.value is not None}

    async def find_many(
        self,
        keys: Iterable[K],
        loader: Callable[[list[K]], Awaitable[Mapping[K, T]]],
        keep: Keep,
        *,
        key: Callable[[K], str],
        tags: Callable[[K], Iterable[str]] | None,
        returns: Any,
        most: int,
    ) -> list[Want]:
        """Find many out; each has its value or its error. See `get_many`."""
        if most < 1:
            raise ValueError(f"most={most!r} must be 1 or more.")
        codec = self._codecs.loaded_by(loader, many=True) if returns is EMPTY else self._codecs.of(returns | None)

        async def load(items: list[K]) -> Sequence[T | None]:
            found = await loader(items)
            return [found.get(item) for item in items]

        wants = [
            self._want(codec, item, key(item), keep, () if tags is None else tags(item)) for item in dict.fromkeys(keys)
        ]
        if len({want.name for want in wants}) < len(wants):
            raise ValueError("key= makes one key of two; what it makes must differ where they do.")
        await self._finding.settle(wants, Loader(load, most))
        return wants

    def sure(self, key: str, returns: Any) -> Entry | None:
        """Return what this process has of *key*, as ``returns | None``, if that will do without a further look."""
        name = self._codecs.of(returns | None).fingerprint + key
        entry = self._copy_of(name)
        if entry is None or entry.error is not None or self._now() >= entry.sure_until:
            return None
        if not self.copies.current(name, entry):
            return None
        self.counts.local_hits += 1
        return entry

    async def invalidate(self, key: str, returns: Any) -> None:
        """Forget the value of *key* of the type *returns*, here and everywhere.

        Raises:
            Unavailable: The shared tier could not be told: other processes may go on with what they have for as long as
                it lives. What this process has is forgotten all the same.
        """
        await self.forget((self._codecs.of(returns).fingerprint + key,), ())

    async def invalidate_tags(self, *tags: str) -> None:
        """Outdate every value that has one of *tags*, in one step, here and everywhere.

        Raises:
            Unavailable: As `invalidate`.
        """
        await self.forget((), tags)

    async def invalidate_prefix(self, *prefixes: str) -> None:
        """Outdate every value whose key begins with one of *prefixes*, in one step, here and everywhere.

        Nothing has been declared for it, and nothing is searched: each value is judged when it is met. 10,000 different
        prefixes are remembered; for more, values older than the one forgotten are outdated too. So prefixes are for
        what is broad and seldom, tags for what happens with every write.

        Args:
            prefixes: Beginnings of keys; those of `cached` functions begin with its ``prefix``. ``""`` is everything.

        Raises:
            Unavailable: As `invalidate`.
        """
        await self.forget((), (), prefixes)

    async def forget(self, names: tuple[str, ...], tags: tuple[str, ...], prefixes: tuple[str, ...] = ()) -> None:
        """Forget full names, tags and prefixes; see `invalidate`."""
        self._outdate(names, tags, prefixes)
        if self.shared is not None:
            try:
                store = self.shared.store
                await self.shared.ask(lambda: store.invalidate(names, tags, prefixes))
            except SharedOut as error:
                raise Unavailable("What is out of date could not be invalidated everywhere.") from error
            # Loads that began while the shared tier was being told may have read what it held before.
            self._outdate(names, tags, prefixes)
            if prefixes:
                self.shared.journal.doubt()

    def keep(self, ttl: float | str | Keep) -> Keep:
        """Return what *ttl* says.

        Raises:
            DeclarationError: It is impossible.
        """
        if isinstance(ttl, Keep):
            return ttl
        keep = self._keeps.get(ttl)
        if keep is None:
            if len(self._keeps) >= MOST_KEEPS:
                self._keeps.clear()
            keep = self._keeps[ttl] = Keep(ttl)
        return keep

    def start(self) -> None:
        """Follow what other processes invalidate; does nothing without a shared tier, or when it is done already."""
        self._finding.open()
        store: object = None if self.shared is None else self.shared.store
        if isinstance(store, Follower) and self._following is None:
            self._following = asyncio.ensure_future(self._follow(store))

    async def close(self) -> None:
        """Stop following, cancel loads, close connections."""
        following, self._following = self._following, None
        if following is not None:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following
        await self._finding.close()
        if self.shared is not None:
            await self.shared.close()

    def _want(self, codec: Codec, item: Any, key: str, keep: Keep, tags: Iterable[str]) -> Want:
        name = codec.fingerprint + key
        return Want(name, item, keep, _tags(tags), codec, self._copy_of(name))

    async def _follow(self, store: Follower) -> None:
        while True:
            with suppress(OSError):
                await store.follow(self._heard)
            # What was said meanwhile is found out by versions, once copies are older than local_ttl.
            await self._clock.sleep(self.options.retry)

    def _heard(self, news: News) -> None:
        self._outdate(news.names, news.tags, ())
        if self.shared is not None:
            self.shared.heard(news)

    def _outdate(self, names: Sequence[str], tags: tuple[str, ...], prefixes: Sequence[str]) -> None:
        self.copies.invalidate(names, tags, prefixes)
        self._finding.leave(names, tags, prefixes)

    def _outdate_prefixes(self, prefixes: Sequence[str]) -> None:
        self._outdate((), (), prefixes)


def _tags(tags: Iterable[str]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(tags))
    if len(found) > MOST_TAGS:
        raise ValueError(f"{len(found)} tags for one value; {MOST_TAGS} are possible.")
    return found
