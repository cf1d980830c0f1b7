"""One call that makes an answer for a cache: what it is asked, and what becomes of what it answers."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any

from seawall.call import Call
from seawall.http.conditional import CONDITIONS
from seawall.http.dates import http_date, parse_http_date
from seawall.http.exchange import merge_fields
from seawall.http.freshness import age_of, judge
from seawall.http.kept import Fields, Kept, Shown, own_fields, weight
from seawall.plan import Disconnected
from seawall.problems import Problem

if TYPE_CHECKING:
    from seawall.http.response_cache import ResponseCache

__all__ = ["Filling", "path_tag", "strong_etag"]

_UNAVAILABLE = frozenset({500, 502, 503, 504})
"""Errors in whose stead an old answer may stand (RFC 5861 §4)."""
_LATER = frozenset({408, 429})
"""Refusals that say nothing of what was asked for."""
_KEPT_AT_304 = frozenset({b"content-encoding", b"content-range"})
"""What a 304 says nothing about: the bytes stay as they are (RFC 9111 §3.2)."""


class Filling:
    """One call that makes an answer, for others too.

    While it runs, the operation sees the request as a cache would send it on: without the caller's conditions, and with
    those that ask whether *old* is still good. ``Reply(None, status=304)`` says that it is.

    Args:
        cache: Whose answer it is.
        key: What it is kept by.
        tags: What outdates it.
        call: The call.
        headers: The request's header fields, which the operation is about to read.
        old: What is kept, if anything, good or stale.
        why: What ``Cache-Status`` says of why the call was made.
        done: Told of the answer when others may wait for it; None for an answer of nobody else's.
        store: Whether the answer may be kept.
    """

    __slots__ = (
        "_asked", "_before", "_cache", "_key", "_old", "_store", "_tags", "_why", "authorized", "began", "cancelled",
        "done", "epoch", "personal", "stale", "versions",
    )  # fmt: skip

    def __init__(
        self,
        cache: ResponseCache,
        key: Any,
        tags: tuple[str, ...],
        call: Call,
        headers: dict[bytes, bytes],
        old: Kept | None,
        why: bytes,
        *,
        done: asyncio.Future[Kept | Exception | None] | None,
        store: bool = True,
    ) -> None:
        known = cache.responses.tags
        self._cache = cache
        self._key = key
        self._tags = tags
        self._before = len(call.fields or ())
        self._old = old
        self._store = store
        self._why = why
        self.began = cache.responses.now()
        self.versions = known.versions(tags)
        self.epoch = known.epoch
        self.done = done
        self.cancelled = False
        """Whether the call was cancelled before it had an answer."""
        self.stale: Shown | None = None
        """What its own caller gets before the call runs; None to wait for what it makes."""
        self.personal = call.principal is not None and cache.rules.by_principal
        self.authorized = b"authorization" in headers and not cache.rules.judged
        self._asked = {name: headers.pop(name) for name in CONDITIONS if name in headers}
        if old is not None:
            etag, modified = old.named(b"etag"), old.named(b"last-modified")
            if etag is not None:
                headers[b"if-none-match"] = etag
            if modified is not None:
                headers[b"if-modified-since"] = modified

    def joinable(self) -> bool:
        """Return whether nothing it may have read has been outdated since it began."""
        return self._cache.responses.tags.current(self._tags, self.versions, self.epoch)

    def filled(
        self, status: int, content_type: bytes | None, body: bytes, call: Call, headers: dict[bytes, bytes]
    ) -> Shown:
        """Keep the answer if it may be kept; return it as it is sent."""
        cache, responses = self._cache, self._cache.responses
        own, why = self._own(call, headers), self._why
        old = self._old
        if status == 304 and old is not None and self._validated(old, own):
            why += b"; fwd-status=304"
            status, content_type, body, own = old.status, old.content_type, old.body, freshened(old, own)
        elif status in _UNAVAILABLE and old is not None and cache.stale_for_error(old):
            self._over(old)
            return old.answer(self._asked, old.show(b"fwd=stale; fwd-status=%d" % status, self._age(old)))
        kept = self._kept(status, content_type, body, own)
        stored = False
        if kept.verdict is not None and self._store and self.joinable():
            stored = cache.keep(self._key, kept, headers)
        if not stored and self._store and status < 500:
            self._drop()
        useful = stored and responses.now() < kept.fresh_until
        self._over(kept if useful else None)
        return kept.answer(self._asked, kept.show(why + b"; stored" if stored else why, self._age(kept) or None))

    def failed(self, error: BaseException, call: Call, headers: dict[bytes, bytes]) -> Shown | None:
        """Return the old answer where it stands in for *error*; None where *error* is the answer, and is not kept."""
        if not isinstance(error, Exception) or self._impatient(error):
            self._restore(headers)
            self.cancelled = True
            self._over(None)  # this call was cancelled; the next of those who wait makes the answer
            return None
        old = self._old
        ours = not isinstance(error, Problem) or error.status >= 500
        if ours and old is not None and self._cache.stale_for_error(old):
            self._own(call, headers)
            self._over(old)
            why = b"fwd=stale; fwd-status=%d" % getattr(error, "status", 500)
            return old.answer(self._asked, old.show(why, self._age(old)))
        self._restore(headers)
        if isinstance(error, Problem) and error.status < 500 and error.status not in _LATER:
            self._drop()
        self._over(error)
        return None

    def _validated(self, old: Kept, own: Fields) -> bool:
        """Return whether a 304 is about *old*; one that is about something else changes nothing that is kept."""
        tag = old.named(b"etag")
        said = next((value for name, value in own if name == b"etag"), tag)
        self._store = self._store and said == tag
        return tag is not None or old.named(b"last-modified") is not None

    def _own(self, call: Call, headers: dict[bytes, bytes]) -> Fields:
        """Take the operation's own fields out of *call*, and give the request back what was its own."""
        fields = call.fields or []
        call.fields = fields[: self._before]
        self._restore(headers)
        return fields[self._before :]

    def _restore(self, headers: dict[bytes, bytes]) -> None:
        for name in CONDITIONS:
            headers.pop(name, None)
        headers.update(self._asked)

    def _kept(self, status: int, content_type: bytes | None, body: bytes, own: Fields) -> Kept:
        cache, responses = self._cache, self._cache.responses
        rules = cache.rules
        now, wall = responses.now(), responses.wall()
        named = merge_fields(own)
        age = age_of(named, wall, now - self.began)
        verdict = judge(rules, status, named, wall, age, personal=self.personal, authorized=self.authorized)
        date = named.get(b"date", b"")
        if parse_http_date(date) is None:
            date = http_date(wall)
        etag = named.get(b"etag")
        kept = own_fields(own)
        more: Fields = []
        if verdict is not None:
            if etag is None and status == 200:
                etag = strong_etag(body, content_type)
                more.append((b"etag", etag))
            if not (b"cache-control" in named or b"expires" in named) and rules.cache_control is not None:
                more.append((b"cache-control", rules.cache_control))
        return Kept(
            status=status,
            content_type=content_type,
            body=body,
            own=kept,
            pairs=cache.pairs(status, content_type, body, kept, more),
            etag=etag,
            date=date,
            verdict=verdict,
            born=now - age,
            tags=self._tags,
            versions=self.versions,
            epoch=self.epoch,
            checked=-1,
            size=weight(self._key, body, kept),
        )

    def _drop(self) -> None:
        """Forget what the operation has said something else of since, which may not be kept: it is no longer true."""
        if self._old is not None:
            self._cache.responses.kept.drop(self._key)

    def _age(self, kept: Kept) -> int:
        return max(0, int(self._cache.responses.now() - kept.born))

    def _impatient(self, error: Exception) -> bool:
        """Whether the call ended before the operation's own time: its caller did not want to wait, others may."""
        if isinstance(error, Disconnected):
            return True
        if not isinstance(error, Problem) or error.status != 504:
            return False
        timeout = self._cache.rules.timeout
        return timeout is None or self._cache.responses.now() - self.began < 0.9 * timeout

    def _over(self, outcome: Kept | Exception | None) -> None:
        making = self._cache.responses.making
        if making.get(self._key) is self:
            del making[self._key]
        if self.done is not None and not self.done.done():
            self.done.set_result(outcome)


def freshened(old: Kept, new: Fields) -> Fields:
    """Return the fields of *old* with those of a 304 in the place of their namesakes (RFC 9111 §4.3.4)."""
    named = {name for name, _ in new} - _KEPT_AT_304
    return [pair for pair in old.own if pair[0] not in named] + [pair for pair in new if pair[0] not in _KEPT_AT_304]


def path_tag(path: str) -> str:
    """Return the tag of all answers of *path*; no tag of a user's own begins like it."""
    return f"\0path:{path}"


def strong_etag(body: bytes, content_type: bytes | None) -> bytes:
    """Return an entity tag that other bytes, or the same ones of another type, do not have (RFC 9110 §8.8.3)."""
    return b'"%b"' % hashlib.blake2b(body, key=(content_type or b"")[:64], digest_size=12).hexdigest().encode()
