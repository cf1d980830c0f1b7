"""Keys, whose they are, and what requests they stand for."""

from __future__ import annotations

import hashlib
import re

from seawall.call import Call
from seawall.idempotency.problems import InvalidIdempotencyKey

__all__ = ["LONGEST", "PATTERN", "fingerprint_of", "read_key", "record_of"]

LONGEST = 255
"""Bytes of a key, as Stripe has it."""

# A structured string (RFC 9651 §3.3.3), as the draft says; and what clients of Stripe and others send: no quotes.
_STRING = re.compile(rb'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])+)"')
_BARE = re.compile(rb"[!#-+\-.-:<-\[\]-~]+")
PATTERN = r'^("([ !#-\[\]-~]|\\["\\])+"|[!#-+.-:<-\[\]-~-]+)$'
"""Both, as JSON Schema has it (ECMA-262)."""
_ESCAPED = re.compile(rb"\\(.)")


def read_key(field: bytes) -> bytes:
    """Return the key that the field ``Idempotency-Key`` holds: a quoted string, or the same without quotes.

    Raises:
        InvalidIdempotencyKey: It is empty, longer than 255 bytes, or neither of the two.
    """
    field = field.strip(b" \t")
    quoted = _STRING.fullmatch(field) if len(field) <= 2 * LONGEST + 2 else None
    key = _ESCAPED.sub(rb"\1", quoted[1]) if quoted else field
    if not key or len(key) > LONGEST or not (quoted or _BARE.fullmatch(field)):
        raise InvalidIdempotencyKey(
            f"Idempotency-Key must be one string of 1 to {LONGEST} visible ASCII characters, such as a UUID in quotes."
        )
    return key


def record_of(service: str, call: Call, key: bytes) -> str:
    """Return the id of the record: *key* as this caller uses it for this operation.

    The caller is the principal; where nobody is known, whoever holds the credentials that were sent, else the address.
    """
    if call.principal is not None:
        who = b"principal", call.principal.subject.encode()
    elif b"authorization" in call.metadata:
        who = b"credential", call.metadata[b"authorization"]
    else:
        who = b"address", (call.client or "").encode()
    return _digest(service.encode(), call.operation.encode(), *who, key)


def fingerprint_of(method: str, path: str, query: bytes, body: bytes) -> str:
    """Return what tells this request from others."""
    return _digest(method.encode(), path.encode("utf-8", "surrogatepass"), query, body)


def _digest(*parts: bytes) -> str:
    hashed = hashlib.sha256()
    for part in parts:  # each with its length, so that no two lists of parts are the same bytes
        hashed.update(b"%d:" % len(part))
        hashed.update(part)
    return hashed.hexdigest()
