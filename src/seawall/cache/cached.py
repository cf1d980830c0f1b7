"""A function whose results are kept."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, ParamSpec, TypeVar

import msgspec

from seawall.cache.cache import Cache
from seawall.cache.codec import returned_by
from seawall.cache.keep import Keep
from seawall.problems import DeclarationError

__all__ = ["cached"]

P = ParamSpec("P")
T = TypeVar("T")


def cached(
    cache: Cache | Callable[[], Cache],
    ttl: float | str | Keep,
    *,
    key: Callable[..., str] | None = None,
    tags: Iterable[str] | Callable[..., Iterable[str]] = (),
    prefix: str | None = None,
) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Awaitable[T]]]:
    """Keep what an async function returns.

    ::

        @cached(lambda: service.cache, "5m", tags=lambda sku: [f"product:{sku}"])
        async def product(sku: str) -> Product: ...

    Args:
        cache: Where; a function of no arguments is asked at each call.
        ttl: How long.
        key: Makes the key from the arguments; None for all arguments, which must then have an encoding (no ``self``).
        tags: Tags, or what makes them from the arguments.
        prefix: What the keys of the cache begin with, for `Cache.invalidate_prefix`; None for the name of the function.

    Raises:
        DeclarationError: The function is not async, does not say what it returns, or *ttl* is impossible.
    """
    keep = ttl if isinstance(ttl, Keep) else Keep(ttl)
    fixed = None if callable(tags) else tuple(tags)

    def decorate(function: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        where = f"cached: {getattr(function, '__qualname__', function)}"
        if not inspect.iscoroutinefunction(inspect.unwrap(function)):
            raise DeclarationError(f"{where} is not an async function.")
        returns = returned_by(function)
        if returns is inspect.Parameter.empty:
            raise DeclarationError(f"{where} does not say what it returns; annotate it.")
        signature = inspect.signature(function)
        if key is None and next(iter(signature.parameters), "") == "self":
            raise DeclarationError(f"{where} is a method, and would be keyed by its object; pass key=….")
        begin = f"{function.__module__}.{function.__qualname__}:" if prefix is None else prefix

        @functools.wraps(function)
        async def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
            made = begin + (key(*args, **kwargs) if key is not None else _key(signature, args, kwargs))
            found: Iterable[str] = tags(*args, **kwargs) if callable(tags) else fixed or ()
            chosen = cache if isinstance(cache, Cache) else cache()
            return await chosen.get_or_load(made, lambda: function(*args, **kwargs), keep, tags=found, returns=returns)

        return wrapper

    return decorate


def _key(signature: inspect.Signature, args: Any, kwargs: Any) -> str:
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    # Every value with its type: 1, 1.0, True and "1" are four keys.
    return msgspec.json.encode(
        [[name, type(value).__qualname__, value] for name, value in bound.arguments.items()], order="deterministic"
    ).decode()
