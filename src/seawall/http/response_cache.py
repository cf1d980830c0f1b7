"""Answers that are kept: encoded bytes, for those who ask the same, in the same way, as the same caller.

A shared cache at the origin by RFC 9111, with the stale answers of RFC 5861 and the ``Cache-Status`` of RFC 9211. What
a request says in ``Cache-Control`` is not followed: it could be used to get past the protection.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

from seawall.cache.cache import Cache
from seawall.cache.local import Local
from seawall.call import Call, Principal
from seawall.http.cache_rules import Rules
from seawall.plan import Disconnected, Place, Writer
from seawall.problems import Problem

__all__ = ["Forgetting", "ResponseCache", "Responses", "normal_query"]

Triple = tuple[int, bytes | None, bytes]
KEPT_STATUS = frozenset({200, 203, 204, 301, 308})
LONGEST_WAIT = 30.0
"""Seconds a call waits for the answer another one is making; then it makes its own."""
OVERHEAD = 512
_FOR_A_WHILE = frozenset({"exp", "iat", "nbf", "jti"})
"""Claims that differ between two tokens of one caller and say nothing about what he may see."""


@dataclass(slots=True)
class _Answer:
    status: int
    content_type: bytes | None
    body: bytes
    fields: list[tuple[bytes, bytes]]
    etag: bytes
    born: float
    fresh_until: float
    tags: tuple[str, ...]
    versions: tuple[int, ...]
    epoch: int
    size: int


class Responses:
    """The kept answers of one service: one bound for all operations.

    Args:
        cache: Whose bounds and tags hold.
        monotonic: What time it is.
    """

    def __init__(self, cache: Cache, monotonic: Callable[[], float]) -> None:
        self.cache = cache
        self.tags = cache.tags
        self.now = monotonic
        options = cache.options
        self.most = options.max_value
        self.kept: Local[_Answer] = Local(options.max_entries, options.max_bytes, lambda answer: answer.size)
        self.making: dict[Any, _Filling] = {}

    async def forget(self, path: str) -> None:
        """Forget every answer of *path*, here and in other processes; where they cannot be told, it stays so."""
        with suppress(Problem):
            await self.cache.forget((), (path_tag(path),))


def path_tag(path: str) -> str:
    """Return the tag of all answers of *path*; no tag of a user's own begins like it."""
    return f"\0path:{path}"


class _Filling:
    """One call that makes an answer, for others too."""

    __slots__ = ("_before", "_cache", "_key", "_tags", "began", "cancelled", "done", "epoch", "versions")

    def __init__(self, cache: ResponseCache, key: Any, tags: tuple[str, ...], call: Call, done: Any) -> None:
        known = cache.responses.tags
        self._cache = cache
        self._key = key
        self._tags = tags
        self._before = len(call.fields or ())
        self.began = cache.responses.now()
        self.versions = known.versions(tags)
        self.epoch = known.epoch
        self.done: asyncio.Future[_Answer | Exception | None] | None = done
        self.cancelled = False
        """Whether the call was cancelled before it had an answer."""

    def joinable(self) -> bool:
        return self._cache.responses.tags.current(self._tags, self.versions, self.epoch)

    def filled(
        self, status: int, content_type: bytes | None, body: bytes, call: Call, headers: dict[bytes, bytes]
    ) -> Triple:
        """Keep the answer if it may be kept; return it with the fields that say so."""
        cache, responses = self._cache, self._cache.responses
        own = (call.fields or [])[self._before :]
        rules = cache.rules
        if status not in KEPT_STATUS or not rules.may_keep(own):
            self._over(None)
            return status, content_type, body
        named = next((value for name, value in own if name == b"etag"), None)
        etag = (
            named
            or b'"%b"' % hashlib.blake2b(body, key=(content_type or b"")[:64], digest_size=12).hexdigest().encode()
        )
        now = responses.now()
        size = len(body) + OVERHEAD + sum(len(name) + len(value) for name, value in own) + _weight(self._key)
        answer = _Answer(
            status, content_type, body, own, etag, now, now + rules.ttl, self._tags, self.versions, self.epoch, size
        )
        stored = size <= responses.most and self.joinable() and responses.kept.put(self._key, answer)
        self._over(answer)
        call.fields = (call.fields or [])[: self._before]
        return cache.give(answer, call, headers, b"fwd=uri-miss; stored" if stored else b"fwd=uri-miss")

    def failed(self, error: BaseException, call: Call, headers: dict[bytes, bytes]) -> Triple | None:
        """Return the old answer where it stands in for *error*; None where *error* is the answer, and is not kept."""
        cache, responses = self._cache, self._cache.responses
        if not isinstance(error, Exception) or self._impatient(error):
            self.cancelled = True
            self._over(None)  # this call was cancelled; the next of those who wait makes the answer
            return None
        old = responses.kept.get(self._key)
        ours = not isinstance(error, Problem) or error.status >= 500
        if ours and old is not None and cache.usable(old, cache.rules.stale_if_error):
            self._over(old)
            call.fields = (call.fields or [])[: self._before]
            return cache.give(old, call, headers, b"fwd=stale; fwd-status=%d" % getattr(error, "status", 500))
        self._over(error)
        return None

    def _impatient(self, error: Exception) -> bool:
        """Whether the call ended before the operation's own time: its caller did not want to wait, others may."""
        if isinstance(error, Disconnected):
            return True
        if not isinstance(error, Problem) or error.status != 504:
            return False
        timeout = self._cache.rules.timeout
        return timeout is None or self._cache.responses.now() - self.began < 0.9 * timeout

    def _over(self, outcome: _Answer | Exception | None) -> None:
        making = self._cache.responses.making
        if making.get(self._key) is self:
            del making[self._key]
        if self.done is not None and not self.done.done():
            self.done.set_result(outcome)


class ResponseCache:
    """The fragment that answers with what is kept, and lets one call make what is not.

    Args:
        responses: Where answers are kept.
        rules: What may be kept for whom.
        chosen: Content types by ``Accept``; None for an operation without a body.
        choose: Finds others; raises `NotAcceptable`.
    """

    name = "cache"
    place = Place.CACHE

    def __init__(self, responses: Responses, rules: Rules, chosen: Any = None, choose: Any = None) -> None:
        self.responses = responses
        self.rules = rules
        self._chosen = chosen
        self._choose = choose
        self.note = rules.note

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        """Write the look-up, and what is further in for those who find nothing."""
        key, look = writer.bind("cache_key_of", self.key), writer.bind("cache_look", self.look)
        begin = writer.bind("cache_begin", self.begin)
        writer.lines(
            f"cache_key = {key}(call, headers, path, parts, raw_query)",
            f"cache_answer = {look}(cache_key, call, headers)",
        )
        with writer.block("if cache_answer is None:"):
            writer.line(f"cache_answer = await {begin}(cache_key, call, headers, path, parts)")
            with writer.block("if cache_answer.__class__ is not tuple:"):
                writer.line("cache_filling = cache_answer")
                with writer.block("try:"):
                    inner()
                with writer.block("except BaseException as cache_error:"):
                    writer.line("cache_answer = cache_filling.failed(cache_error, call, headers)")
                    with writer.block("if cache_answer is None:"):
                        writer.line("raise")
                with writer.block("else:"):
                    writer.line("cache_answer = cache_filling.filled(status, content_type, body, call, headers)")
        writer.line("status, content_type, body = cache_answer")

    def key(self, call: Call, headers: dict[bytes, bytes], path: str, parts: list[str], raw_query: bytes) -> Any:
        """Return what the answer depends on."""
        kind = None
        if self._chosen is not None:
            accept = headers.get(b"accept")
            kind = (self._chosen.get(accept) or self._choose(accept))[1]
        rules, who = self.rules, None
        if rules.by_principal and call.principal is not None:
            who = caller(call.principal)
        query = normal_query(raw_query) if raw_query else ()
        # Both: an encoded slash is a difference that `path` does not show, and `parts` is empty where nothing varies.
        return rules.name, path, tuple(parts or ()), query, kind, who, tuple([headers.get(name) for name in rules.vary])

    def look(self, key: Any, call: Call, headers: dict[bytes, bytes]) -> Triple | None:
        """Return the answer if it is fresh."""
        responses = self.responses
        answer = responses.kept.get(key)
        if answer is None or responses.now() >= answer.fresh_until:
            return None
        if not responses.tags.current(answer.tags, answer.versions, answer.epoch):
            return None
        return self.give(answer, call, headers, b"hit")

    async def begin(
        self, key: Any, call: Call, headers: dict[bytes, bytes], path: str, parts: list[str]
    ) -> Triple | _Filling:
        """Return an answer that another call makes or has made, or a filling: this call is to make one."""
        responses, rules = self.responses, self.rules
        tags = (path_tag(path), *rules.tags_of(parts))
        wait = LONGEST_WAIT if rules.timeout is None else min(rules.timeout, LONGEST_WAIT)
        while True:
            filling = responses.making.get(key)
            if filling is None or filling.done is None or not filling.joinable():
                filling = _Filling(self, key, tags, call, asyncio.get_running_loop().create_future())
                responses.making[key] = filling
                return filling
            old = responses.kept.get(key)
            if old is not None and self.usable(old, rules.stale_while_revalidate):
                return self.give(old, call, headers, b"hit")
            try:
                async with asyncio.timeout(wait):
                    outcome = await asyncio.shield(filling.done)
            except TimeoutError:
                return _Filling(self, key, tags, call, None)
            if isinstance(outcome, _Answer):
                return self.give(outcome, call, headers, b"fwd=uri-miss; collapsed")
            if outcome is not None:
                raise outcome.with_traceback(None)
            if not filling.cancelled:
                return _Filling(self, key, tags, call, None)  # it may not be kept, so it is made for each

    def usable(self, answer: _Answer, stale: float) -> bool:
        """Return whether *answer* may be given out *stale* seconds after its time."""
        responses = self.responses
        return responses.now() < answer.fresh_until + stale and responses.tags.current(
            answer.tags, answer.versions, answer.epoch
        )

    def give(self, answer: _Answer, call: Call, headers: dict[bytes, bytes], how: bytes) -> Triple:
        """Return *answer*, or 304 for who has it already, with the fields that go with it."""
        rules, now = self.rules, self.responses.now()
        fields = [*(call.fields or ()), *answer.fields]
        if how == b"hit":
            how = b"hit; ttl=%d" % math.floor(answer.fresh_until - now)
            fields.append((b"age", b"%d" % (now - answer.born)))
        names = {name for name, _ in answer.fields}
        if b"etag" not in names:
            fields.append((b"etag", answer.etag))
        if b"cache-control" not in names:
            fields.append((b"cache-control", rules.cache_control))
        fields.append((b"cache-status", b"seawall; " + how))
        if rules.vary_field is not None:
            fields.append(rules.vary_field)
        call.fields = fields
        known = headers.get(b"if-none-match")
        if known is not None and answer.status == 200 and matches(known, answer.etag):
            return 304, None, b""
        return answer.status, answer.content_type, answer.body


class Forgetting:
    """The fragment of an unsafe method on a path whose answers are kept (RFC 9111 §4.4)."""

    name = "cache"
    place = Place.CACHE
    note = "forgets the answers of its path"

    def __init__(self, responses: Responses) -> None:
        self._responses = responses

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        """Write the line after a success."""
        inner()
        with writer.block("if status < 400:"):
            writer.line(f"await {writer.bind('cache_forget', self._responses.forget)}(path)")


def strong_etag(body: bytes, content_type: bytes | None) -> bytes:
    """Return an entity tag that other bytes, or the same ones of another type, do not have (RFC 9110 §8.8.3)."""
    return b'"%b"' % hashlib.blake2b(body, key=(content_type or b"")[:64], digest_size=12).hexdigest().encode()


def matches(field: bytes, etag: bytes) -> bool:
    """Return whether ``If-None-Match`` names *etag*, by the weak comparison (RFC 9110 §13.1.2)."""
    if field.strip() == b"*":
        return True
    opaque = etag.removeprefix(b"W/")
    return any(each.strip().removeprefix(b"W/") == opaque for each in field.split(b","))


def normal_query(raw: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Return a query as pairs: decoded, by name, the values of one name in their order."""
    pairs = []
    for part in raw.split(b"&"):
        if part:
            name, found, value = part.replace(b"+", b" ").partition(b"=")
            # `a` and `a=` are one for whoever binds them; nothing else is made equal that could be told apart.
            pairs.append((unquote_to_bytes(name), unquote_to_bytes(value) if found else b""))
    pairs.sort(key=lambda pair: pair[0])
    return tuple(pairs)


def caller(principal: Principal) -> bytes:
    """Return everything about a caller that can make his answer another: subject, roles, scopes, claims."""
    claims = {name: value for name, value in principal.claims.items() if name not in _FOR_A_WHILE}
    return msgspec.msgpack.encode(
        [principal.subject, principal.roles, principal.scopes, claims], order="deterministic", enc_hook=repr
    )


def _weight(key: Any) -> int:
    return sum(_weight(part) + 56 if isinstance(part, tuple) else len(part or b"") for part in key)
