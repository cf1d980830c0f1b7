"""How long an answer is fresh, and whether it may be kept at all (RFC 9111 §3 and §4.2, RFC 5861)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from seawall.http.cache_rules import Rules
from seawall.http.dates import parse_http_date
from seawall.http.directives import NOTHING, Directives, cache_control, list_of, targeted

__all__ = ["Verdict", "age_of", "judge"]

KEPT_STATUS = frozenset({200, 203, 204, 301, 308})
"""What the policy's own time applies to; any other status is kept only if the answer says for how long."""
_NEVER = frozenset({206, 304})
_UNDERSTOOD = frozenset({200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 501})
_FOR_ALL = (b"public", b"must-revalidate", b"s-maxage")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What may be done with an answer that may be kept; times are seconds.

    Args:
        lifetime: How long it is fresh from when it was made.
        age: How old it was when it came.
        always: Whether it must be validated before each use, fresh or not.
        while_revalidating: How long afterwards it may be given out while a new one is made.
        if_error: How long afterwards it stands in for an error.
        stale: Whether it may be given out stale at all, to a caller who asks for that.
        vary: The request header fields on which it depends, by what it says itself.
    """

    lifetime: float
    age: float
    always: bool
    while_revalidating: float
    if_error: float
    stale: bool
    vary: tuple[bytes, ...]


def judge(
    rules: Rules,
    status: int,
    own: Mapping[bytes, bytes],
    now: float,
    age: float,
    *,
    personal: bool,
    authorized: bool,
) -> Verdict | None:
    """Return what may be done with an answer, or None if it may not be kept.

    Args:
        rules: What the policy says, for all that the answer leaves open.
        status: The answer's status.
        own: Its own header fields, by name, repeated ones combined.
        now: What time it is, in seconds since 1970.
        age: How old the answer is already.
        personal: Whether it is kept for its one caller.
        authorized: Whether the request had ``Authorization``, and no guard of the operation has judged that.
    """
    vary = tuple(dict.fromkeys(list_of(own.get(b"vary"))))
    if status < 200 or status in _NEVER or b"set-cookie" in own or b"*" in vary:
        return None
    stated, expires = _stated(rules, own)
    if b"must-understand" in stated:
        if status not in _UNDERSTOOD:
            return None
    elif b"no-store" in stated:
        return None
    if b"private" in stated and not personal:
        return None
    silent = not stated and expires is None and rules.ttl is not None  # then the policy has said it
    if authorized and not personal and not silent and not any(name in stated for name in _FOR_ALL):
        return None
    always = b"no-cache" in stated
    date = parse_http_date(own.get(b"date", b""), now=now)
    lifetime = _lifetime(stated, expires, date, now, personal=personal)
    if lifetime is None and not always and status in KEPT_STATUS and rules.ttl is not None:
        lifetime = rules.ttl
    strict = always or b"must-revalidate" in stated
    if not personal and (b"proxy-revalidate" in stated or b"s-maxage" in stated):
        strict = True
    verdict = Verdict(
        lifetime=lifetime or 0.0,
        age=age,
        always=always,
        while_revalidating=0.0 if strict else _or(stated, b"stale-while-revalidate", rules.stale_while_revalidate),
        if_error=0.0 if strict else _or(stated, b"stale-if-error", rules.stale_if_error),
        stale=not strict,
        vary=vary,
    )
    if lifetime is None and not (b"etag" in own or b"last-modified" in own):
        return None
    return verdict if _worth_it(verdict, own) else None


def _stated(rules: Rules, own: Mapping[bytes, bytes]) -> tuple[Directives, bytes | None]:
    """Return the directives that count, and ``Expires`` if that does."""
    for name in rules.targets:
        found = targeted(own.get(name))
        if found is not None:
            return found, None
    field = own.get(b"cache-control")
    return (NOTHING if field is None else cache_control(field)), own.get(b"expires")


def _lifetime(
    stated: Directives, expires: bytes | None, date: int | None, now: float, *, personal: bool
) -> float | None:
    """Return the seconds that the answer itself says it is fresh; None if it does not say (RFC 9111 §4.2.1)."""
    found = None if personal else stated.seconds(b"s-maxage")
    if found is None:
        found = stated.seconds(b"max-age")
    if found is not None:
        return found
    if expires is None:
        return None
    end = parse_http_date(expires, now=now)
    # A date that cannot be read lies in the past (§5.3).
    return 0.0 if end is None else max(0.0, end - (now if date is None else date))


def age_of(own: Mapping[bytes, bytes], now: float, delay: float) -> float:
    """Return how old an answer is by what it says itself; 0 for one that was made here (RFC 9111 §4.2.3).

    Args:
        own: Its own header fields.
        now: What time it is, in seconds since 1970.
        delay: How many seconds the call took that brought it.
    """
    field, date = own.get(b"age"), parse_http_date(own.get(b"date", b""), now=now)
    if field is None and date is None:
        return 0.0
    value = (field or b"").split(b",", 1)[0].strip(b" \t")
    told = int(value[:12]) if value.isdigit() else 0
    apparent = 0 if date is None else max(0, math.floor(now) - date)
    return max(told + delay, apparent)


def _or(stated: Directives, name: bytes, otherwise: float) -> float:
    found = stated.seconds(name)
    return otherwise if found is None else found


def _worth_it(verdict: Verdict, own: Mapping[bytes, bytes]) -> bool:
    """Return whether the answer can ever be used again."""
    if b"etag" in own or b"last-modified" in own or verdict.while_revalidating or verdict.if_error:
        return True
    return not verdict.always and verdict.lifetime > verdict.age
