"""Teaches schemathesis MessagePack, which the store reads and writes beside JSON."""

from __future__ import annotations

import msgspec
import schemathesis


@schemathesis.serializer("application/msgpack")
def serialize(ctx, value):
    return msgspec.msgpack.encode(_small(value))


@schemathesis.deserializer("application/msgpack")
def deserialize(ctx, response):
    return msgspec.msgpack.decode(response.content)


def _small(value):
    """MessagePack has no integers of more than 64 bits; as numbers they are as wrong as they were."""
    if isinstance(value, dict):
        return {str(key): _small(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_small(item) for item in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return float(value) if abs(value) < 2**1000 else 1e300
    return value
