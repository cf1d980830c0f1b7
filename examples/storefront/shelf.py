"""The pages of products: kept for a while, and forgotten when a product changes or is bought."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from seawall.cache import Cache, CachePolicy
from seawall.problems import Unavailable

__all__ = ["Shelf", "page_of"]


def page_of(parameter: str) -> CachePolicy:
    """Return how the pages of a product are kept whose id is the path's *parameter*.

    Those on the way keep them as well, and nobody tells them of a change: so not for long.
    """
    return CachePolicy("10s", tags=[f"product:{{{parameter}}}"], stale_if_error="10m")


class Shelf:
    """The products that one call changes.

    Their pages are forgotten once its transaction is committed: whoever read before it ended saw the old ones, and must
    not leave them behind. What could not be told to other processes, for want of Redis, ends with the pages' time.

    Args:
        cache: Where the pages are kept.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._changed: set[int] = set()

    def changed(self, products: Iterable[int]) -> None:
        """Note products that are no longer what they were: their stock counts."""
        self._changed.update(products)

    async def forget(self) -> None:
        """Forget their pages."""
        if self._changed:
            with suppress(Unavailable):
                await self._cache.invalidate_tags(*(f"product:{product}" for product in self._changed))
