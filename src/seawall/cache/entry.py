"""One value of a cache, as a process holds it."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["Before", "Entry"]


class Before(msgspec.Struct, frozen=True):
    """What this process knew of invalidations when a look or a load began.

    Args:
        versions: The versions of the tags.
        epoch: The epoch of these versions.
        number: The number of the last invalidation of a prefix.
    """

    versions: tuple[int, ...]
    epoch: int
    number: int


class Entry(msgspec.Struct, eq=False):
    """One value.

    Args:
        value: The value; shared by all who get it, and not to be changed.
        error: The error that stands in its place, if errors are kept.
        sure_until: Until when it can be given out without a further look, on `Clock.monotonic`.
        fresh_until: Until when it is fresh.
        stale_until: Until when it is of use if it is given out stale.
        took: Seconds its load took.
        tags: Its tags.
        versions: Their versions when the load began.
        epoch: The epoch of these versions.
        number: Of the last invalidation of a prefix by which it has been judged.
        size: Bytes, encoded.
        asked: How often it was looked up of late, as the tier in the process counts.
    """

    value: Any
    error: Exception | None
    sure_until: float
    fresh_until: float
    stale_until: float
    took: float
    tags: tuple[str, ...]
    versions: tuple[int, ...]
    epoch: int
    number: int
    size: int
    asked: int = 0
