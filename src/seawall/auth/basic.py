"""Basic authentication (RFC 7617): for machines behind mutual TLS, and for tests."""

from __future__ import annotations

import binascii
import hmac
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from seawall.auth.issuing import Grant
from seawall.auth.scheme import Attached, Refused, Scheme, VerifiedCache, quoted
from seawall.call import Call, Principal
from seawall.clock import Clock, SystemClock

__all__ = ["Basic", "decode_basic"]


class Basic(Scheme):
    """Name and password in ``Authorization: Basic``.

    They are sent with every call and open everything; use it where the connection proves more. What proved right is
    believed for *cache_seconds*, kept as a hash under a key that this process alone has.

    Args:
        login: Returns what name, password and address are granted, or None: a `PasswordLogin`.
        cache_seconds: How long a right password is believed.
        cache: How many of them.
        name: What the scheme is called in the API document.
    """

    reads = "authorization"

    def __init__(
        self,
        login: Callable[[str, str, str | None], Awaitable[Grant | None]],
        *,
        cache_seconds: float = 60.0,
        cache: int = 1_000,
        name: str = "basic",
    ) -> None:
        self.name = name
        self.cache = VerifiedCache(cache)
        self._login = login
        self._seconds = cache_seconds
        self._pepper = secrets.token_bytes(32)
        self._realm = ""
        self._clock: Clock = SystemClock()

    def attach(self, to: Attached) -> None:
        """Take the clock and the name of the service."""
        self._realm, self._clock = to.realm, to.clock
        self.cache.clear()

    def document(self) -> Mapping[str, Any]:
        """Return the Security Scheme Object."""
        return {"type": "http", "scheme": "basic"}

    async def authenticate(self, call: Call, *, unsafe: bool) -> Principal | None:  # noqa: ARG002 - see `Session` for browsers
        """Return who calls; None without such credentials.

        Raises:
            Refused: They are not valid.
            TooManyRequests: There were too many attempts.
        """
        sent = call.metadata.get(b"authorization")
        if sent is None or sent[:6].lower() != b"basic ":
            return None
        now = self._clock.time()
        mark = hmac.digest(self._pepper, sent, "sha256")
        known = self.cache.get(mark)
        if known is not None and known[1] > now:
            return known[0]
        pair = decode_basic(sent)
        if pair is None:
            raise Refused("Name and password cannot be read.")
        grant = await self._login(*pair, call.client)
        if grant is None:
            raise Refused("Name or password is not right.", "name or password is not right")
        principal = Principal(grant.subject, grant.roles, grant.scopes, grant.claims)
        self.cache.put(mark, principal, now + self._seconds, now)
        return principal

    def challenge(self, error: str | None, scopes: Iterable[str] = ()) -> str | None:  # noqa: ARG002
        """Return the challenge of RFC 7617 §2."""
        return f'Basic realm={quoted(self._realm)}, charset="UTF-8"'


def decode_basic(field: bytes) -> tuple[str, str] | None:
    """Return name and password of an ``Authorization: Basic`` field, or None where they cannot be read."""
    if len(field) > 4096 or field[:6].lower() != b"basic ":
        return None
    try:
        text = binascii.a2b_base64(field[6:].strip(b" "), strict_mode=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return None
    name, colon, password = text.partition(":")
    if not colon or any(each < " " or each == "\x7f" for each in text):
        return None
    return name, password
