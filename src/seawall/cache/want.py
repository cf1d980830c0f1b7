"""One value that is asked for, on its way through the tiers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from seawall.cache.codec import Codec
from seawall.cache.entry import Entry
from seawall.cache.flights import AGAIN
from seawall.cache.keep import Keep

__all__ = ["Found", "Loader", "Want"]


class Found(msgspec.Struct, frozen=True, eq=False):
    """A value of the shared tier; *left* are the seconds until it ceases to be fresh, less than 0 if it has."""

    value: Any
    fresh_until: float
    left: float
    took: float
    size: int


class Loader(msgspec.Struct, frozen=True):
    """What loads values: for items, at most *most* at once, it returns a value each."""

    load: Callable[[list[Any]], Awaitable[Sequence[Any]]]
    most: int = 1


class Want(msgspec.Struct, eq=False):
    """One value that is asked for.

    Args:
        name: Its full name: the fingerprint of its type, and its key.
        item: What the loader knows it by.
        keep: How long it is kept.
        tags: Its tags.
        codec: Encodes it.
        old: What this process has of it, as far as that is of use.
        replaces: When what is to be replaced in the shared tier ceases to be fresh, by `Clock.time`.
        value: What was found, or `AGAIN`.
        error: What was raised instead.
    """

    name: str
    item: Any
    keep: Keep
    tags: tuple[str, ...]
    codec: Codec
    old: Entry | None = None
    replaces: float = 0.0
    value: Any = AGAIN
    error: Exception | None = None
