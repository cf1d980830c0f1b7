"""Values as bytes, and the bytes of yesterday's shape told from today's."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import msgspec

from seawall.problems import DeclarationError

__all__ = ["Codec", "Stored", "returned_by"]

FORMAT = 1


class Stored(msgspec.Struct, frozen=True, array_like=True):
    """An entry of the shared tier.

    Args:
        format: The version of this format.
        fresh_until: Until when it is fresh, by `Clock.time`.
        stale_until: Until when it is of use.
        took: Seconds its load took.
        versions: The versions of its tags.
        value: The value, encoded.
    """

    format: int
    fresh_until: float
    stale_until: float
    took: float
    versions: list[bytes]
    value: msgspec.Raw


_read = msgspec.msgpack.Decoder(Stored).decode
_write = msgspec.msgpack.Encoder().encode


class Codec:
    """Encodes the values of one type, as MessagePack.

    Args:
        type: The type.

    Raises:
        DeclarationError: msgspec cannot decode it.
    """

    def __init__(self, type: Any) -> None:  # noqa: A002 - it is one
        try:
            self._decode = msgspec.msgpack.Decoder(type).decode
            schema = msgspec.json.encode(msgspec.json.schema(type), order="deterministic")
        except (TypeError, NameError) as error:
            raise DeclarationError(f"cache: values of {type!r} cannot be kept: {error}") from None
        self.encode = _write
        self.fingerprint = hashlib.blake2s(schema + repr(type).encode(), digest_size=6).hexdigest()
        """Part of every key: another shape has other keys, so that no release reads what another one wrote."""

    def unpack(self, data: bytes) -> tuple[Stored, Any]:
        """Return an entry of the shared tier and its value.

        Raises:
            ValueError: It cannot be read: cut short, of another format or another shape.
        """
        try:
            stored = _read(data)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ValueError(str(error)) from error
        if stored.format != FORMAT:
            raise ValueError(f"format {stored.format}")
        try:
            return stored, self._decode(stored.value)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ValueError(str(error)) from error

    def pack(self, fresh_until: float, stale_until: float, took: float, versions: list[bytes], value: bytes) -> bytes:
        """Return an entry of the shared tier."""
        return _write(Stored(FORMAT, fresh_until, stale_until, took, versions, msgspec.Raw(value)))


def returned_by(function: Callable[..., Any]) -> Any:
    """Return the type *function* says it returns; `inspect.Parameter.empty` if it does not."""
    try:
        return get_type_hints(function, include_extras=True).get("return", inspect.Parameter.empty)
    except (NameError, TypeError):
        return inspect.Parameter.empty
