"""What identity is answered with."""

from __future__ import annotations

from seawall.problems import Forbidden, Unauthorized

__all__ = ["InsufficientScope", "InvalidCredentials"]


class InvalidCredentials(Unauthorized):
    """401: the credentials that were sent are not valid; ``WWW-Authenticate`` says which are taken."""

    type = "urn:problem-type:seawall:invalid-credentials"
    title = "Invalid credentials"


class InsufficientScope(Forbidden):
    """403: the credentials are valid, but were not granted a scope this operation needs (RFC 6750 §3.1)."""

    type = "urn:problem-type:seawall:insufficient-scope"
    title = "Insufficient scope"
