"""One value of a cache, as a process holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Entry"]


@dataclass(slots=True)
class Entry:
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
        size: Bytes, encoded.
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
    size: int
