"""CORS: which pages of other origins may read answers (the Fetch standard, "CORS protocol").

The browser enforces it; a policy only says what it may let through. Everything is computed at start-up or
remembered: a request from an origin seen before costs one dictionary look-up::

    headers = policy.cache.get(origin) or policy.headers_for(origin)
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from seawall.http.hosts import split_host
from seawall.problems import ConfigurationError

__all__ = ["CorsPolicy"]

RawHeaders = tuple[tuple[bytes, bytes], ...]

MAX_CACHED = 256
"""How many origins a policy remembers."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# A serialised origin: scheme, host, and a port unless it is the scheme's own (HTML standard, "origin").
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?#@\\\s]+)")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_VARY_ORIGIN = (b"vary", b"Origin")
# What every page may send with simple values anyway; JSON makes even these need a preflight.
_SAFELISTED = ("accept", "accept-language", "content-language", "content-type")
_STRANGER = "https://stranger.invalid"
_MAX_HEADER_BYTES = 4096


@dataclass(frozen=True, slots=True)
class CorsPolicy:
    """Who may read answers from a page of another origin; by default nobody.

    Args:
        origins: Exact origins (``"https://shop.example.com"``), compiled patterns that must match a whole
            origin, or ``"*"`` for all.
        methods: Methods a page may use. (GET, HEAD and POST pass without a preflight whatever stands here.)
        headers: Request header fields a page may send, besides Accept, Accept-Language, Content-Language and
            Content-Type; ``"*"`` allows any.
        expose: Response header fields a page may read.
        credentials: Whether the browser sends cookies and certificates, and lets the page read the answer.
        max_age: How long a browser may remember a preflight, in seconds (browsers cap it at 7,200 to 86,400).

    Raises:
        ConfigurationError: An origin, method or header is malformed; ``"*"`` together with credentials, or a
            pattern that lets any origin in together with credentials; *max_age* is negative.
    """

    origins: tuple[str | re.Pattern[str], ...] = ()
    methods: tuple[str, ...] = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
    headers: tuple[str, ...] = ("Authorization", "Idempotency-Key", "X-Request-ID")
    expose: tuple[str, ...] = ()
    credentials: bool = False
    max_age: int = 600
    cache: dict[bytes | None, RawHeaders] = field(init=False, repr=False, compare=False, default_factory=dict)
    _allowed_headers: frozenset[str] = field(init=False, repr=False, compare=False, default=frozenset())

    def __post_init__(self) -> None:
        for origin in self.origins:
            self._check_origin(origin)
        for kind, names in (
            ("method", self.methods),
            ("header", self.headers),
            ("exposed header", self.expose),
        ):
            for name in names:
                if _TOKEN.fullmatch(name) is None:
                    raise ConfigurationError(f"CORS {kind} {name!r} is not a token: give each name by itself")
        if self.credentials and "*" in self.expose:
            raise ConfigurationError(
                "CORS expose '*' means a header of that name once credentials are allowed: name the headers"
            )
        if self.max_age < 0:
            raise ConfigurationError(f"CORS max_age {self.max_age} is negative: give seconds, or 0 for no memory")
        allowed = frozenset((*_SAFELISTED, *(name.lower() for name in self.headers)))
        object.__setattr__(self, "_allowed_headers", allowed)
        strangers: RawHeaders = (_VARY_ORIGIN,) if self.origins else ()
        self.cache[None] = self._granted(None) if "*" in self.origins else strangers

    def headers_for(self, origin: bytes | None) -> RawHeaders:
        """Return the header pairs for an answer to a request with this `Origin`; never raises.

        Unless every origin gets the same answer they include ``Vary: Origin``, also for strangers and for
        requests without an origin, so that a shared cache keeps the answers apart.
        """
        found = self.cache.get(origin)
        if found is not None:
            return found
        if origin is None or "*" in self.origins or not self._allows(origin):
            # Strangers are not remembered: they cannot use up the room of those who are allowed.
            return self.cache[None]
        headers = self._granted(origin)
        if len(self.cache) < MAX_CACHED:
            self.cache[origin] = headers
        return headers

    def preflight(self, origin: bytes | None, method: bytes, headers: bytes | None) -> list[tuple[bytes, bytes]] | None:
        """Answer a preflight request; never raises.

        Args:
            origin: The `Origin` field.
            method: The `Access-Control-Request-Method` field.
            headers: The `Access-Control-Request-Headers` field, or None.

        Returns:
            Header pairs for a 204, or None when the origin, the method or one of the headers is not allowed.
        """
        if origin is None or not self._allows(origin):
            return None
        name = method.decode("latin-1")
        if name not in self.methods and not ("*" in self.methods and _TOKEN.fullmatch(name)):
            return None
        asked = _names(headers)
        if asked is None or not ("*" in self.headers or self._allowed_headers.issuperset(asked)):
            return None
        # What was asked for is echoed: "*" would mean a header of that name once credentials are allowed.
        answer = [pair for pair in self._granted(origin) if pair[0] != b"access-control-expose-headers"]
        methods = method if "*" in self.methods else ", ".join(self.methods).encode("ascii")
        answer.append((b"access-control-allow-methods", methods))
        if asked:
            answer.append((b"access-control-allow-headers", ", ".join(asked).encode("ascii")))
        answer.append((b"access-control-max-age", b"%d" % self.max_age))
        answer.append((b"vary", b"Access-Control-Request-Method, Access-Control-Request-Headers"))
        return answer

    def _granted(self, origin: bytes | None) -> RawHeaders:
        answer: list[tuple[bytes, bytes]] = []
        if "*" in self.origins:
            answer.append((b"access-control-allow-origin", b"*"))
        elif origin is not None:
            answer += [(b"access-control-allow-origin", origin), _VARY_ORIGIN]
        if self.credentials:
            answer.append((b"access-control-allow-credentials", b"true"))
        if self.expose:
            answer.append((b"access-control-expose-headers", ", ".join(self.expose).encode("ascii")))
        return tuple(answer)

    def _allows(self, origin: bytes) -> bool:
        if "*" in self.origins:
            return True
        text = origin.decode("latin-1")
        if text in self.origins:
            return True
        if len(text) > 512 or _problem(text) is not None:
            return False
        return any(not isinstance(rule, str) and rule.fullmatch(text) is not None for rule in self.origins)

    def _check_origin(self, origin: str | re.Pattern[str]) -> None:
        if not isinstance(origin, str):
            if self.credentials and origin.fullmatch(_STRANGER):
                raise ConfigurationError(
                    f"CORS pattern {origin.pattern!r} lets any origin in, with credentials: name the domain in it"
                )
            return
        if origin == "*":
            if self.credentials:
                raise ConfigurationError(
                    "CORS origin '*' cannot go with credentials: name the origins, or set credentials=False"
                )
            if len(self.origins) > 1:
                raise ConfigurationError("CORS origin '*' makes the other origins pointless: leave either out")
            return
        problem = _problem(origin)
        if problem is not None:
            raise ConfigurationError(f"CORS origin {origin!r} {problem}")


def _problem(origin: str) -> str | None:
    """Say what keeps *origin* from being a serialised origin, and the fix; None when nothing does."""
    if origin == "null":
        return "is what sandboxed pages and local files of anybody send: name a real origin"
    match = _ORIGIN.fullmatch(origin)
    if match is None:
        return "is not an origin: write 'https://shop.example.com', with a scheme, without path or final slash"
    scheme, authority = match.groups()
    parts = split_host(authority)
    if parts is None:
        return "has a malformed host: write 'https://shop.example.com' or, with a port, 'http://localhost:5173'"
    name, port = parts
    if port is not None and _DEFAULT_PORTS.get(scheme) == port:
        return f"names the scheme's own port, which browsers leave out: write '{scheme}://{name}'"
    canonical = name if port is None else f"{name}:{port}"
    if authority != canonical:
        return f"is not as browsers write it: write '{scheme}://{canonical}'"
    return None


def _names(headers: bytes | None) -> list[str] | None:
    """Return the names in a list in lower case; None when one is malformed or the list is absurdly long."""
    if not headers:
        return []
    if len(headers) > _MAX_HEADER_BYTES:
        return None
    names = [name.strip(" \t").lower() for name in headers.decode("latin-1").split(",")]
    names = [name for name in names if name]
    return names if all(_TOKEN.fullmatch(name) for name in names) else None
