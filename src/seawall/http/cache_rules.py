"""What may be kept of an operation's answers, for whom: decided once, at start-up."""

from __future__ import annotations

from dataclasses import dataclass
from string import Formatter

from starlette.responses import FileResponse, StreamingResponse

from seawall.http.binding import Source
from seawall.http.conditional import CONDITIONS
from seawall.http.route import Route
from seawall.operation import bare, union_members
from seawall.plan import Place
from seawall.problems import DeclarationError
from seawall.units import duration_text

__all__ = ["Rules", "rules_of"]

_STREAMS = (StreamingResponse, FileResponse)
_CONDITIONS = frozenset(name.decode() for name in CONDITIONS)


@dataclass(frozen=True, slots=True)
class Rules:
    """What one operation's policy comes to; times are seconds.

    ``ttl`` is None where each answer says itself how long it is fresh. ``judged`` says that a guard of the operation
    looks at ``Authorization``, so that no answer needs to say that it may be kept in spite of it; ``places`` are those
    of the parameters among the parts of the path.
    """

    name: str
    ttl: float | None
    stale_while_revalidate: float
    stale_if_error: float
    timeout: float | None
    by_principal: bool
    judged: bool
    heed: bool
    targets: tuple[bytes, ...]
    vary: tuple[bytes, ...]
    cache_control: bytes | None
    vary_field: tuple[bytes, bytes] | None
    tags: tuple[tuple[str, tuple[int, ...]], ...]
    places: tuple[int, ...]

    @property
    def note(self) -> str:
        """The rules, for people."""
        who = "each caller's own" if self.by_principal else "one for all"
        return f"{'as each answer says' if self.ttl is None else duration_text(self.ttl)}, {who}"

    def tags_of(self, parts: list[str]) -> tuple[str, ...]:
        """Return the tags of an answer to the path that splits into *parts*."""
        return tuple([text.format(*[parts[index] for index in places]) for text, places in self.tags])


def rules_of(route: Route) -> Rules:
    """Return the rules of a route whose policy has ``cache``.

    Raises:
        DeclarationError: Its answers cannot be kept, or not without giving one caller what is another's.
    """
    policy, cached, where = route.policy, route.policy.cache, route.operation.where
    assert cached is not None  # noqa: S101 - the caller has looked
    if route.method != "GET":
        raise DeclarationError(
            f"{where}: cache is for GET (which answers HEAD too), and this is {route.method}; write cache=None, or "
            "move cache from the service or group to its GET operations."
        )
    for kind in union_members(route.operation.returns):
        if isinstance(bare(kind), type) and issubclass(bare(kind), _STREAMS):
            raise DeclarationError(
                f"{where}: cache keeps answers that are whole, not {bare(kind).__name__}; return a value or a Response."
            )
    sources = {bound.source for bound in route.bounds}
    if sources & {Source.BODY, Source.FORM, Source.REQUEST}:
        raise DeclarationError(f"{where}: cache cannot tell bodies or whole requests apart; take typed parameters.")
    if Source.CALL in sources and not cached.vary and cached.ttl is not None:
        raise DeclarationError(
            f"{where}: it takes the Call, through which it can read every header field, and cache cannot know which "
            "make a difference; take them as parameters, name them: cache=CachePolicy(…, vary=['x-field']), or let "
            "each answer say it in Vary: cache=CachePolicy(None)."
        )
    if (policy.allow is not None or any(bound.checks for bound in route.bounds)) and cached.by_principal is not True:
        raise DeclarationError(
            f"{where}: allow= and Check run behind the cache, so that a kept answer is given out without asking them "
            "again until its time is over; if that is acceptable for one and the same caller, write "
            "cache=CachePolicy(…, by_principal=True)."
        )
    by_principal = policy.closed if cached.by_principal is None else cached.by_principal
    if policy.closed and not by_principal and Source.PRINCIPAL in sources:
        raise DeclarationError(
            f"{where}: it takes the Principal, and with by_principal=False one caller would get another's answer."
        )
    known = policy.closed or any(guard.place is Place.AUTHENTICATE for guard in policy.guards)
    personal = by_principal or (known and not policy.closed) or Source.PRINCIPAL in sources
    public = not (policy.closed or personal) if cached.public is None else cached.public
    if public and personal:
        raise DeclarationError(
            f"{where}: its answers are for the one who calls, and public=True lets anybody on the way keep them for "
            "everybody; leave it out, or write by_principal=False as well if all callers may see the same."
        )
    headers = [bound.wire.lower() for bound in route.bounds if bound.source is Source.HEADER]
    headers += [field.wire.lower() for bound in route.bounds if bound.source is Source.HEADER for field in bound.fields]
    cookies = ["cookie"] if Source.COOKIE in sources else []
    # Conditions are the cache's to answer; an operation that takes one is told what is kept.
    names = [name for name in dict.fromkeys([*cached.vary, *headers, *cookies]) if name not in _CONDITIONS]
    shown = dict.fromkeys([*names, *(("authorization", "cookie") if personal else ())])
    # Whoever reads header fields may make links of the host, which is a part of the target (RFC 9111 §2).
    vary = dict.fromkeys([*names, *(("host",) if Source.CALL in sources else ())])
    directives = ["public" if public else "private", f"max-age={int(cached.ttl or 0)}"]
    if cached.stale_while_revalidate:
        directives.append(f"stale-while-revalidate={int(cached.stale_while_revalidate)}")
    if cached.stale_if_error:
        directives.append(f"stale-if-error={int(cached.stale_if_error)}")
    return Rules(
        name=f"{route.operation.name}@{route.version or ''} {route.path}",
        ttl=cached.ttl,
        stale_while_revalidate=cached.stale_while_revalidate,
        stale_if_error=cached.stale_if_error,
        timeout=policy.timeout,
        by_principal=by_principal or not policy.closed,
        judged=policy.closed,
        heed=cached.heed_requests,
        targets=tuple(name.encode() for name in cached.targets),
        vary=tuple(name.encode() for name in vary),
        cache_control=None if cached.ttl is None else ", ".join(directives).encode(),
        vary_field=(b"vary", ", ".join(shown).encode()) if shown else None,
        tags=tuple(_tag(text, route) for text in cached.tags),
        places=tuple(_places(route)),
    )


def _places(route: Route) -> list[int]:
    """Return where in the parts of the path its parameters are."""
    return [index for index, segment in enumerate(route.template.segments, 1) if segment is None]


def _tag(text: str, route: Route) -> tuple[str, tuple[int, ...]]:
    """Return *text* with its names replaced by ``{}``, and where in the path's parts their values are."""
    where = route.operation.where
    by_name = dict(zip(route.template.names, _places(route), strict=True))
    result, used = "", []
    try:
        for literal, name, spec, conversion in Formatter().parse(text):
            result += literal.replace("{", "{{").replace("}", "}}")
            if name is None:
                continue
            if name not in by_name or spec or conversion:
                raise ValueError(f"{{{name}}} is no parameter of the path {route.path}")
            result += "{}"
            used.append(by_name[name])
    except ValueError as error:
        raise DeclarationError(f"{where}: cache tag {text!r}: {error}.") from None
    return result, tuple(used)
