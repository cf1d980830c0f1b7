"""Tokens as issuers and attackers make them, signed here by the plainest means."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from seawall.clock import SystemClock

__all__ = ["AUDIENCE", "ISSUER", "NOW", "SECRET", "b64", "claims", "clock_at", "hs256", "make", "signed", "unsigned"]

ISSUER = "https://issuer.example"
AUDIENCE = "shop"
SECRET = b"0123456789abcdef0123456789abcdef"
NOW = 1_800_000_000.0


class StoppedClock(SystemClock):
    """The time of day stands still until it is told otherwise; waiting is real."""

    __slots__ = ("now",)

    def __init__(self, now: float) -> None:
        self.now = now

    def time(self) -> float:  # type: ignore[override]
        return self.now

    def monotonic(self) -> float:  # type: ignore[override]
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def clock_at(moment: float = NOW) -> StoppedClock:
    return StoppedClock(moment)


KEYS: dict[str, Any] = {}


def key(kind: str) -> Any:
    """One private key of a kind for all tests: RSA keys take a while to make."""
    if kind not in KEYS:
        makers = {
            "RSA": lambda: RSAKey.generate_key(2048),
            "P-256": lambda: ECKey.generate_key("P-256"),
            "P-384": lambda: ECKey.generate_key("P-384"),
            "P-521": lambda: ECKey.generate_key("P-521"),
            "Ed25519": lambda: OKPKey.generate_key("Ed25519"),
        }
        KEYS[kind] = makers[kind]()
    return KEYS[kind]


def jwk(kind: str, **more: Any) -> dict[str, Any]:
    """The public JWK of that key."""
    document = dict(key(kind).as_dict(private=False))
    document.pop("kid", None)
    return {**document, **more}


def b64(data: bytes | dict[str, Any]) -> bytes:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def claims(**more: Any) -> dict[str, Any]:
    """Claims that are valid at `NOW`; None takes one away."""
    base = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "iat": int(NOW) - 10, "exp": int(NOW) + 300, "jti": "j1"}
    return {name: value for name, value in {**base, **more}.items() if value is not None}


def hs256(signed_part: bytes, secret: bytes = SECRET) -> bytes:
    return b64(hmac.digest(secret, signed_part, "sha256"))


def unsigned(header: dict[str, Any] | bytes, payload: dict[str, Any] | bytes) -> bytes:
    return b64(header) + b"." + b64(payload)


def make(payload: dict[str, Any] | bytes | None = None, *, secret: bytes = SECRET, **header: Any) -> str:
    """A token with HS256."""
    head = {"alg": "HS256", "typ": "at+jwt", **header}
    part = unsigned(head, claims() if payload is None else payload)
    return (part + b"." + hs256(part, secret)).decode()


def signed(alg: str, kind: str, payload: dict[str, Any] | None = None, **header: Any) -> str:
    """A token with an asymmetric algorithm."""
    part = unsigned({"alg": alg, "typ": "at+jwt", **header}, payload or claims())
    return (part + b"." + b64(JWSRegistry.algorithms[alg].sign(part, key(kind)))).decode()
