"""Heads that a connection repeats: they are parsed once.

A client on a connection that is kept alive sends the same header fields with almost every request; what changes is
the target. So the fields of a plain request are remembered with their bytes, and a request that comes whole, with
exactly these bytes behind its target, has been read and checked already: it cannot mean anything else than it did.
Whatever differs by one byte goes to the parser.
"""

from __future__ import annotations

import msgspec

__all__ = ["MAX_HEAD", "Repeated", "is_plain", "learn"]

MAX_HEAD = 2048
"""Bytes of header fields that are remembered for a connection while it is busy."""

Fields = list[tuple[bytes, bytes]]


class Repeated(msgspec.Struct, frozen=True, eq=False):
    """What is remembered of a request.

    Args:
        verb: The method.
        method: The same and the space behind it.
        begin: Where the target begins.
        rest: The bytes from the space behind the target to the end of the head.
        size: Bytes of *rest* and of the body together.
        length: Bytes of the body.
        fields: The header fields.
        headers: The same by name; nobody may change them.
    """

    verb: bytes
    method: bytes
    begin: int
    rest: bytes
    size: int
    length: int
    fields: Fields
    headers: dict[bytes, bytes]


def learn(verb: bytes, data: bytes, fields: Fields, headers: dict[bytes, bytes], length: int) -> Repeated | None:
    """Return what to remember of a request that the parser has taken, if *data* is that request and nothing else.

    Args:
        verb: The request's method.
        data: The bytes among which the parser has found the request.
        fields: Its header fields, names in lower case.
        headers: The same by name.
        length: Bytes of its body.
    """
    method = verb + b" "
    begin, head = len(method), len(data) - length
    end = data.find(b" ", begin)
    if not data.startswith(method) or not data.startswith(b" HTTP/1.1\r\n", end):
        return None
    if head - end > MAX_HEAD or data.find(b"\r\n\r\n") != head - 4:
        return None
    return Repeated(verb, method, begin, data[end:head], len(data) - end, length, fields, headers)


def is_plain(target: str) -> bool:
    """Return whether *target*, of ASCII and without a space, is a path and perhaps a query for every parser."""
    return target[:1] == "/" and target.isprintable() and "#" not in target
