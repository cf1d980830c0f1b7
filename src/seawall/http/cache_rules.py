"""What may be kept of an operation's answers, for whom: decided once, at start-up."""

from __future__ import annotations

from dataclasses import dataclass
from string import Formatter

from seawall.http.binding import Source
from seawall.http.encoding import returns_response
from seawall.http.route import Route
from seawall.plan import Place
from seawall.problems import DeclarationError
from seawall.units import duration_text

__all__ = ["Rules", "rules_of"]

_NEVER = (b"no-store", b"no-cache", b"private")
_BUILT_IN_VARY = frozenset({b"accept", b"accept-encoding"})


@dataclass(frozen=True, slots=True)
class Rules:
    """What one operation's policy comes to; times are seconds."""

    name: str
    ttl: float
    stale_while_revalidate: float
    stale_if_error: float
    timeout: float | None
    by_principal: bool
    vary: tuple[bytes, ...]
    cache_control: bytes
    vary_field: tuple[bytes, bytes] | None
    tags: tuple[tuple[str, tuple[int, ...]], ...]

    @property
    def note(self) -> str:
        """The rules, for people."""
        who = "each caller's own" if self.by_principal else "one for all"
        return f"{duration_text(self.ttl)}, {who}"

    def tags_of(self, parts: list[str]) -> tuple[str, ...]:
        """Return the tags of an answer to the path that splits into *parts*."""
        return tuple([text.format(*[parts[index] for index in places]) for text, places in self.tags])

    def may_keep(self, own: list[tuple[bytes, bytes]]) -> bool:
        """Return whether an answer with *own* header fields may be kept for others who ask the same."""
        for name, value in own:
            if name == b"set-cookie":
                return False
            if name == b"cache-control" and any(word in value.lower() for word in _NEVER):
                return False
            if name == b"vary":
                fields = {field.strip().lower() for field in value.split(b",")}
                if not fields <= {*self.vary, *_BUILT_IN_VARY}:
                    return False
        return True


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
    if returns_response(route.operation.returns):
        raise DeclarationError(f"{where}: cache keeps encoded values, not responses of its own; return a value.")
    sources = {bound.source for bound in route.bounds}
    if sources & {Source.BODY, Source.FORM, Source.REQUEST}:
        raise DeclarationError(f"{where}: cache cannot tell bodies or whole requests apart; take typed parameters.")
    if Source.CALL in sources and not cached.vary:
        raise DeclarationError(
            f"{where}: it takes the Call, through which it can read every header field, and cache cannot know which "
            "make a difference; take them as parameters, or name them: cache=CachePolicy(…, vary=['x-field'])."
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
    vary = tuple(dict.fromkeys([*cached.vary, *headers, *cookies]))
    shown = dict.fromkeys([*vary, *(("authorization", "cookie") if personal else ())])
    directives = ["public" if public else "private", f"max-age={int(cached.ttl)}"]
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
        vary=tuple(name.encode() for name in vary),
        cache_control=", ".join(directives).encode(),
        vary_field=(b"vary", ", ".join(shown).encode()) if shown else None,
        tags=tuple(_tag(text, route) for text in cached.tags),
    )


def _tag(text: str, route: Route) -> tuple[str, tuple[int, ...]]:
    """Return *text* with its names replaced by ``{}``, and where in the path's parts their values are."""
    where = route.operation.where
    places = iter(index for index, segment in enumerate(route.template.segments, 1) if segment is None)
    by_name = dict(zip(route.template.names, places, strict=True))
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
