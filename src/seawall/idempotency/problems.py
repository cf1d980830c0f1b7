"""What a call with an idempotency key may be refused with (draft-ietf-httpapi-idempotency-key-header-06 §2.7)."""

from __future__ import annotations

from seawall.problems import BadRequest, Conflict, InvalidInput

__all__ = ["IdempotencyKeyReused", "InvalidIdempotencyKey", "RequestInProgress"]


class InvalidIdempotencyKey(BadRequest):
    """400: the operation takes a key and there is none, or it is malformed."""

    type = "urn:problem-type:seawall:invalid-idempotency-key"
    title = "Idempotency-Key missing or malformed"
    guard = "idempotency"


class RequestInProgress(Conflict):
    """409: a request with this key is being worked on; ``Retry-After`` says when to ask again."""

    type = "urn:problem-type:seawall:request-in-progress"
    title = "The same request is in progress"
    guard = "idempotency"


class IdempotencyKeyReused(InvalidInput):
    """422: the key was used for another request."""

    type = "urn:problem-type:seawall:idempotency-key-reused"
    title = "Idempotency-Key used for another request"
    guard = "idempotency"
