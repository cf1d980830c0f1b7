"""Secrets that the service makes, and what it keeps of them."""

from __future__ import annotations

import hashlib
import secrets

__all__ = ["digest", "new_secret", "pkce_challenge"]


def new_secret(size: int = 32) -> str:
    """Return *size* random bytes as text that may stand anywhere: letters, digits, ``-`` and ``_``."""
    return secrets.token_urlsafe(size)


def digest(secret: str) -> str:
    """Return what is kept of a secret that `new_secret` made.

    SHA-256 is enough for 256 random bits: there is nothing to guess, as there is with a password.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def pkce_challenge(verifier: str) -> str:
    """Return the S256 code challenge of a PKCE verifier (RFC 7636 §4.2)."""
    import base64  # noqa: PLC0415 - sign-in only

    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
