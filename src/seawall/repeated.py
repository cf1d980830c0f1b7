"""Heads that are sent again: they are parsed once.

A client sends the same header fields with almost every request of a connection; what changes is the target. So the
fields of a plain request are remembered with their bytes, and a request that comes whole, with exactly these bytes
behind its target, has been read and checked already: it cannot mean anything else than it did. Whatever differs by one
byte goes to the parser; only the length of a body may be another one.
"""

from __future__ import annotations

import re

import msgspec

__all__ = ["MAX_HEAD", "KnownHeads", "Repeated", "is_plain", "learn"]

MAX_HEAD = 2048
"""Bytes of header fields that are remembered."""

MAX_DIGITS = 9
"""Digits of the length of a body."""
MAX_KNOWN = 1024
"""Heads that are remembered altogether."""
MAX_HEADS = 16
"""Lengths of bodies for which the fields are kept."""

_LENGTH = b"content-length"
_LENGTH_FIELD = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})(?=[ \t]*\r\n)", re.IGNORECASE)

Fields = list[tuple[bytes, bytes]]


Head = tuple[Fields, dict[bytes, bytes], int]
"""Header fields, the same by name, and how many bytes there are from behind the length of the body to its end."""


class Repeated(msgspec.Struct, frozen=True, eq=False):
    """What is remembered of a request.

    Args:
        verb: The method.
        method: The same and the space behind it.
        begin: Where the target begins.
        rest: The bytes from the space behind the target to the end of the head, or to the length of the body.
        size: How many these are.
        fields: The header fields.
        headers: The same by name; nobody may change them.
        tail: The bytes from behind the length of the body to the end of the head; None for a request without.
        at: Which of the fields has that length.
        heads: The fields with other lengths, by these as they are sent.
    """

    verb: bytes
    method: bytes
    begin: int
    rest: bytes
    size: int
    fields: Fields
    headers: dict[bytes, bytes]
    tail: bytes | None = None
    at: int = 0
    heads: dict[bytes, Head] = {}

    def head(self, length: bytes) -> Head | None:
        """Return the fields of a request whose body has another *length*, or None if that is no number of bytes."""
        if not length.isdigit() or len(length) > MAX_DIGITS or self.tail is None:
            return None
        fields, headers = self.fields.copy(), self.headers.copy()
        fields[self.at] = _LENGTH, length
        headers[_LENGTH] = length
        head = fields, headers, len(self.tail) + int(length)
        if len(self.heads) < MAX_HEADS:
            self.heads[length] = head
        return head


class KnownHeads:
    """The heads that were sent lately, on whatever connection: a proxy sends those of many clients on one."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, bytes], Repeated] = {}

    def find(self, data: bytes) -> Repeated | None:
        """Return what is known of the head with which *data* begins, if it is known."""
        method = data.find(b" ") + 1
        end = data.find(b" ", method)
        head = data.find(b"\r\n\r\n", end, end + MAX_HEAD)
        return self._known.get((data[:method], data[end : head + 4])) if 0 < method <= end <= head else None

    def learn(
        self, verb: bytes, data: bytes, fields: Fields, headers: dict[bytes, bytes], length: int
    ) -> Repeated | None:
        """Remember the head of a request that the parser has taken, if *data* is that request and nothing else.

        Args:
            verb: The request's method.
            data: The bytes among which the parser has found the request.
            fields: Its header fields, names in lower case.
            headers: The same by name.
            length: Bytes of its body.
        """
        found = learn(verb, data, fields, headers, length)
        if found is not None:
            known = self._known
            if len(known) >= MAX_KNOWN:
                del known[next(iter(known))]
            end = data.find(b" ", found.begin)
            known[found.method, data[end : len(data) - length]] = found
        return found


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
    digits = headers.get(_LENGTH)
    if digits is None:
        return Repeated(verb, method, begin, data[end:head], head - end, fields, headers)
    found = list(_LENGTH_FIELD.finditer(data, end, head))
    at = [index for index, (name, _) in enumerate(fields) if name == _LENGTH]
    if len(found) != 1 or len(at) != 1 or found[0][1] != digits:
        return None
    first, last = found[0].span(1)
    tail = data[last:head]
    heads = {digits: (fields, headers, len(tail) + length)}
    return Repeated(verb, method, begin, data[end:first], first - end, fields, headers, tail, at[0], heads)


def is_plain(target: str) -> bool:
    """Return whether *target*, of ASCII and without a space, is a path and perhaps a query for every parser."""
    return target[:1] == "/" and target.isprintable() and "#" not in target
