"""Heads that are sent again: they are parsed once.

A client sends the same header fields with almost every request of a connection; what changes is the target. So the
fields of a plain request are remembered with their bytes, and a request that comes whole, with exactly these bytes
behind its target, has been read and checked already: it cannot mean anything else than it did. Whatever differs by one
byte goes to the parser; only the length of a body may be another one.
"""

from __future__ import annotations

import re

import msgspec

from seawall.http.exchange import merge_fields

__all__ = ["MAX_DIGITS", "MAX_HEAD", "KnownHeads", "Repeated", "is_plain", "learn"]

MAX_HEAD = 2048
"""Bytes of header fields that are remembered."""
MAX_FIELDS = 64
"""How many they may be: many short ones take several times their bytes."""

MAX_KNOWN = 1024
"""Heads that are remembered altogether."""

MAX_DIGITS = 9
"""Digits of the length of a body."""

LENGTH = b"content-length"
_LENGTH_FIELD = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})(?=[ \t]*\r\n)", re.IGNORECASE)

Fields = list[tuple[bytes, bytes]]


class Repeated(msgspec.Struct, frozen=True, eq=False):
    """What is remembered of a request.

    Args:
        verb: The method.
        method: The same and the space behind it.
        begin: Where the target begins.
        rest: The bytes from behind the target and the space there to the end of the head, or to the length of the body.
        size: How many these are, and the space.
        fields: The header fields; nobody may change them.
        headers: The same by name: each request gets a copy, which is its own.
        length: The length of the body, as it was sent: in digits, without leading zeros.
        tail: The bytes from behind it to the end of the head; None for a request without.
        at: Which of the fields has that length.
    """

    verb: bytes
    method: bytes
    begin: int
    rest: bytes
    size: int
    fields: Fields
    headers: dict[bytes, bytes]
    length: bytes = b""
    tail: bytes | None = None
    at: int = 0

    def other(self, length: bytes, headers: dict[bytes, bytes]) -> Fields:
        """Return the fields of a request whose body has another *length*, and put that into *headers*."""
        fields = self.fields.copy()
        fields[self.at] = LENGTH, length
        headers[LENGTH] = length
        return fields


class KnownHeads:
    """The heads that were sent lately, on whatever connection: a proxy sends those of many clients on one.

    `get` finds one by its method, and by its bytes from behind the target and the space there to its end.
    """

    __slots__ = ("_known", "get")

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, bytes], Repeated] = {}
        self.get = self._known.get

    def find(self, data: bytes) -> Repeated | None:
        """Return what is known of the head with which *data* begins, if it is known."""
        method = data.find(b" ")
        end = data.find(b" ", method + 1)
        head = data.find(b"\r\n\r\n", end, end + MAX_HEAD)
        return self.get((data[:method], data[end + 1 : head + 4])) if 0 < method < end <= head else None

    def learn(self, verb: bytes, data: bytes, fields: Fields, length: int, room: int) -> Repeated | None:
        """Remember what `learn` finds, instead of what has been known the longest."""
        found = learn(verb, data, fields, length, room)
        if found is not None:
            known = self._known
            if len(known) >= MAX_KNOWN:
                del known[next(iter(known))]
            known[verb, data[data.find(b" ", found.begin) + 1 : len(data) - length]] = found
        return found


def learn(verb: bytes, data: bytes, fields: Fields, length: int, room: int) -> Repeated | None:
    """Return what to remember of a request that the parser has taken, if *data* is that request and nothing else.

    Args:
        verb: The request's method.
        data: The bytes among which the parser has found the request.
        fields: Its header fields, names in lower case.
        length: Bytes of its body.
        room: Bytes that there may be behind its target, up to its body.
    """
    method = verb + b" "
    begin, head = len(method), len(data) - length
    end = data.find(b" ", begin)
    if not data.startswith(method) or not data.startswith(b" HTTP/1.1\r\n", end):
        return None
    if head - end > min(room, MAX_HEAD) or len(fields) > MAX_FIELDS or data.find(b"\r\n\r\n") != head - 4:
        return None
    headers = merge_fields(fields)
    digits = headers.get(LENGTH)
    if digits is None:
        return Repeated(verb, method, begin, data[end + 1 : head], head - end, fields, headers)
    found = list(_LENGTH_FIELD.finditer(data, end, head))
    at = [index for index, (name, _) in enumerate(fields) if name == LENGTH]
    if len(found) != 1 or len(at) != 1 or found[0][1] != digits or digits != b"%d" % length:
        return None
    first, last = found[0].span(1)
    return Repeated(
        verb, method, begin, data[end + 1 : first], first - end, fields, headers, digits, data[last:head], at[0]
    )


def is_plain(target: str) -> bool:
    """Return whether *target*, of ASCII and without a space, is a path and perhaps a query for every parser."""
    return target.isprintable() and target[:1] == "/" and "#" not in target
