"""API keys: long-lived credentials of machines, kept as hashes, found by their prefix."""

from __future__ import annotations

import hmac
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import msgspec

from seawall.auth.fingerprints import digest, new_secret
from seawall.auth.scheme import Attached, Refused, Scheme, VerifiedCache, quoted
from seawall.call import Call, Principal
from seawall.clock import Clock, SystemClock
from seawall.plan import Writer

__all__ = ["ApiKey", "ApiKeyStore", "ApiKeys", "KeyScheme"]

logger = logging.getLogger("seawall.auth")

_LABEL = re.compile(r"[a-z][a-z0-9]{0,15}")
_SENT = re.compile(rb"[a-z][a-z0-9]{0,15}_([0-9a-f]{16})_([A-Za-z0-9_-]{43})").fullmatch


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of an API key.

    Args:
        prefix: What it is found by; part of the key, and no secret.
        digest: The hash of its secret part.
        subject: Whom calls with it come from.
        name: What its owner calls it.
        scopes: What it may be used for.
        roles: The roles of calls with it.
        created: When it was made, in seconds since 1970.
        expires: When it ends, or None.
        revoked: When it was taken back, or None.
        last_used: When it was used, to within a minute, or None.
    """

    prefix: str
    digest: str
    subject: str
    name: str = ""
    scopes: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    created: float = 0.0
    expires: float | None = None
    revoked: float | None = None
    last_used: float | None = None


class ApiKeyStore(Protocol):
    """Where API keys are kept."""

    async def add(self, key: ApiKey) -> None:
        """Keep a new key."""

    async def find(self, prefix: str) -> ApiKey | None:
        """Return the key with this prefix."""
        ...

    async def list(self, subject: str) -> list[ApiKey]:
        """Return the keys of *subject*, the newest first."""
        ...

    async def revoke(self, prefix: str, subject: str | None, at: float) -> bool:
        """Take one key back, of *subject* if it is given; return whether there was such a key, and it was valid."""
        ...

    async def used(self, prefix: str, at: float) -> None:
        """Keep when the key was last used; never an earlier time than is kept."""


class ApiKeys:
    """Makes API keys and takes them back.

    Args:
        store: Where they are kept.
        label: What every key begins with, so that a leaked one is recognised: ``shop`` for ``shop_…``.
        clock: What time it is.

    Raises:
        ValueError: *label* is not 1 to 16 lower-case letters and digits.
    """

    def __init__(self, store: ApiKeyStore, *, label: str = "key", clock: Clock | None = None) -> None:
        if not _LABEL.fullmatch(label):
            raise ValueError(f"label={label!r}: use 1 to 16 lower-case letters and digits, a letter first")
        self.store = store
        self._label = label
        self._clock = clock or SystemClock()

    async def create(
        self,
        subject: str,
        *,
        name: str = "",
        scopes: Iterable[str] = (),
        roles: Iterable[str] = (),
        seconds: float | None = None,
    ) -> tuple[str, ApiKey]:
        """Make a key; return it, which nobody can do again, and what is kept of it."""
        prefix, secret, now = digest(new_secret())[:16], new_secret(), self._clock.time()
        key = ApiKey(
            prefix=prefix,
            digest=digest(secret),
            subject=subject,
            name=name,
            scopes=frozenset(scopes),
            roles=frozenset(roles),
            created=now,
            expires=None if seconds is None else now + seconds,
        )
        await self.store.add(key)
        return f"{self._label}_{prefix}_{secret}", key

    async def revoke(self, prefix: str, *, subject: str | None = None) -> bool:
        """Take a key back; return whether there was one."""
        return await self.store.revoke(prefix, subject, self._clock.time())

    async def list(self, subject: str) -> list[ApiKey]:
        """Return the keys of *subject*, the newest first."""
        return await self.store.list(subject)


class KeyScheme(Scheme):
    """API keys in a header field of their own.

    A key that proved valid is believed for *cache_seconds* without a look at the store, so one that is taken back is
    refused that much later at the latest. If the store is down, so is this way in: what it raises is the answer.

    Args:
        store: Where they are kept.
        header: The header field.
        cache_seconds: How long a valid key is believed.
        cache: Keys that are remembered.
        name: What the scheme is called in the API document.
    """

    def __init__(
        self,
        store: ApiKeyStore,
        *,
        header: str = "X-API-Key",
        cache_seconds: float = 5.0,
        cache: int = 10_000,
        name: str = "apiKey",
    ) -> None:
        self.name = name
        self.reads = header.lower()
        self.cache = VerifiedCache(cache)
        self._field = header.lower().encode("ascii")
        self._header = header
        self._store = store
        self._seconds = cache_seconds
        self._realm = ""
        self._clock: Clock = SystemClock()

    def attach(self, to: Attached) -> None:
        """Take the clock and the name of the service."""
        self._realm, self._clock = to.realm, to.clock
        self.cache.clear()

    def document(self) -> Mapping[str, Any]:
        """Return the Security Scheme Object."""
        return {"type": "apiKey", "in": "header", "name": self._header}

    def fast(self, writer: Writer, alone: str, found: Callable[[str], None]) -> bool:
        """Write the look-up of a key that proved valid a moment ago."""
        entries = writer.bind("verified_keys", self.cache.get)
        unknown = writer.bind("unknown_key", (None, 0.0))
        field = writer.bind("key_field", self._field)
        writer.line(f"principal, valid_until = {entries}(call.metadata.get({field}), {unknown})")
        with writer.block(
            f"if valid_until > {writer.bind('time', self._clock.time)}(){' and ' if alone else ''}{alone}:"
        ):
            found("principal")
        return True

    async def authenticate(self, call: Call, *, unsafe: bool) -> Principal | None:  # noqa: ARG002 - no browser sends one by itself
        """Return whose key the call brings; None without one.

        Raises:
            Refused: It is not valid.
            Exception: What the store raises when it is down.
        """
        sent = call.metadata.get(self._field)
        if sent is None:
            return None
        now = self._clock.time()
        known = self.cache.get(sent)
        if known is not None and known[1] > now:
            return known[0]
        form = _SENT(sent)
        if form is None:
            raise Refused("The API key is not valid.", "it is not in the form of a key")
        prefix, secret = form[1].decode(), form[2].decode()
        key = await self._store.find(prefix)
        if key is None or not hmac.compare_digest(key.digest, digest(secret)):
            raise Refused("The API key is not valid.", f"no key {prefix} with this secret")
        if key.revoked is not None:
            raise Refused("The API key is not valid.", f"key {prefix} was revoked")
        if key.expires is not None and key.expires <= now:
            raise Refused("The API key is not valid.", f"key {prefix} has expired")
        if key.last_used is None or key.last_used + 60 <= now:
            await self._store.used(prefix, now)
        principal = Principal(key.subject, key.roles, key.scopes, {"api_key": prefix})
        until = now + self._seconds
        self.cache.put(sent, principal, until if key.expires is None else min(until, key.expires), now)
        return principal

    def challenge(self, error: str | None, scopes: Iterable[str] = ()) -> str | None:  # noqa: ARG002
        """Return a challenge of our own: RFC 9110 wants one, and none is registered for API keys."""
        return f"ApiKey realm={quoted(self._realm)}, header={quoted(self._header)}"
