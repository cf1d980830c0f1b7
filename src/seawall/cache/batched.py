"""Single questions that are answered together: what is asked for in one turn of the event loop is loaded at once."""

from __future__ import annotations

import inspect
import types
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from seawall.cache.cache import Cache
from seawall.cache.codec import value_in_mapping
from seawall.cache.flights import AGAIN, Flight, Flights
from seawall.cache.keep import Keep
from seawall.cache.want import Want
from seawall.problems import DeclarationError

__all__ = ["Batched", "batched"]

K = TypeVar("K")
T = TypeVar("T")


def batched(
    cache: Cache | Callable[[], Cache],
    ttl: float | str | Keep,
    *,
    key: Callable[[Any], str] = str,
    tags: Callable[[Any], Iterable[str]] | None = None,
    prefix: str | None = None,
    most: int = 100,
) -> Callable[[Callable[[list[K]], Awaitable[Mapping[K, T]]]], Batched[K, T]]:
    """Keep what an async function finds out for many keys at once, and let it be asked for single ones.

    The function gets a list of keys and returns a mapping; a key it leaves out has no value, which is kept as well::

        @batched(lambda: service.cache, "5m")
        async def products(skus: list[str]) -> dict[str, Product]: ...

        await products.get("lamp")

    Args:
        cache: Where; a function of no arguments is asked at each call.
        ttl: How long.
        key: Makes the key of the cache: text that no other key has.
        tags: Makes tags.
        prefix: What the keys of the cache begin with; None for the name of the function.
        most: How many keys the function takes at once; for more, it runs several times at once.

    Raises:
        DeclarationError: The function is not async, does not say what it returns, or *ttl* or *most* is impossible.
    """
    keep = ttl if isinstance(ttl, Keep) else Keep(ttl)

    def decorate(function: Callable[[list[K]], Awaitable[Mapping[K, T]]]) -> Batched[K, T]:
        where = f"batched: {getattr(function, '__qualname__', function)}"
        if not inspect.iscoroutinefunction(inspect.unwrap(function)):
            raise DeclarationError(f"{where} is not an async function.")
        if most < 1:
            raise DeclarationError(f"{where}: most={most!r} must be 1 or more.")
        begin = f"{function.__module__}.{function.__qualname__}:" if prefix is None else prefix
        return Batched(cache, function, keep, lambda item: begin + key(item), tags, begin, most)

    return decorate


class Batched(Generic[K, T]):
    """What a function finds out for many keys at once, kept by key; made by `batched`.

    Questions of one turn of the event loop become one look and one load. The load sees the call of whoever asked first.
    """

    def __init__(
        self,
        cache: Cache | Callable[[], Cache],
        function: Callable[[list[K]], Awaitable[Mapping[K, T]]],
        keep: Keep,
        key: Callable[[K], str],
        tags: Callable[[K], Iterable[str]] | None,
        prefix: str,
        most: int,
    ) -> None:
        self.prefix = prefix
        """What the keys begin with; for `Cache.invalidate_prefix`."""
        self._chosen = cache
        self._function = function
        self._keep = keep
        self._key = key
        self._tags = tags
        self._most = most
        self._value = value_in_mapping(function)
        self._flights = Flights()
        self._batch: dict[str, _Asked[K]] | None = None

    async def get(self, item: K) -> T | None:
        """Return the value of one key, None if it has none; asked for together with others of this moment.

        Raises:
            Unavailable: The shared tier is out of order, and `CacheOptions.on_outage` is ``fail``.
            Exception: What the function raised for the keys that were loaded together.
        """
        cache, name = self._cache, self._key(item)
        known = cache.sure(name, self._value)
        if known is not None:
            return known.value  # type: ignore[no-any-return]  # what the function returned
        while True:
            batch, leads = self._batch, self._batch is None
            if batch is None:
                self._batch = batch = {}
            asked = batch.get(name)
            if asked is None:
                asked = batch[name] = _Asked(item, Flight(name, self._flights.running))
            if leads:
                await self._answer(cache, batch)
            value = await asked.flight.wait()
            if value is not AGAIN:
                return value  # type: ignore[no-any-return]  # as above

    async def get_many(self, items: Iterable[K]) -> dict[K, T]:
        """Return the values of many keys; those that have none are left out. See `Cache.get_many`."""
        wants = await self._find(self._cache, items)
        for want in wants:
            if want.error is not None:
                raise want.error
        return {want.item: want.value for want in wants if want.value is not None}

    @property
    def _cache(self) -> Cache:
        return self._chosen if isinstance(self._chosen, Cache) else self._chosen()

    async def _answer(self, cache: Cache, batch: dict[str, _Asked[K]]) -> None:
        """Wait for the others of this turn, and answer all; whoever comes first does it, without a task."""
        try:
            try:
                await _turn()
            finally:
                self._batch = None
            for want in await self._find(cache, [asked.item for asked in batch.values()]):
                batch[self._key(want.item)].flight.end(want.value, want.error)
        finally:  # it was cancelled: another one of them begins again
            for asked in batch.values():
                asked.flight.end()

    async def _find(self, cache: Cache, items: Iterable[K]) -> list[Want]:
        return await cache.find_many(
            items, self._function, self._keep, key=self._key, tags=self._tags, returns=self._value, most=self._most
        )


@dataclass(frozen=True, slots=True)
class _Asked(Generic[K]):
    """One key of a batch, and who waits for it."""

    item: K
    flight: Flight


@types.coroutine
def _turn() -> Generator[None]:
    """Let everybody else run who is ready."""
    yield
