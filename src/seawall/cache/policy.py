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
        ttl: Seconds (or ``"30s"``) an answer is fresh that does not say so itself; None keeps those alone that do.
        public: Whether caches on the way may keep it for everybody; None for: if the operation is open.
        by_principal: Whether each caller has answers of his own; None for: if the operation is closed.
        vary: Request header fields on which the answer depends, besides those the operation takes as parameters.
        tags: By which ``service.cache.invalidate_tags`` outdates answers; ``{name}`` is a parameter of the path.
        stale_while_revalidate: Seconds in which callers get the old answer while a call makes a new one (RFC 5861).
        stale_if_error: Seconds in which the old answer stands in for an error of the service (RFC 5861).
        heed_requests: Whether ``Cache-Control`` of a request is followed. Then a caller can have the operation run: it
            is for callers who are known.
        targets: Fields of answers that are meant for this cache (RFC 9213), such as ``CDN-Cache-Control``; the first of
            them that is there counts in the place of ``Cache-Control``.

    Raises:
        ValueError: A value is impossible.
    """

    ttl: float | None
    public: bool | None
    by_principal: bool | None
    vary: tuple[str, ...]
    tags: tuple[str, ...]
    stale_while_revalidate: float
    stale_if_error: float
    heed_requests: bool
    targets: tuple[str, ...]

    def __init__(
        self,
        ttl: float | str | None,
        *,
        public: bool | None = None,
        by_principal: bool | None = None,
        vary: Iterable[str] = (),
        tags: Iterable[str] = (),
        stale_while_revalidate: float | str = 0,
        stale_if_error: float | str = 0,
        heed_requests: bool = False,
        targets: Iterable[str] = (),
    ) -> None:
        if isinstance(vary, str) or isinstance(tags, str) or isinstance(targets, str):
            raise ValueError("vary, tags and targets must be several; write ['…']")  # noqa: TRY004 - a wrong value
        if public and by_principal:
            raise ValueError("what is kept for each caller cannot be public")
        for name, value in (
            ("ttl", None if ttl is None else seconds(ttl)),
            ("public", public),
            ("by_principal", by_principal),
            ("vary", _names("vary", vary)),
            ("tags", tuple(tags)),
            ("stale_while_revalidate", seconds(stale_while_revalidate)),
            ("stale_if_error", seconds(stale_if_error)),
            ("heed_requests", heed_requests),
            ("targets", _names("targets", targets)),
        ):
            object.__setattr__(self, name, value)
        if self.ttl is not None and not 1 <= self.ttl <= LONGEST:
            raise ValueError("it must be from 1 second to 365 days")


def _names(option: str, given: Iterable[str]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.lower() for name in given))
    for name in names:
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{option}: {name!r} is no name of a header field")
    return names


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
