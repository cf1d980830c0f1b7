"""Issuing: access tokens that say who calls, and refresh tokens that are used once each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Literal, Protocol

import msgspec

from seawall.auth.fingerprints import digest, new_secret
from seawall.auth.jws import encode_part
from seawall.auth.keys import Key
from seawall.auth.revocation import Revocation, RevocationList
from seawall.auth.tokens import ACCESS_TOKEN
from seawall.clock import Clock, SystemClock

__all__ = ["Family", "Grant", "InvalidGrant", "RefreshTokens", "Rotation", "TokenPair", "TokenService"]


class InvalidGrant(Exception):
    """A refresh token, code or password does not give access."""


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What is granted to whom.

    Args:
        subject: Who.
        roles: The subject's roles.
        scopes: What the credential may be used for.
        client: The client it is granted through.
        claims: Whatever else tokens shall say.
    """

    subject: str
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    client: str = ""
    claims: Mapping[str, Any] = {}


class Family(msgspec.Struct, frozen=True):
    """All refresh tokens that came of one login: each replaces the one before it.

    Args:
        id: Its name; the first half of every token of it.
        grant: What was granted.
        expires: When the whole family ends, in seconds since 1970.
    """

    id: str
    grant: Grant
    expires: float


class Rotation(msgspec.Struct, frozen=True):
    """What became of an attempt to use a refresh token."""

    outcome: Literal["rotated", "reused", "unknown"]
    family: Family | None = None


class RefreshTokens(Protocol):
    """Where families of refresh tokens are kept; of the tokens themselves, their hashes only."""

    async def open(self, family: Family, current: str) -> None:
        """Keep a new family whose token has the hash *current*."""

    async def rotate(self, family: str, used: str, fresh: str, now: float) -> Rotation:
        """In one step: if *used* is the hash of the family's present token, put *fresh* in its place.

        Any other hash means that a token was used twice, by its owner and by a thief: the family ends.
        """
        ...

    async def revoke_family(self, family: str) -> None:
        """End one family; does nothing when it has ended."""

    async def revoke_subject(self, subject: str) -> int:
        """End every family of *subject*; return how many there were."""
        ...


class TokenPair(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a client gets (RFC 6749 §5.1)."""

    access_token: str
    token_type: str
    expires_in: int
    refresh_token: str | None = None
    scope: str | None = None


class TokenService:
    """Makes tokens, renews them and takes them back.

    Args:
        key: What access tokens are signed with.
        issuer: Their ``iss``.
        audience: Their ``aud``.
        refresh_tokens: Where families are kept; None issues none.
        revoked: Where access tokens are taken back, for those who check them.
        regrant: Looks again, whenever a token is renewed, what its subject is granted now; None ends the family.
        access_seconds: How long access tokens live.
        refresh_seconds: How long a login lasts, however often its tokens are renewed.
        algorithm: What *key* signs with; the only one it has, by default.
        clock: What time it is.

    Raises:
        ValueError: *key* cannot sign, or not by that algorithm.
    """

    def __init__(
        self,
        key: Key,
        *,
        issuer: str,
        audience: str,
        refresh_tokens: RefreshTokens | None = None,
        revoked: RevocationList | None = None,
        regrant: Callable[[Grant], Awaitable[Grant | None]] | None = None,
        access_seconds: float = 300.0,
        refresh_seconds: float = 30 * 86_400.0,
        algorithm: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        if algorithm is None:
            if len(key.algorithms) != 1:
                raise ValueError(f"{key!r} can sign in several ways; say which, as in algorithm='PS256'")
            algorithm = next(iter(key.algorithms))
        key.sign(algorithm, b"")
        self.issuer = issuer
        self.audience = audience
        self.access_seconds = access_seconds
        self.revoked = revoked
        self._key = key
        self._algorithm = algorithm
        self._refresh_tokens = refresh_tokens
        self._regrant = regrant
        self._refresh_seconds = refresh_seconds
        self._clock = clock or SystemClock()

    def rotate_key(self, key: Key, algorithm: str | None = None) -> None:
        """Sign with *key* from now on; who checks tokens must know it already, and the one before until those expire.

        Raises:
            ValueError: *key* cannot sign by this algorithm.
        """
        algorithm = algorithm or (next(iter(key.algorithms)) if len(key.algorithms) == 1 else self._algorithm)
        key.sign(algorithm, b"")
        self._key, self._algorithm = key, algorithm

    async def issue(self, grant: Grant, *, refresh: bool = True) -> TokenPair:
        """Return tokens for *grant*: an access token and, if wanted, the first refresh token of a new family."""
        fresh = None
        if refresh and self._refresh_tokens is not None:
            family = Family(new_secret(16), grant, self._clock.time() + self._refresh_seconds)
            secret = new_secret()
            await self._refresh_tokens.open(family, digest(secret))
            fresh = f"{family.id}.{secret}"
        return self._pair(grant, fresh)

    async def refresh(self, token: str, scopes: Iterable[str] | None = None, client: str = "") -> TokenPair:
        """Return new tokens for a refresh token, which is used up by it.

        Args:
            token: The refresh token.
            scopes: Fewer scopes than were granted, for the access token alone (RFC 6749 §6).
            client: Who asks; must be the client it was issued to.

        Raises:
            InvalidGrant: It is not valid, was used before (then its whole family has ended), or asks for more scopes.
        """
        name, _, secret = token.partition(".")
        if self._refresh_tokens is None or not name or not secret or len(token) > 512:
            raise InvalidGrant("the refresh token is not valid")
        fresh = new_secret()
        rotation = await self._refresh_tokens.rotate(name, digest(secret), digest(fresh), self._clock.time())
        family = rotation.family
        if rotation.outcome != "rotated" or family is None:
            raise InvalidGrant("the refresh token is not valid")
        grant: Grant | None = family.grant
        if family.grant.client != client:
            # It was stolen from the client it belongs to: nobody may go on with it.
            await self._refresh_tokens.revoke_family(family.id)
            raise InvalidGrant("the refresh token is not valid")
        if self._regrant is not None:
            grant = await self._regrant(family.grant)
        if grant is None:
            await self._refresh_tokens.revoke_family(family.id)
            raise InvalidGrant("the refresh token is not valid")
        if scopes is not None:
            wanted = frozenset(scopes)
            if not wanted <= grant.scopes:
                raise InvalidGrant("it asks for scopes that were not granted")
            grant = msgspec.structs.replace(grant, scopes=wanted)
        return self._pair(grant, f"{name}.{fresh}")

    async def revoke(self, token: str) -> None:
        """End the family of a refresh token (logging out); does nothing for any other text (RFC 7009 §2.2)."""
        name, _, secret = token.partition(".")
        if self._refresh_tokens is not None and name and secret and "." not in secret:
            await self._refresh_tokens.revoke_family(name)

    async def revoke_subject(self, subject: str) -> None:
        """Log *subject* out everywhere: no token of theirs is renewed or, where *revoked* is followed, accepted."""
        if self._refresh_tokens is not None:
            await self._refresh_tokens.revoke_subject(subject)
        if self.revoked is not None:
            # Tokens tell the second they were issued in, and those of this second are meant as well.
            now = self._clock.time()
            await self.revoked.revoke(Revocation("subject", subject, int(now) + 1, now + self.access_seconds + 300))

    async def revoke_token(self, jti: str) -> None:
        """Take one access token back, where *revoked* is followed.

        Raises:
            ValueError: Nothing was given to keep that in.
        """
        if self.revoked is None:
            raise ValueError("this token service has nowhere to keep revocations; give it revoked=…")
        now = self._clock.time()
        await self.revoked.revoke(Revocation("token", jti, now, now + self.access_seconds + 300))

    def access_token(self, grant: Grant) -> str:
        """Return a signed access token (RFC 9068) for *grant*."""
        now = int(self._clock.time())
        claims: dict[str, Any] = {
            **grant.claims,
            "iss": self.issuer,
            "aud": self.audience,
            "sub": grant.subject,
            "client_id": grant.client,
            "iat": now,
            "nbf": now,
            "exp": now + int(self.access_seconds),
            "jti": new_secret(16),
        }
        if grant.roles:
            claims["roles"] = sorted(grant.roles)
        if grant.scopes:
            claims["scope"] = " ".join(sorted(grant.scopes))
        header: dict[str, Any] = {"alg": self._algorithm, "typ": ACCESS_TOKEN}
        if self._key.kid is not None:
            header["kid"] = self._key.kid
        signed = encode_part(msgspec.json.encode(header)) + b"." + encode_part(msgspec.json.encode(claims))
        return (signed + b"." + encode_part(self._key.sign(self._algorithm, signed))).decode("ascii")

    def _pair(self, grant: Grant, refresh: str | None) -> TokenPair:
        scope = " ".join(sorted(grant.scopes)) or None
        return TokenPair(self.access_token(grant), "Bearer", int(self.access_seconds), refresh, scope)
