"""Idempotency: what is asked for again under the same key is done once, and answered alike."""

from seawall.idempotency.keeper import IdempotencyOptions, Keeper
from seawall.idempotency.problems import IdempotencyKeyReused, InvalidIdempotencyKey, RequestInProgress
from seawall.idempotency.rule import Idempotency
from seawall.idempotency.store import Found, Store

__all__ = [
    "Found",
    "Idempotency",
    "IdempotencyKeyReused",
    "IdempotencyOptions",
    "InvalidIdempotencyKey",
    "Keeper",
    "RequestInProgress",
    "Store",
]
