"""Versions of an API: by path, header field or media type; and the fields that announce the end of one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from seawall.http.dates import http_date, structured_date
from seawall.http.media import parse
from seawall.operation import Policy
from seawall.problems import BadRequest, DeclarationError, NotAcceptable, Problem

__all__ = ["Versions", "farewell_fields", "version_switch"]

Target = Callable[[Any, Any, Any, list[str]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Versions:
    """How callers say which version they mean.

    Args:
        by: ``"path"`` puts ``/v2`` in front of the path; ``"header"`` reads *header*; ``"media"`` reads the
            ``version`` parameter of ``Accept``, as in ``application/json; version=2``.
        default: The version of a caller who names none; None makes naming one compulsory. Not for paths.
        header: The name of the header field.
        prefix: What stands before the version in a path.

    Raises:
        DeclarationError: *by* is unknown, or a default was given for paths.
    """

    by: Literal["path", "header", "media"] = "path"
    default: str | None = None
    header: str = "API-Version"
    prefix: str = "/v"

    def __post_init__(self) -> None:
        if self.by not in ("path", "header", "media"):
            raise DeclarationError(f"versions: by={self.by!r} is none of 'path', 'header', 'media'.")
        if self.by == "path" and self.default is not None:
            raise DeclarationError(
                "versions: a path always names its version, so default= has no meaning with by='path'; leave it out."
            )

    @property
    def vary(self) -> bytes | None:
        """The header field that answers depend on, besides ``Accept``."""
        return self.header.lower().encode() if self.by == "header" else None

    def asked(self, headers: list[tuple[bytes, bytes]]) -> str | None:
        """Return the version a caller names, or the default."""
        wanted = b"accept" if self.by == "media" else self.header.lower().encode()
        for name, value in headers:
            if name == wanted:
                named = _version_of(value) if self.by == "media" else value.decode("latin-1").strip()
                if named:
                    return named
        return self.default

    def refuse(self, asked: str | None, known: Mapping[str, Any]) -> Problem:
        """Return the problem for a version that is missing or not there."""
        versions = sorted(known)
        how = f"the header field {self.header}" if self.by == "header" else "the version parameter of Accept"
        if asked is None:
            return BadRequest(f"Say which version you mean in {how}: {', '.join(versions)}.", versions=versions)
        kind = NotAcceptable if self.by == "media" else BadRequest
        return kind(f"There is no version {asked!r} here; there is {', '.join(versions)}.", versions=versions)


def _version_of(accept: bytes) -> str | None:
    for item in accept.split(b","):
        media = parse(item.strip())
        if media is not None and (version := media.parameter("version")):
            return version
    return None


def version_switch(
    versions: Versions,
    targets: Mapping[str, Target],
    refuse: Callable[[Any, Any, Any, Problem], Awaitable[None]],
) -> Target:
    """Return a target that hands a call to the version it names."""

    def switch(scope: Any, receive: Any, send: Any, parts: list[str]) -> Awaitable[None]:
        asked = versions.asked(scope["headers"])
        target = targets.get(asked) if asked is not None else None
        if target is None:
            return refuse(scope, receive, send, versions.refuse(asked, targets))
        return target(scope, receive, send, parts)

    return switch


def farewell_fields(policy: Policy) -> tuple[tuple[bytes, bytes], ...]:
    """Return the header fields that announce deprecation (RFC 9745), sunset (RFC 8594) and successor."""
    fields: list[tuple[bytes, bytes]] = []
    if policy.deprecated and not isinstance(policy.deprecated, bool):
        fields.append((b"deprecation", structured_date(policy.deprecated.timestamp())))
    if policy.sunset is not None:
        fields.append((b"sunset", http_date(policy.sunset.timestamp())))
    if policy.successor is not None:
        fields.append((b"link", f'<{policy.successor}>; rel="successor-version"'.encode()))
    return tuple(fields)
