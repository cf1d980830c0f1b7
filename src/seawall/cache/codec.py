"""Values as bytes, and the bytes of yesterday's shape told from today's."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from seawall.cache.compression import Compression
from seawall.problems import DeclarationError

__all__ = ["Codec", "Codecs", "Stored", "key_of", "pack", "returned_by", "value_in_mapping"]

T = TypeVar("T")
PLAIN, COMPRESSED = 1, 2
FINGERPRINT = 6
"""Bytes of it; two letters each stand before the key in a name."""
MOST_TYPES = 10_000
"""Types and functions whose reading is remembered; beyond that they are read again."""
EMPTY: Any = inspect.Parameter.empty


class Stored(msgspec.Struct, frozen=True, array_like=True):
    """An entry of the shared tier.

    Args:
        format: How the value is held: `PLAIN` (as it is) or `COMPRESSED`.
        fresh_until: Until when it is fresh, by `Clock.time`.
        stale_until: Until when it is of use.
        took: Seconds its load took.
        versions: The versions of its tags.
        value: The value, encoded.
        journal: The journal of invalidated prefixes when it was claimed; empty in entries from before there was one.
        number: The number of the journal's last invalidation then.
    """

    format: int
    fresh_until: float
    stale_until: float
    took: float
    versions: list[bytes]
    value: msgspec.Raw
    journal: bytes = b""
    number: int = 0


_read = msgspec.msgpack.Decoder(Stored).decode
_bytes = msgspec.msgpack.Decoder(bytes).decode
_write = msgspec.msgpack.Encoder().encode
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def key_of(name: str) -> str:
    """Return the key in a full name."""
    return name[2 * FINGERPRINT :]


class _Whole(msgspec.Struct, Generic[T], frozen=True, array_like=True):
    """As `Stored`, with a value that is decoded in the same step."""

    format: int
    fresh_until: float
    stale_until: float
    took: float
    versions: list[bytes]
    value: T
    journal: bytes = b""
    number: int = 0


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
            self._whole = msgspec.msgpack.Decoder(_Whole[type]).decode
            schema = msgspec.json.encode(msgspec.json.schema(type), order="deterministic")
        except (TypeError, NameError) as error:
            raise DeclarationError(f"cache: values of {type!r} cannot be kept: {error}") from None
        self.encode = _write
        self.fingerprint = hashlib.blake2s(schema + repr(type).encode(), digest_size=FINGERPRINT).hexdigest()
        """Part of every name: another shape has other names, so that no release reads what another one wrote."""

    def open(self, data: bytes, compression: Compression) -> tuple[_Whole[Any] | Stored, Any]:
        """Return an entry of the shared tier, and its value.

        Raises:
            ValueError: It cannot be read: cut short, of another format or shape, or larger than is kept.
        """
        try:
            whole = self._whole(data)
            if whole.format == PLAIN:
                return whole, whole.value
        except _UNREADABLE:
            pass  # it may be compressed
        try:
            stored = _read(data)
            if stored.format != COMPRESSED:
                raise ValueError(f"format {stored.format}, or another shape")
            return stored, self._decode(compression.restore(_bytes(stored.value)))
        except _UNREADABLE as error:
            raise ValueError(str(error)) from error


def pack(stored: Stored, compression: Compression) -> bytes:
    """Return the bytes of an entry, whose value is made smaller where that pays."""
    small = compression.shrink(bytes(stored.value))
    if small is not None:
        stored = msgspec.structs.replace(stored, format=COMPRESSED, value=msgspec.Raw(_write(small)))
    return _write(stored)


class Codecs:
    """The codecs of a cache: one for each type, found by the type or by the function that loads its values."""

    def __init__(self) -> None:
        self._by_type: dict[Any, Codec] = {}
        self._by_code: dict[int, tuple[Any, Codec]] = {}
        self._by_code_of_many: dict[int, tuple[Any, Codec]] = {}

    def of(self, returns: Any) -> Codec:
        """Return the codec of a type.

        Raises:
            DeclarationError: Its values cannot be kept.
        """
        codec = self._by_type.get(returns)
        if codec is None:
            if len(self._by_type) >= MOST_TYPES:
                self._by_type.clear()
            codec = self._by_type[returns] = Codec(returns)
        return codec

    def loaded_by(self, loader: Any, *, many: bool = False) -> Codec:
        """Return the codec of what *loader* says it returns; if *many*, of a value of the mapping it returns, or None.

        Raises:
            DeclarationError: It does not say, or its values cannot be kept.
        """
        code = getattr(loader, "__code__", None)
        known = self._by_code_of_many if many else self._by_code
        found = known.get(id(code))
        if found is not None:
            return found[1]
        returns = value_in_mapping(loader) | None if many else returned_by(loader)
        if returns is EMPTY or code is None:
            raise DeclarationError(f"{_where(loader)} does not say what it returns; annotate it, or pass returns=….")
        codec = self.of(returns)
        if len(known) >= MOST_TYPES:
            known.clear()
        known[id(code)] = code, codec
        return codec


def returned_by(function: Callable[..., Any]) -> Any:
    """Return the type *function* says it returns; `inspect.Parameter.empty` if it does not."""
    try:
        return get_type_hints(function, include_extras=True).get("return", EMPTY)
    except (NameError, TypeError):
        return EMPTY


def value_in_mapping(function: Callable[..., Any]) -> Any:
    """Return the type of the values of the mapping that *function* says it returns.

    Raises:
        DeclarationError: It does not say, or it is none.
    """
    returns = returned_by(function)
    kind, parts = get_origin(returns), get_args(returns)
    if not (inspect.isclass(kind) and issubclass(kind, Mapping) and len(parts) == 2):
        raise DeclarationError(f"{_where(function)} must say that it returns a mapping, such as dict[str, Product].")
    return parts[1]


def _where(function: Any) -> str:
    return f"cache: {getattr(function, '__qualname__', function)}"
