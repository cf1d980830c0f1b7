"""Security headers: the fixed header fields of answers, computed once at start-up.

An API answer needs little: browsers must not guess its type. A page that Seawall serves itself (the
reference, tracebacks in development) gets a strict set, after the OWASP Secure Headers project.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from seawall.problems import ConfigurationError

__all__ = [
    "RawHeaders",
    "SecurityHeaders",
    "content_security_policy",
    "csp_hash",
    "hsts",
    "security_headers",
]

RawHeaders = tuple[tuple[bytes, bytes], ...]

_NOSNIFF = (b"x-content-type-options", b"nosniff")
# A source of a CSP directive: no white space, comma or semicolon, so that none can begin a directive of its
# own.
_SOURCE = re.compile(r"[\x21-\x2b\x2d-\x3a\x3c-\x7e]+")
_FORBIDDEN_IN_VALUE = re.compile(r"[^\x20-\x7e]")


@dataclass(frozen=True, slots=True)
class SecurityHeaders:
    """Raw header pairs to append to an answer: choose by what it is and by the scheme of the call.

    Args:
        api: Answers of operations over http.
        api_https: Answers of operations over https; with HSTS when that was asked for.
        page: HTML pages over http.
        page_https: HTML pages over https; with HSTS when that was asked for.
    """

    api: RawHeaders
    api_https: RawHeaders
    page: RawHeaders
    page_https: RawHeaders

    def choose(self, scheme: str, *, page: bool = False) -> RawHeaders:
        """Return the pairs for an answer over *scheme*."""
        if scheme in {"https", "wss"}:
            return self.page_https if page else self.api_https
        return self.page if page else self.api


def security_headers(
    *,
    hsts_seconds: int | None = None,
    hsts_subdomains: bool = False,
    hsts_preload: bool = False,
    page_policy: str | None = None,
) -> SecurityHeaders:
    """Compute the header pairs of a service.

    Args:
        hsts_seconds: How long browsers shall insist on https, in seconds; None sends no HSTS. It is sent only
            over https, as RFC 6797 §7.2 demands.
        hsts_subdomains: Whether that holds for hosts below this one too.
        hsts_preload: Whether to consent to the browsers' preload lists.
        page_policy: The Content-Security-Policy of pages; default `content_security_policy()`.

    Raises:
        ConfigurationError: As `hsts`; or *page_policy* holds a line break or a non-ASCII character.
    """
    policy = content_security_policy() if page_policy is None else page_policy
    if _FORBIDDEN_IN_VALUE.search(policy):
        raise ConfigurationError(f"page_policy {policy!r} holds a control or non-ASCII character: write it on one line")
    api: RawHeaders = (_NOSNIFF,)
    page: RawHeaders = (
        _NOSNIFF,
        (b"content-security-policy", policy.encode("ascii")),
        (b"referrer-policy", b"no-referrer"),
        (b"x-frame-options", b"DENY"),
        (b"cross-origin-opener-policy", b"same-origin"),
        (b"cross-origin-resource-policy", b"same-origin"),
    )
    if hsts_seconds is None:
        return SecurityHeaders(api, api, page, page)
    strict = hsts(hsts_seconds, subdomains=hsts_subdomains, preload=hsts_preload)
    return SecurityHeaders(api, (*api, strict), page, (*page, strict))


def hsts(seconds: int, *, subdomains: bool = False, preload: bool = False) -> tuple[bytes, bytes]:
    """Return the `Strict-Transport-Security` pair (RFC 6797); zero seconds takes an earlier one back.

    Raises:
        ConfigurationError: *seconds* is negative, or *preload* without a year and subdomains, which the
            preload lists demand.
    """
    if seconds < 0:
        raise ConfigurationError(f"HSTS of {seconds} seconds is negative: give a duration, or 0 to take it back")
    if preload and not (subdomains and seconds >= 31_536_000):
        raise ConfigurationError(
            f"HSTS preload with {seconds} seconds, subdomains={subdomains}: preload lists take only hosts "
            "that promise at least 31536000 seconds and include their subdomains"
        )
    value = f"max-age={seconds}"
    if subdomains:
        value += "; includeSubDomains"
    if preload:
        value += "; preload"
    return b"strict-transport-security", value.encode("ascii")


def content_security_policy(
    *,
    scripts: Sequence[str] = (),
    styles: Sequence[str] = (),
    connect: Sequence[str] = (),
    images: Sequence[str] = ("data:",),
) -> str:
    """Return a Content-Security-Policy that loads only from the page's own origin and runs nothing inline.

    Args:
        scripts: Further script sources, such as the `csp_hash` of an inline one.
        styles: Further style sources.
        connect: Further origins that scripts may call.
        images: Further image sources.

    Raises:
        ConfigurationError: A source holds white space, a comma or a semicolon, or is not ASCII.
    """
    for source in (*scripts, *styles, *connect, *images):
        if _SOURCE.fullmatch(source) is None:
            raise ConfigurationError(f"CSP source {source!r} is not one source: give each by itself, without ; or ,")

    def directive(name: str, further: Sequence[str]) -> str:
        return " ".join((name, "'self'", *further))

    return "; ".join(
        (
            "default-src 'none'",
            directive("script-src", scripts),
            directive("style-src", styles),
            directive("img-src", images),
            directive("font-src", ()),
            directive("connect-src", connect),
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


def csp_hash(source: bytes) -> str:
    """Return the source that allows exactly this inline script or style (CSP level 3 §2.3.1)."""
    return f"'sha256-{b64encode(sha256(source).digest()).decode('ascii')}'"
