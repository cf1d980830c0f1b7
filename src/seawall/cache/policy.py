"""How the answers of an operation are cached."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from seawall.units import seconds

__all__ = ["CachePolicy", "cache_policy"]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
LONGEST = 365 * 86400.0


@dataclass(frozen=True, slots=True, init=False)
class CachePolicy:
    """How the answers of an operation are cached: here, and by those on the way to the caller (RFC 9111).

    Args:
        ttl: Seconds (or ``"30s"``) an answer is fresh.
        public: Whether caches on the way may keep it for everybody; None for: if the operation is open.
        by_principal: Whether each caller has answers of his own; None for: if the operation is closed.
        vary: Request header fields on which the answer depends, besides those the operation takes as parameters.
        tags: By which ``service.cache.invalidate_tags`` outdates answers; ``{name}`` is a parameter of the path.
        stale_while_revalidate: Seconds in which others get the old answer while one call makes a new one (RFC 5861).
        stale_if_error: Seconds in which the old answer stands in for an error of the service (RFC 5861).

    Raises:
        ValueError: A value is impossible.
    """

    ttl: float
    public: bool | None
    by_principal: bool | None
    vary: tuple[str, ...]
    tags: tuple[str, ...]
    stale_while_revalidate: float
    stale_if_error: float

    def __init__(
        self,
        ttl: float | str,
        *,
        public: bool | None = None,
        by_principal: bool | None = None,
        vary: Iterable[str] = (),
        tags: Iterable[str] = (),
        stale_while_revalidate: float | str = 0,
        stale_if_error: float | str = 0,
    ) -> None:
        if isinstance(vary, str) or isinstance(tags, str):
            raise ValueError("vary and tags must be several; write ['…']")  # noqa: TRY004 - a wrong value
        fields = tuple(dict.fromkeys(name.lower() for name in vary))
        for name in fields:
            if not _TOKEN.fullmatch(name):
                raise ValueError(f"vary: {name!r} is no name of a header field")
        if public and by_principal:
            raise ValueError("what is kept for each caller cannot be public")
        for name, value in (
            ("ttl", seconds(ttl)),
            ("public", public),
            ("by_principal", by_principal),
            ("vary", fields),
            ("tags", tuple(tags)),
            ("stale_while_revalidate", seconds(stale_while_revalidate)),
            ("stale_if_error", seconds(stale_if_error)),
        ):
            object.__setattr__(self, name, value)
        if not 1 <= self.ttl <= LONGEST:
            raise ValueError("it must be from 1 second to 365 days")


def cache_policy(value: object) -> CachePolicy | None:
    """Return what the policy option ``cache`` says.

    Raises:
        TypeError: It is none.
        ValueError: It is impossible.
    """
    if value is None or isinstance(value, CachePolicy):
        return value
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError('it must be a time, such as "30s", a CachePolicy, or None')
    return CachePolicy(value)
