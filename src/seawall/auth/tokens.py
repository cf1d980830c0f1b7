"""Access tokens: what makes one valid (RFC 7519, RFC 9068, RFC 8725)."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from seawall.auth.algorithms import ALGORITHMS, known_algorithms
from seawall.auth.jws import Header, InvalidToken, Jws, decode_part, encode_part, parse
from seawall.auth.keyring import KeyRing
from seawall.auth.keys import Key
from seawall.auth.revocation import RevocationList
from seawall.call import Principal
from seawall.clock import Clock

__all__ = ["ACCESS_TOKEN", "TokenRules", "TokenVerifier", "UnknownKey"]

logger = logging.getLogger("seawall.auth")

ACCESS_TOKEN = "at+jwt"  # noqa: S105 - the type of a token, no token (RFC 9068 §2.1)
_MOST_CANDIDATES = 8
"""Keys that are tried for a token that names none."""
_MOST_HEADERS = 64
_decode = msgspec.json.Decoder().decode
_ONE = frozenset({"HS256", "HS384", "HS512"})


class UnknownKey(InvalidToken):
    """A token names a key that is not there; it may be there after the keys were read again."""


class TokenRules(msgspec.Struct, frozen=True, kw_only=True):
    """What a token must say.

    Args:
        issuer: Its ``iss``.
        audience: One of these must be in its ``aud``.
        types: Its ``typ`` must be one of these, in any case and with or without ``application/``; None takes any.
        algorithms: Its ``alg`` must be one of these.
        leeway: Seconds that clocks may differ.
        max_age: Seconds after its ``iat`` at which it ends, whatever its ``exp`` says; None for no such end.
        roles_claim: The claim that lists roles; dots lead into objects.
        scope_claims: The claims that list scopes; the first one there counts.
    """

    issuer: str
    audience: frozenset[str]
    types: frozenset[str] | None = frozenset({ACCESS_TOKEN})
    algorithms: frozenset[str] = frozenset({"RS256", "PS256", "ES256", "EdDSA", "Ed25519", "HS256"})
    leeway: float = 5.0
    max_age: float | None = None
    roles_claim: str = "roles"
    scope_claims: tuple[str, ...] = ("scope", "scp")


class TokenVerifier:
    """Decides whether a token is valid.

    Args:
        keys: What signatures are checked with.
        rules: What a token must say.
        clock: What time it is.
        revoked: What was taken back.
    """

    def __init__(self, keys: KeyRing, rules: TokenRules, clock: Clock, revoked: RevocationList | None = None) -> None:
        known_algorithms(rules.algorithms)
        self.keys = keys
        self.rules = rules
        self._clock = clock
        self._revoked = revoked
        self._headers: dict[bytes, Header] = {}

    def __call__(self, token: bytes) -> tuple[Principal, float]:
        """Return whose token it is, and until when it is valid, by the clock's `time`.

        Raises:
            UnknownKey: It names a key that is not there.
            InvalidToken: It is not valid.
        """
        jws = parse(token, self._headers)
        claims = self.signed_claims(jws)
        until = self.check(claims)
        if len(self._headers) >= _MOST_HEADERS:
            self._headers.clear()
        self._headers[token[: token.index(b".")]] = jws.header
        return self.principal(claims), until

    def signed_claims(self, jws: Jws) -> dict[str, Any]:
        """Return what a token says once its header and signature are right.

        Raises:
            InvalidToken: They are not, or it says nothing that is a JSON object.
        """
        header, rules = jws.header, self.rules
        if header.alg not in rules.algorithms:
            raise InvalidToken("its algorithm is not accepted")
        if rules.types is not None and _type(header.typ) not in rules.types:
            raise InvalidToken("it is not of the type that is accepted here")
        if header.cty is not None:
            raise InvalidToken("it holds another token")
        verify_signature(jws, self.keys.find(header.kid, header.alg))
        try:
            claims = _decode(decode_part(jws.payload))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise InvalidToken("its claims cannot be read") from None
        if type(claims) is not dict:
            raise InvalidToken("its claims are no object")
        return claims

    def check(self, claims: dict[str, Any]) -> float:
        """Return until when *claims* are valid, in seconds since 1970.

        Raises:
            InvalidToken: They are not valid, or not here, or not now.
        """
        rules, now = self.rules, self._clock.time()
        if claims.get("iss") != rules.issuer:
            raise InvalidToken("it comes from another issuer")
        audience = claims.get("aud")
        if not (audience in rules.audience if type(audience) is str else _any_in(audience, rules.audience)):
            raise InvalidToken("it is meant for another audience")
        expires = _moment(claims, "exp")
        if expires is None:
            raise InvalidToken("it does not say when it expires")
        until = expires + rules.leeway
        if until <= now:
            raise InvalidToken("it has expired")
        begins = _moment(claims, "nbf")
        if begins is not None and begins - rules.leeway > now:
            raise InvalidToken("it is not valid yet")
        issued = _moment(claims, "iat")
        if issued is not None and issued - rules.leeway > now:
            raise InvalidToken("it was issued in the future")
        if rules.max_age is not None:
            if issued is None or issued + rules.max_age + rules.leeway <= now:
                raise InvalidToken("it is too old")
            until = min(until, issued + rules.max_age + rules.leeway)
        subject = claims.get("sub")
        if type(subject) is not str or not subject:
            raise InvalidToken("it does not say whose it is")
        if self._revoked is not None and self._revoked.covers(claims):
            raise InvalidToken("it was revoked")
        return until

    def principal(self, claims: dict[str, Any]) -> Principal:
        """Return who *claims* are about."""
        rules = self.rules
        roles: Any = claims
        for part in rules.roles_claim.split("."):
            roles = roles.get(part) if type(roles) is dict else None
        scopes: Any = next((claims[name] for name in rules.scope_claims if name in claims), None)
        return Principal(claims["sub"], _names(roles), _names(scopes), claims)


def verify_signature(jws: Jws, keys: Iterable[Key]) -> None:
    """Check a signature with those of *keys* that may be used for its algorithm.

    Raises:
        UnknownKey: There is no such key.
        InvalidToken: None of them made it.
    """
    algorithm = jws.header.alg
    tried = 0
    for key in keys:
        if algorithm not in key.algorithms:
            continue
        tried += 1
        if algorithm in _ONE and key.secret is not None:
            # Compared as text: there is one way only to write a signature.
            digest = hmac.digest(key.secret, jws.signed, ALGORITHMS[algorithm].digest)
            if hmac.compare_digest(encode_part(digest), jws.signature):
                return
        elif key.verify(algorithm, jws.signed, decode_part(jws.signature)):
            return
        if tried >= _MOST_CANDIDATES:
            break
    if not tried:
        raise UnknownKey("it is signed with a key that is not known")
    raise InvalidToken("its signature is not right")


def _type(typ: str | None) -> str | None:
    if typ is None or typ in (ACCESS_TOKEN, "JWT"):
        return typ and typ.lower()
    lower = typ.lower()
    return lower.removeprefix("application/")


def _moment(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    # type() and not isinstance(): true and false are no moments.
    if (type(value) is int or type(value) is float) and -1e14 < value < 1e14:
        return value
    raise InvalidToken(f"its {name} is no moment")


def _any_in(values: Any, wanted: frozenset[str]) -> bool:
    return type(values) is list and any(type(each) is str and each in wanted for each in values)


def _names(value: Any) -> frozenset[str]:
    """Return what a claim lists: text apart by spaces (RFC 6749 §3.3), or a list of texts."""
    if type(value) is str:
        return frozenset(value.split())
    if type(value) is list:
        return frozenset([each for each in value if type(each) is str])
    return frozenset()
