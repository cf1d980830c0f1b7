"""Answers that are kept: encoded bytes, for those who ask the same, in the same way, as the same caller.

A cache at the origin by RFC 9111, with the stale answers of RFC 5861, the ``Cache-Status`` of RFC 9211 and, where a
policy names them, the targeted fields of RFC 9213. It is a shared cache for answers that are one for all, and a private
one for those that belong to a caller.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

from seawall.cache.cache import Cache
from seawall.cache.local import Local
from seawall.call import Call
from seawall.http.cache_rules import Rules
from seawall.http.callers import Callers
from seawall.http.directives import Directives, cache_control
from seawall.http.filling import Filling, path_tag
from seawall.http.kept import OVERHEAD, Fields, Kept, Shown, Variants
from seawall.plan import Place, Writer
from seawall.problems import NotKept, Problem

__all__ = ["ResponseCache", "Responses", "normal_query"]

LONGEST_WAIT = 30.0
"""Seconds a call waits for the answer another one is making; then it makes its own."""
_MOST_VARIED = 32
"""Header fields that answers of one target may depend on, all together; beyond that they are not kept."""
_LONGEST_REMEMBERED = 256


class Responses:
    """The kept answers of one service: one bound for all operations.

    Args:
        cache: Whose bounds and tags hold.
        monotonic: What time it is, for ages.
        wall: What time it is, in seconds since 1970, for dates.
    """

    def __init__(self, cache: Cache, monotonic: Callable[[], float], wall: Callable[[], float]) -> None:
        self.cache = cache
        self.tags = cache.tags
        self.now = monotonic
        self.wall = wall
        options = cache.options
        self.most = options.max_value
        self.kept: Local[Kept | Variants] = Local(options.max_entries, options.max_bytes)
        self.making: dict[Any, Filling] = {}
        self.callers = Callers()

    async def forget(self, paths: list[str]) -> None:
        """Forget every answer of *paths*, here and in other processes; where they cannot be told, it stays so."""
        with suppress(Problem):
            await self.cache.forget((), tuple(map(path_tag, paths)))


class ResponseCache:
    """The fragment that answers with what is kept, and lets one call make what is not.

    Args:
        responses: Where answers are kept.
        rules: What may be kept for whom.
        base: Header fields of every answer.
        chosen: Content types by ``Accept``; None for an operation that has no representations to choose from.
        choose: Finds others; raises `NotAcceptable`.
    """

    name = "cache"
    place = Place.CACHE

    def __init__(
        self,
        responses: Responses,
        rules: Rules,
        base: tuple[tuple[bytes, bytes], ...] = (),
        chosen: Any = None,
        choose: Any = None,
    ) -> None:
        self.responses = responses
        self.rules = rules
        self._base = base
        self._chosen = chosen
        self._choose = choose
        self.note = rules.note
        self.look = self._looker()

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        """Write the look-up, and what is further in for those who find nothing."""
        look, begin = writer.bind("cache_look", self.look), writer.bind("cache_begin", self.begin)
        self._emit_key(writer)
        shown = writer.bind("Shown", Shown)
        writer.line(f"cached = {look}(cache_key, headers)")
        with writer.block("if cached is None:"):
            writer.line(f"cached = await {begin}(cache_key, call, headers, path, parts)")
            with writer.block(f"if cached.__class__ is not {shown}:"):
                writer.line("filling = cached")
                with writer.block("if filling.stale is not None:"):
                    # The caller gets the old answer; what follows is for those who come after.
                    writer.line("held = filling.stale")
                    writer.answer_first()
                    writer.lines("held = None", "call.answered = True")
                with writer.block("try:"):
                    inner()
                with writer.block("except BaseException as cache_error:"):
                    writer.line("cached = filling.failed(cache_error, call, headers)")
                    with writer.block("if cached is None:"):
                        writer.line("raise")
                with writer.block("else:"):
                    writer.line("cached = filling.filled(status, content_type, body, call, headers)")
        writer.lines("held = cached", "status = held.status", "content_type = held.content_type", "body = held.body")

    def _emit_key(self, writer: Writer) -> None:
        """Write what the answer depends on, as far as that is known before there is one.

        The parameters of the path say all of it that an operation can see; an encoded slash is within one of them.
        """
        rules = self.rules
        key = [writer.bind("cache_name", rules.name)]
        if self._chosen is not None:
            chosen, choose = writer.bind("representations", self._chosen), writer.bind("choose_kind", self._choose)
            writer.lines(
                'accept = headers.get(b"accept")',
                f"cache_kind = ({chosen}.get(accept) or {choose}(accept))[1]",
            )
            key.append("cache_kind")
        if rules.by_principal:
            who = writer.bind("caller", self.responses.callers)
            writer.line(f"cache_who = None if call.principal is None else {who}(call.principal)")
            key.append("cache_who")
        writer.line(f"cache_query = {writer.bind('normal_query', quick_query)}(raw_query) if raw_query else ()")
        key.append("cache_query")
        key += [f"headers.get({writer.bind('varied', name)})" for name in rules.vary]
        key += [f"parts[{place}]" for place in rules.places]
        writer.line(f"cache_key = ({', '.join(key)})")

    def _looker(self) -> Callable[[Any, dict[bytes, bytes]], Shown | None]:
        """Return the function that finds a fresh answer; it is all that a hit costs."""
        responses = self.responses
        find, now, tags = responses.kept.get, responses.now, responses.tags
        current, heed = self.current, self.rules.heed

        def look(key: Any, headers: dict[bytes, bytes]) -> Shown | None:
            kept = find(key)
            if kept is None or (heed and b"cache-control" in headers):
                return None
            if not isinstance(kept, Kept):
                kept = find((key, kept.values(headers)))
                if not isinstance(kept, Kept):
                    return None
            moment = now()
            if moment >= kept.fresh_until or (kept.checked != tags.changes and not current(kept)):
                return None
            if (
                b"if-none-match" in headers
                or b"range" in headers
                or b"if-modified-since" in headers
                or b"if-match" in headers
                or b"if-unmodified-since" in headers
            ):
                return kept.answer(headers, kept.hit(moment))
            return kept.shown if moment < kept.shown_until else kept.hit(moment)

        return look

    async def begin(
        self, primary: Any, call: Call, headers: dict[bytes, bytes], path: str, parts: list[str]
    ) -> Shown | Filling:
        """Return an answer that another call makes or has made, or a filling: this call is to make one.

        Raises:
            NotKept: The caller wants a kept answer only.
        """
        responses, rules = self.responses, self.rules
        tags = (path_tag(path), *rules.tags_of(parts))
        asks = cache_control(headers[b"cache-control"]) if rules.heed and b"cache-control" in headers else None
        wait = LONGEST_WAIT if rules.timeout is None else min(rules.timeout, LONGEST_WAIT)
        while True:
            key, old, why = self._find(primary, headers)
            if asks is not None:
                shown = self._asked_for(asks, old, headers)
                if shown is not None:
                    return shown
                if b"no-store" in asks or b"no-cache" in asks or b"max-age" in asks or b"min-fresh" in asks:
                    why = b"fwd=request"
                    if b"no-store" in asks:
                        return Filling(self, key, tags, call, headers, None, why, done=None, store=False)
                    return Filling(self, key, tags, call, headers, old, why, done=None)
            filling = responses.making.get(key)
            if filling is None or filling.done is None or not filling.joinable():
                stale = self._old(old, headers) if old is not None and self._revalidating(old) else None
                done = asyncio.get_running_loop().create_future()
                filling = Filling(self, key, tags, call, headers, old, why, done=done)
                filling.stale = stale
                responses.making[key] = filling
                return filling
            if old is not None and self._revalidating(old):
                return self._old(old, headers)
            try:
                async with asyncio.timeout(wait):
                    outcome = await asyncio.shield(filling.done)
            except TimeoutError:
                return Filling(self, key, tags, call, headers, old, why, done=None)
            if isinstance(outcome, Kept):
                # What came may depend on fields that nobody knew of before: then it is for those who have the same.
                if self._find(primary, headers)[1] is outcome:
                    return outcome.answer(headers, outcome.show(why + b"; collapsed", self._age(outcome) or None))
                continue
            if outcome is not None:
                raise outcome.with_traceback(None)
            if not filling.cancelled:
                return Filling(self, key, tags, call, headers, old, why, done=None)  # not to be kept: made for each

    def _find(self, primary: Any, headers: Mapping[bytes, bytes]) -> tuple[Any, Kept | None, bytes]:
        """Return the key, what is kept by it and not outdated, and what is to be said when that does not serve."""
        kept = self.responses.kept.get(primary)
        if isinstance(kept, Variants):
            primary = primary, kept.values(headers)
            kept = self.responses.kept.get(primary)
            why = b"fwd=vary-miss"
        else:
            why = b"fwd=uri-miss"
        if not isinstance(kept, Kept) or not self.current(kept):
            return primary, None, why
        return primary, kept, b"fwd=stale"

    def keep(self, key: Any, kept: Kept, headers: Mapping[bytes, bytes]) -> bool:
        """Keep an answer, apart from others of its target if it depends on header fields that are not in the key."""
        responses, verdict = self.responses, kept.verdict
        if verdict is None or len(kept.body) + OVERHEAD > responses.most:
            return False
        rules = self.rules
        coded = kept.named(b"content-encoding") is not None
        names = [name for name in verdict.vary if name not in rules.vary and not self._negotiated(name, coded=coded)]
        varied = isinstance(key[0], tuple)
        primary = key[0] if varied else key
        known = responses.kept.get(primary)
        before = known.names if isinstance(known, Variants) else ()
        union = tuple(sorted({*before, *names}))
        if not union:
            return responses.kept.put(primary, kept)
        if len(union) > _MOST_VARIED:
            return False
        if union == before and isinstance(known, Variants):
            variants = known
        else:
            variants = Variants(union, OVERHEAD + sum(map(len, union)))
            responses.kept.put(primary, variants)
        return responses.kept.put((primary, variants.values(headers)), kept)

    def _negotiated(self, name: bytes, *, coded: bool) -> bool:
        """Return whether *name* makes no difference here: the key has its outcome, or it is applied afterwards."""
        return (name == b"accept-encoding" and not coded) or (name == b"accept" and self._chosen is not None)

    def current(self, kept: Kept) -> bool:
        """Return whether nothing has outdated *kept*."""
        tags = self.responses.tags
        changes = tags.changes
        if kept.checked == changes:
            return True
        if not tags.current(kept.tags, kept.versions, kept.epoch):
            return False
        kept.checked = changes
        return True

    def stale_for_error(self, old: Kept) -> bool:
        """Return whether *old*, if it is no error itself, may stand in for one."""
        return old.status < 500 and old.verdict is not None and self._within(old, old.verdict.if_error)

    def _revalidating(self, old: Kept) -> bool:
        return old.verdict is not None and self._within(old, old.verdict.while_revalidating)

    def _within(self, old: Kept, stale: float) -> bool:
        now = self.responses.now()
        return stale > 0 and now < old.fresh_until + stale and self.current(old)

    def _old(self, old: Kept, headers: Mapping[bytes, bytes]) -> Shown:
        return old.answer(headers, old.hit(self.responses.now()))

    def _age(self, kept: Kept) -> int:
        return max(0, int(self.responses.now() - kept.born))

    def _asked_for(self, asks: Directives, old: Kept | None, headers: Mapping[bytes, bytes]) -> Shown | None:
        """Return what is kept if that is what the request's directives ask for (RFC 9111 §5.2.1).

        Raises:
            NotKept: It is not, and nothing else will do.
        """
        if old is not None and old.verdict is not None and not (b"no-cache" in asks or b"no-store" in asks):
            verdict, age = old.verdict, self._age(old)
            left = old.fresh_until - self.responses.now()
            oldest, margin = asks.seconds(b"max-age"), asks.seconds(b"min-fresh")
            young = (oldest is None or age <= oldest) and (margin is None or left >= margin)
            late = asks.seconds(b"max-stale")
            if late is not None and asks.bare(b"max-stale"):
                late = 2**31
            tolerated = late is not None and verdict.stale and left >= -late
            if young and (left > 0 or tolerated):
                return self._old(old, headers)
        if b"only-if-cached" in asks:
            raise NotKept("There is no kept answer that will do.")
        return None

    def pairs(self, status: int, content_type: bytes | None, body: bytes, own: Fields, more: Fields) -> Fields:
        """Return the header fields of an answer; what the operation sets itself replaces what all answers have."""
        named = {name for name, _ in own}
        fields: Fields = []
        if content_type is not None:
            fields = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
        elif status not in (204, 304):
            fields = [(b"content-length", b"0")]
        fields += [pair for pair in self._base if pair[0] == b"vary" or pair[0] not in named]
        fields += own
        fields += more
        if self.rules.vary_field is not None:
            fields.append(self.rules.vary_field)
        return fields


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


_remembered_query = lru_cache(maxsize=4096)(normal_query)


def quick_query(raw: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Return the same, remembered for queries that are short."""
    return _remembered_query(raw) if len(raw) <= _LONGEST_REMEMBERED else normal_query(raw)
