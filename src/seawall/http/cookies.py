"""Cookies: reading `Cookie` leniently, writing `Set-Cookie` strictly (RFC 6265bis).

What comes in was written by browsers, other applications on the same host and, at worst, an attacker on a
neighbouring one: whatever is unreadable is left out, and the rest is read. What goes out is ours: anything
that a browser would cut short, misread or refuse is a ValueError here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, TypedDict, Unpack

from seawall.http.dates import http_date

__all__ = ["CookieOptions", "delete_cookie", "parse_cookies", "set_cookie"]

SameSite = Literal["lax", "strict", "none"]

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")
_PATH = re.compile(r"/[\x20-\x3a\x3c-\x7e]*")
_DOMAIN = re.compile(
    r"\.?[0-9A-Za-z](?:[0-9A-Za-z-]{0,61}[0-9A-Za-z])?(?:\.[0-9A-Za-z](?:[0-9A-Za-z-]{0,61}[0-9A-Za-z])?)*"
)
_SAME_SITE = {"lax": "Lax", "strict": "Strict", "none": "None"}
_MAX_PAIR = 4096  # octets of name and value together that browsers keep (RFC 6265bis §5.6)
_MAX_ATTRIBUTE = 1024  # octets of an attribute's value (RFC 6265bis §5.6)


class CookieOptions(TypedDict, total=False):
    """What may be said about a cookie; what is left out is safe.

    - **max_age**: how many seconds it lives; zero or less removes it. Default: until the browser closes.
    - **expires**: the moment it ends, in seconds since 1970; browsers prefer *max_age*.
    - **path**: the path below which it is sent; default ``/``.
    - **domain**: also send it to hosts below this one; default: only to the host that set it.
    - **secure**: only over https; default True.
    - **http_only**: out of reach of scripts; default True.
    - **same_site**: ``"lax"`` (default), ``"strict"`` or ``"none"``.
    - **partitioned**: one jar per embedding site (CHIPS); default False.
    """

    max_age: int | None
    expires: float | None
    path: str
    domain: str | None
    secure: bool
    http_only: bool
    same_site: SameSite
    partitioned: bool


def parse_cookies(header: bytes, max_cookies: int = 180) -> dict[str, str]:
    """Parse a `Cookie` header field; several fields are joined with ``"; "`` first.

    Never raises. Left out: pairs without a name or without ``=``, pairs that are not UTF-8 or hold control
    characters, and everything after the first *max_cookies* pairs. One pair of double quotes around a value
    is removed; nothing else is unescaped. Of several cookies with one name the first wins: browsers send the
    one with the longest path, then the oldest, first (RFC 6265bis §5.8.3).

    Args:
        header: The raw field value.
        max_cookies: How many pairs are read; browsers keep about 180 per site.
    """
    try:
        text = header.decode("ascii")
    except UnicodeDecodeError:
        text = ""
    if not text.isprintable() or not text:
        text = ";".join(_readable(header))
    cookies: dict[str, str] = {}
    pairs = text.split(";", max_cookies)
    del pairs[max_cookies:]
    for pair in pairs:
        name, equals, value = pair.partition("=")
        name = name.strip(" \t")
        if not equals or not name or name in cookies:
            continue
        value = value.strip(" \t")
        if value[:1] == '"' and value[-1:] == '"' and len(value) > 1:
            value = value[1:-1]
        cookies[name] = value
    return cookies


def set_cookie(name: str, value: str, **options: Unpack[CookieOptions]) -> bytes:
    """Return the value of a `Set-Cookie` field.

    Unless said otherwise it ends in ``Path=/; Secure; HttpOnly; SameSite=Lax``.

    Raises:
        ValueError: The name is no token; the value holds anything but cookie octets (encode it first, with
            base64url or `urllib.parse.quote`); name and value exceed 4096 octets; path or domain are
            malformed or too long; ``same_site="none"`` or ``partitioned`` without ``secure``; the promises of
            a ``__Host-`` or ``__Secure-`` name are not kept.
    """
    path = options.get("path", "/")
    domain = options.get("domain")
    secure = options.get("secure", True)
    same_site = options.get("same_site", "lax")
    partitioned = options.get("partitioned", False)
    _check_pair(name, value)
    _check_scope(name, path, domain)
    _check_promises(name, path, domain, secure=secure, same_site=same_site, partitioned=partitioned)

    parts = [f"{name}={value}"]
    expires = options.get("expires")
    if expires is not None:
        parts.append(f"Expires={http_date(expires).decode()}")
    max_age = options.get("max_age")
    if max_age is not None:
        parts.append(f"Max-Age={int(max_age)}")
    if domain is not None:
        parts.append(f"Domain={domain.removeprefix('.').lower()}")
    parts.append(f"Path={path}")
    if secure:
        parts.append("Secure")
    if options.get("http_only", True):
        parts.append("HttpOnly")
    parts.append(f"SameSite={_SAME_SITE[same_site]}")
    if partitioned:
        parts.append("Partitioned")
    return "; ".join(parts).encode("ascii")


def delete_cookie(name: str, **options: Unpack[CookieOptions]) -> bytes:
    """Return the `Set-Cookie` value that removes a cookie.

    It must be given the path, domain and flags that the cookie was set with.

    Raises:
        ValueError: As `set_cookie`.
    """
    options["max_age"] = 0
    options["expires"] = 0.0  # for clients that know no Max-Age
    return set_cookie(name, "", **options)


def _readable(header: bytes) -> Iterator[str]:
    """Yield the pairs that are UTF-8 without control characters; a tab is allowed (RFC 6265bis §5.6)."""
    for pair in header.split(b";"):
        try:
            text = pair.decode().strip(" \t")
        except UnicodeDecodeError:
            continue
        if not any(_is_control(character) for character in text):
            yield text


def _is_control(character: str) -> bool:
    return (character < " " and character != "\t") or "\x7f" <= character <= "\x9f"


def _check_pair(name: str, value: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise ValueError(
            f"cookie name {name!r} is not a token: use only letters, digits and !#$%&'*+-.^_`|~ (RFC 6265bis §4.1.1)"
        )
    if _VALUE.fullmatch(value) is None:
        # The value may be a secret: it stays out of the message.
        raise ValueError(
            f"the value of cookie {name!r} holds a space, control, quote, comma, semicolon, backslash or "
            "non-ASCII character: encode it first, with base64url or urllib.parse.quote"
        )
    if len(name) + len(value) > _MAX_PAIR:
        raise ValueError(
            f"cookie {name!r} is {len(name) + len(value)} octets long and browsers keep {_MAX_PAIR}: "
            "store the data on the server and send its key"
        )


def _check_scope(name: str, path: str, domain: str | None) -> None:
    if _PATH.fullmatch(path) is None or len(path) > _MAX_ATTRIBUTE:
        raise ValueError(
            f"path {path!r} of cookie {name!r} must begin with '/', be ASCII without ';' or control "
            f"characters, and be at most {_MAX_ATTRIBUTE} octets long"
        )
    if domain is not None and (len(domain) > 254 or _DOMAIN.fullmatch(domain) is None):
        raise ValueError(
            f"domain {domain!r} of cookie {name!r} is not a host name: write 'example.com', or leave it out "
            "to keep the cookie to the host that sets it"
        )


def _check_promises(
    name: str, path: str, domain: str | None, *, secure: bool, same_site: str, partitioned: bool
) -> None:
    if same_site not in _SAME_SITE:
        raise ValueError(f"same_site {same_site!r} of cookie {name!r} must be 'lax', 'strict' or 'none'")
    # Browsers compare the prefixes without regard to case (RFC 6265bis §4.1.3).
    prefix = name.lower()
    if prefix.startswith("__host-") and not (secure and path == "/" and domain is None):
        raise ValueError(f"cookie {name!r} must be secure, with path '/' and without a domain, as its prefix promises")
    if secure:
        return
    if prefix.startswith("__secure-"):
        raise ValueError(f"cookie {name!r} must be secure, as its prefix promises")
    if same_site == "none":
        raise ValueError(f"cookie {name!r} with same_site='none' must be secure: browsers refuse it otherwise")
    if partitioned:
        raise ValueError(f"cookie {name!r} with partitioned=True must be secure: browsers refuse it otherwise")
