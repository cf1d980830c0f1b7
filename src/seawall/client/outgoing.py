"""One call that is to be made."""

from __future__ import annotations

from collections.abc import AsyncIterable
from typing import Any

import msgspec

from seawall.client.answers import Kinds

__all__ = ["Outgoing", "Pieces", "texts"]

Pieces = AsyncIterable[bytes]
_NO_KINDS: Kinds = {}


class Outgoing(msgspec.Struct, eq=False):
    """One call that is to be made, the same in each attempt.

    Args:
        method: Its method.
        url: The whole URL, encoded.
        headers: Its header fields, without those that differ between attempts.
        body: Its body.
        repeatable: Whether it may be made twice.
        kinds: Problems that are raised as themselves, by their type.
        opened: Streams that were opened for it, to be closed with it.
    """

    method: str
    url: str
    headers: dict[str, str]
    body: bytes | Pieces | None
    repeatable: bool
    kinds: Kinds = _NO_KINDS
    opened: list[Any] = msgspec.field(default_factory=list)


def texts(value: Any) -> Any:
    """Return *value* as it stands in a path, a query or a header field: a text, or a list of them."""
    if isinstance(value, str) and type(value) is str:
        return value
    if isinstance(value, (list, tuple, set, frozenset)):
        return [texts(one) for one in value]
    built: object = msgspec.to_builtins(value)
    if isinstance(built, bool):
        return "true" if built else "false"
    return str(built)
