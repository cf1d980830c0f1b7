"""Signs the tokens that the `stack` workloads send: JWS with HS256, as RFC 9068 wants access tokens."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

from benchmarks.contenders.identity import AUDIENCE, ISSUER, ROLE, SECRET

LIFETIME = 12 * 3600  # seconds; longer than a run
BEGUN = int(time.time())


def token(
    user: str,
    number: int = 0,
    *,
    secret: str = SECRET,
    algorithm: str = "HS256",
    **claims: Any,
) -> str:
    """Return a token of a customer; `number` tells tokens of one user apart, `claims` replace those it would have."""
    said = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": user,
        "client_id": "benchmark",
        "iat": BEGUN,
        "exp": BEGUN + LIFETIME,
        "jti": f"{number:08d}",
        "roles": [ROLE],
        **claims,
    }
    signed = f"{_part({'alg': algorithm, 'typ': 'at+jwt'})}.{_part(said)}"
    if algorithm == "none":
        return f"{signed}."
    return f"{signed}.{_encoded(hmac.digest(secret.encode(), signed.encode(), hashlib.sha256))}"


def _part(value: dict[str, Any]) -> str:
    return _encoded(json.dumps(value, separators=(",", ":")).encode())


def _encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
