"""Bearer tokens (RFC 6750): the scheme, and where its keys come from."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from seawall.auth.fetching import Fetch, HttpxFetch
from seawall.auth.jws import InvalidToken
from seawall.auth.keyring import FileKeys, KeyRing, RemoteKeys
from seawall.auth.keys import keys_from_pem, secret_key
from seawall.auth.revocation import RevocationList
from seawall.auth.scheme import Attached, Refused, Scheme, VerifiedCache, quoted
from seawall.auth.tokens import TokenRules, TokenVerifier, UnknownKey
from seawall.call import Call, Principal
from seawall.clock import Clock
from seawall.plan import Writer
from seawall.problems import ConfigurationError

__all__ = ["BearerTokens", "keys_from_settings"]

logger = logging.getLogger("seawall.auth")


class BearerTokens(Scheme):
    """Access tokens in ``Authorization: Bearer``, checked here: signature, issuer, audience, time, type.

    ::

        service = Service("store", auth=BearerTokens())     # keys, issuer and audience from [auth]

    Whatever is not given is taken from the settings. A token that proved valid is recognised by one look-up in a
    dictionary until it expires, the keys change or something is revoked.

    Args:
        keys: What signatures are checked with.
        issuer: The ``iss`` of tokens.
        audience: One of these must be in a token's ``aud``.
        rules: Every rule for tokens, instead of *issuer* and *audience*.
        revoked: What was taken back.
        name: What the scheme is called in the API document.
        cache: Valid tokens that are remembered; 0 remembers none.
        fetch: Gets keys from ``[auth] jwks_url``.
    """

    reads = "authorization"

    def __init__(
        self,
        keys: KeyRing | None = None,
        *,
        issuer: str | None = None,
        audience: str | Iterable[str] | None = None,
        rules: TokenRules | None = None,
        revoked: RevocationList | None = None,
        name: str = "bearer",
        cache: int | None = None,
        fetch: Fetch | None = None,
    ) -> None:
        self.name = name
        self.revoked = revoked
        self._given = keys, issuer, (audience,) if isinstance(audience, str) else audience, rules, cache
        self._fetch = fetch
        self._keys = keys
        self._longest = 8 * 1024
        self._realm = ""
        self.cache = VerifiedCache(0)
        self.verifier: TokenVerifier
        self._clock: Clock

    def attach(self, to: Attached) -> None:
        """Take keys, issuer, audience and limits from ``[auth]`` where they were not given.

        Raises:
            ConfigurationError: Keys, issuer or audience are given nowhere, or a key cannot be used.
        """
        _, issuer, audience, rules, cache = self._given
        settings = to.settings
        if self._keys is None:
            self._keys = keys_from_settings(settings, self._fetch)
        if rules is None:
            issuer = issuer or settings.issuer
            audience = tuple(audience or settings.audience)
            missing = [name for name, value in (("issuer", issuer), ("audience", audience)) if not value]
            if missing:
                raise ConfigurationError(
                    f"bearer tokens: no {' and no '.join(missing)} to compare tokens with, so that one made for "
                    f"another service would do. Set {', '.join(f'[auth] {name}' for name in missing)}, or give them to "
                    "BearerTokens(issuer=…, audience=…)."
                )
            rules = TokenRules(
                issuer=issuer or "",
                audience=frozenset(audience),
                types=None if "*" in settings.token_types else frozenset(each.lower() for each in settings.token_types),
                algorithms=frozenset(settings.algorithms),
                leeway=settings.leeway,
                roles_claim=settings.roles_claim,
            )
        self._realm, self._clock, self._longest = to.realm, to.clock, settings.max_token_bytes
        self.cache.most = settings.token_cache if cache is None else cache
        self.cache.clear()
        self.verifier = TokenVerifier(self._keys, rules, to.clock, self.revoked)
        self._keys.on_change(self._forget)
        if self.revoked is not None:
            self.revoked.on_change(self._forget)

    def _forget(self) -> None:
        self.cache.clear()

    def document(self) -> Mapping[str, Any]:
        """Return the Security Scheme Object."""
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}

    def fast(self, writer: Writer, alone: str, found: Callable[[str], None]) -> bool:
        """Write the look-up of a token that proved valid before."""
        entries = writer.bind("verified_tokens", self.cache.get)
        unknown = writer.bind("unknown_token", (None, 0.0))
        now = writer.bind("time", self._clock.time)
        writer.line(f'principal, valid_until = {entries}(call.metadata.get(b"authorization"), {unknown})')
        with writer.block(f"if valid_until > {now}(){' and ' if alone else ''}{alone}:"):
            found("principal")
        return True

    async def authenticate(self, call: Call, *, unsafe: bool) -> Principal | None:  # noqa: ARG002 - no browser sends one by itself
        """Return whose token the call brings; None without one.

        Raises:
            Refused: It is not valid.
            Unavailable: There are no keys yet to check it with.
        """
        sent = call.metadata.get(b"authorization")
        if sent is None or sent[:7].lower() != b"bearer ":
            return None
        known = self.cache.get(sent)
        now = self._clock.time()
        if known is not None and known[1] > now:
            return known[0]
        if len(sent) > self._longest + 7:
            raise Refused("The token is not valid: it is too long.")
        token = sent[7:].strip(b" ")
        try:
            try:
                principal, until = self.verifier(token)
            except UnknownKey:
                await self.verifier.keys.missing(self._clock)
                principal, until = self.verifier(token)
        except InvalidToken as error:
            raise Refused(f"The token is not valid: {error}.") from None
        self.cache.put(sent, principal, until, now)
        return principal

    def challenge(self, error: str | None, scopes: Iterable[str] = ()) -> str | None:
        """Return the challenge of RFC 6750 §3."""
        parts = [f"Bearer realm={quoted(self._realm)}"]
        wanted = " ".join(sorted(scopes))
        if wanted:
            parts.append('error="insufficient_scope"')
        elif error is not None:
            parts.append('error="invalid_token"')
        if error is not None:
            parts.append(f"error_description={quoted(error.replace(chr(34), chr(39)).replace(chr(92), '/'))}")
        if wanted:
            parts.append(f"scope={quoted(wanted)}")
        return ", ".join(parts)

    def background(self) -> Iterable[tuple[str, Callable[[], Awaitable[None]]]]:
        """Return what keeps the keys fresh, and what follows revocations."""
        keys = self.verifier.keys.background(self._clock)
        if keys is not None:
            yield keys
        if self.revoked is not None:
            revoked, clock = self.revoked, self._clock

            async def follow() -> None:
                await revoked.run(clock, _not_read)

            yield "revocations", follow


def _not_read(error: Exception) -> None:
    logger.warning("revocations cannot be read: %s: %s; those read before count on", type(error).__name__, error)


def keys_from_settings(settings: Any, fetch: Fetch | None = None) -> KeyRing:
    """Return the keys that ``[auth]`` names.

    Raises:
        ConfigurationError: It names none, several, or one that cannot be used.
    """
    given = {
        name: value
        for name in ("secret", "public_key", "keys_file", "jwks_url")
        if (value := getattr(settings, name)) is not None
    }
    if len(given) != 1:
        what = "none of them is set" if not given else f"{' and '.join(given)} are set"
        raise ConfigurationError(
            f"bearer tokens: tell what they are checked with, by exactly one of [auth] secret, public_key, keys_file "
            f"and jwks_url ({what})."
        )
    name, value = given.popitem()
    try:
        if name == "secret":
            allowed = [each for each in ("HS256", "HS384", "HS512") if each in settings.algorithms]
            if not allowed:
                raise ValueError(
                    f"a secret is for HS256, and [auth] algorithms has only {', '.join(settings.algorithms)}"
                )
            return KeyRing([secret_key(value.get_secret_value(), algorithm=each) for each in allowed[:1]])
        if name == "public_key":
            return KeyRing(keys_from_pem(value))
        if name == "keys_file":
            return FileKeys(value)
        fetch = fetch or HttpxFetch(timeout=settings.fetch_timeout, max_bytes=settings.fetch_max_bytes)
        return RemoteKeys(value, fetch, interval=settings.jwks_interval, min_interval=settings.jwks_min_interval)
    except ValueError as error:
        raise ConfigurationError(f"[auth] {name} cannot be used: {error}.") from None
