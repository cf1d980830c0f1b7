"""An answer that is kept, and the forms in which it is given out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from seawall.http.conditional import outcome
from seawall.http.dates import parse_http_date
from seawall.http.freshness import Verdict
from seawall.http.ranges import boundary_of, multipart, still_the_same, wanted
from seawall.problems import PreconditionFailed

__all__ = ["Fields", "Kept", "Shown", "Variants", "own_fields"]

Fields = list[tuple[bytes, bytes]]
OVERHEAD = 512
"""Bytes that an entry takes beside what is in it, about."""

_OF_A_BODY = frozenset({b"content-encoding", b"content-language", b"content-length", b"content-range", b"content-type"})
_OURS = frozenset({b"age", b"cache-status", b"content-length", b"content-type", b"date"})


class Shown:
    """An answer as it is sent. Carriers add the request's id, and what guards have said of the call.

    Args:
        status: The status.
        content_type: The type of *body*; None where there is none.
        body: The body.
        pairs: The header fields, without ``Date``.
        date: ``Date``: when the answer was made, not when it is sent.
        whole: Whether the body may be compressed: it is no part, and has no coding of its own.
        keeper: Keeps compressed bodies; None where that is not worth it.
    """

    __slots__ = ("body", "content_type", "date", "keeper", "lines", "pairs", "same", "status", "whole")

    def __init__(
        self,
        status: int,
        content_type: bytes | None,
        body: bytes,
        pairs: Fields,
        date: bytes,
        keeper: Kept | None = None,
    ) -> None:
        self.status = status
        self.content_type = content_type
        self.body = body
        self.pairs = pairs
        self.date = date
        self.whole = keeper is not None
        self.keeper = keeper
        self.same: Shown | None = None
        """What is sent to who has it already, once that has been made."""
        self.lines = b"date: %b\r\n" % date + b"".join([b"%b: %b\r\n" % pair for pair in pairs])
        """All of them as they are sent in HTTP/1.1."""

    def fields(self, request_id: bytes, more: Fields | None) -> Fields:
        """Return the header fields for carriers that send a date of their own; type and length come first."""
        return [*self.pairs, (b"x-request-id", request_id), *(more or ())]


@dataclass(slots=True)
class Variants:
    """Stands where there are answers of one target that depend on further header fields of requests."""

    names: tuple[bytes, ...]
    size: int
    asked: int = 0

    def values(self, asked: Mapping[bytes, bytes]) -> tuple[bytes | None, ...]:
        """Return what *asked* has in those fields; without spaces around commas, which mean nothing in a list."""
        return tuple([selecting(name, asked.get(name)) for name in self.names])


def selecting(name: bytes, value: bytes | None) -> bytes | None:
    """Return the value of a field named by ``Vary``, in the form that is compared (RFC 9111 §4.1)."""
    if value is None or b"," not in value:
        return None if value is None else value.strip(b" \t")
    parts = [part.strip(b" \t") for part in value.split(b",")]
    if name == b"accept-language":
        parts = sorted(part.lower() for part in parts)  # the order says nothing, weights do
    return b",".join(parts)


@dataclass(slots=True, kw_only=True)
class Kept:
    """One answer; times are on the monotonic clock.

    Args:
        status: Its status.
        content_type: The type of its body; None where there is none.
        body: The body, encoded.
        own: The operation's own header fields, those of this cache left out.
        pairs: All header fields but those that change with time.
        etag: Its entity tag, the operation's or one made from the bytes.
        date: When it was made, as ``Date``.
        verdict: What may be done with it; None if it may not be kept.
        born: When it was made, its age at that time taken off.
        tags: By what it is outdated.
        versions: The versions of these when its call began.
        epoch: The epoch of them.
        checked: How many invalidations there had been when it was last looked for among them.
        size: Bytes it takes.
        asked: How often it was looked up of late, as the tier in the process counts.
    """

    status: int
    content_type: bytes | None
    body: bytes
    own: Fields
    pairs: Fields
    etag: bytes | None
    date: bytes
    verdict: Verdict | None
    born: float
    tags: tuple[str, ...]
    versions: tuple[int, ...]
    epoch: int
    checked: int
    size: int
    asked: int = 0
    fresh_until: float = field(init=False)
    modified: int | None = field(init=False)
    shown: Shown = field(init=False)
    shown_until: float = field(init=False, default=float("-inf"))
    codings: dict[str, bytes] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        verdict = self.verdict
        # Without Last-Modified it is the date that a time is compared with (RFC 9111 §4.3.2).
        self.modified = parse_http_date(self.named(b"last-modified") or self.date)
        fresh = verdict is not None and not verdict.always
        self.fresh_until = self.born + verdict.lifetime if fresh and verdict is not None else float("-inf")

    def named(self, name: bytes) -> bytes | None:
        """Return the operation's own field *name*; None if it set none."""
        return next((value for key, value in self.own if key == name), None)

    def hit(self, now: float) -> Shown:
        """Return it as it is given out; what is made holds for the rest of a second."""
        if now >= self.shown_until:
            age = max(0, int(now - self.born))
            self.shown = self.show(b"hit; ttl=%d" % self.ttl(now), age)
            self.shown_until = self.born + age + 1
        return self.shown

    def ttl(self, now: float) -> int:
        """Return how many whole seconds it is fresh; once it is not, a negative number (RFC 9211 §2.3)."""
        lifetime = 0.0 if self.verdict is None else self.verdict.lifetime
        return math.floor(self.born + lifetime - now)

    def show(self, how: bytes, age: int | None = None) -> Shown:
        """Return it whole, with what ``Cache-Status`` says."""
        dynamic = [(b"cache-status", b"seawall; " + how)]
        if age is not None:
            dynamic.append((b"age", b"%d" % age))
        keeper = self if self.content_type is not None and self.named(b"content-encoding") is None else None
        return Shown(self.status, self.content_type, self.body, self.pairs + dynamic, self.date, keeper)

    def answer(self, asked: Mapping[bytes, bytes], whole: Shown) -> Shown:
        """Return what *asked* gets of *whole*: all of it, a part, or only that it is still the same.

        Raises:
            PreconditionFailed: The request is about another representation.
        """
        if not asked or self.status != 200:
            return whole
        decision = outcome(asked, self.etag, self.modified)
        if decision == 412:
            raise PreconditionFailed("It is no longer what the request is about.")
        if decision == 304:
            same = whole.same
            if same is None:
                same = whole.same = self._changed(whole, 304, None, b"", [])
            return same
        field = asked.get(b"range")
        if field is None or not still_the_same(asked, self.etag, self.named(b"last-modified"), self.date):
            return whole
        return self._part(whole, field)

    def _part(self, whole: Shown, field: bytes) -> Shown:
        body, length = self.body, len(self.body)
        ranges = wanted(field, length)
        if ranges is None or self.content_type is None:
            return whole
        if not ranges:
            unsatisfied = [(b"content-range", b"bytes */%d" % length)]
            return self._changed(whole, 416, None, b"", unsatisfied)
        if len(ranges) == 1:
            start, end = ranges[0]
            place = [(b"content-range", b"bytes %d-%d/%d" % (start, end - 1, length))]
            return self._changed(whole, 206, self.content_type, body[start:end], place)
        boundary = boundary_of(self.etag, ranges, body)
        parts = multipart(body, ranges, self.content_type, boundary)
        return self._changed(whole, 206, b"multipart/byteranges; boundary=" + boundary, parts, [])

    def _changed(self, whole: Shown, status: int, kind: bytes | None, body: bytes, more: Fields) -> Shown:
        pairs = [pair for pair in whole.pairs if pair[0] not in _OF_A_BODY or (pair[0] == b"content-encoding" and kind)]
        if kind is not None:
            pairs = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), *pairs]
        elif status != 304:
            pairs = [(b"content-length", b"0"), *pairs]
        return Shown(status, kind, body, pairs + more, whole.date)

    def remember(self, coding: str, body: bytes) -> None:
        """Keep a compressed body, unless all of them together would be larger than the body itself."""
        if sum(map(len, self.codings.values())) + len(body) <= len(self.body):
            self.codings[coding] = body


def own_fields(fields: Fields) -> Fields:
    """Return the operation's header fields without those that say where an answer comes from: that is said anew."""
    return [pair for pair in fields if pair[0] not in _OURS]


def weight(key: Any, body: bytes, own: Fields) -> int:
    """Return about how many bytes an answer takes: twice its body, since it may be kept compressed as well."""
    return OVERHEAD + _weight(key) + 2 * len(body) + 3 * sum(len(name) + len(value) for name, value in own)


def _weight(key: Any) -> int:
    return sum(_weight(part) + 56 if isinstance(part, tuple) else len(part or b"") + 40 for part in key)
