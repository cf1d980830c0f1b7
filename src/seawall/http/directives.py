"""What ``Cache-Control`` says (RFC 9111 §5.2), and what fields say that are meant for one cache alone (RFC 9213)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

__all__ = ["LONGEST", "NOTHING", "Directives", "cache_control", "list_of", "targeted"]

LONGEST = 2**31
"""Seconds; whoever names more means this (RFC 9111 §1.2.2)."""

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PART = re.compile(rb'(?:[^,"]|"(?:[^"\\]|\\.)*"|")+')
_ESCAPED = re.compile(rb"\\(.)")
_MOST_REMEMBERED = 2048

# RFC 9651: dictionaries of bare items with parameters; inner lists and dates mean nothing here.
_BARE = rb'(?:-?\d{1,12}\.\d{1,3}|-?\d{1,15}|"(?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"'
_BARE += rb"|[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*|:[A-Za-z0-9+/=]*:|\?[01])"
_KEY = rb"[a-z*][a-z0-9_.*-]*"
_MEMBER = re.compile(rb"(%b)(?:=(%b))?(?:;[ ]*%b(?:=%b)?)*" % (_KEY, _BARE, _KEY, _BARE))
_COMMA = re.compile(rb"[ \t]*,[ \t]*")


class Directives:
    """Directives by name; where one is repeated, the strictest counts.

    Args:
        values: What each was given, in order; None for nothing.
    """

    __slots__ = ("_values",)

    def __init__(self, values: dict[bytes, list[bytes | None]]) -> None:
        self._values = values

    def __contains__(self, name: bytes) -> bool:
        return name in self._values

    def __bool__(self) -> bool:
        return bool(self._values)

    def seconds(self, name: bytes) -> int | None:
        """Return the time that *name* gives; 0 for one that is none, and None where the directive is not there."""
        values = self._values.get(name)
        return None if values is None else min(_seconds(value) for value in values)

    def bare(self, name: bytes) -> bool:
        """Return whether *name* is there without a value."""
        return None in self._values.get(name, ())


NOTHING = Directives({})


def cache_control(field: bytes | None) -> Directives:
    """Return the directives of a ``Cache-Control`` field; what cannot be read is left out."""
    if not field:
        return NOTHING
    return _remembered(field) if len(field) <= _MOST_REMEMBERED else _read(field)


def targeted(field: bytes | None) -> Directives | None:
    """Return the directives of a targeted field, such as ``CDN-Cache-Control``; None for none, or one that is invalid.

    It is a structured dictionary: one mistake makes all of it invalid (RFC 9213 §2.1).
    """
    field = (field or b"").strip(b" ")
    values: dict[bytes, list[bytes | None]] = {}
    at = 0
    while at < len(field):
        member = _MEMBER.match(field, at)
        if member is None:
            return None
        value = member[2]
        # A number is a time, and nothing else is one; of the rest it is enough that it is there.
        values[member[1]] = [value if value is None or value.isdigit() else b""]
        at = member.end()
        if at == len(field):
            return Directives(values)
        comma = _COMMA.match(field, at)
        if comma is None or comma.end() == len(field):
            return None
        at = comma.end()
    return None


def list_of(field: bytes | None) -> Iterator[bytes]:
    """Yield the names of a list of field names, in lower case."""
    for part in (field or b"").split(b","):
        name = part.strip(b" \t").lower()
        if name:
            yield name


def _read(field: bytes) -> Directives:
    values: dict[bytes, list[bytes | None]] = {}
    for part in _PART.findall(field):
        name, found, value = part.partition(b"=")
        key = name.strip(b" \t").lower()
        if not _TOKEN.fullmatch(key):
            continue
        value = value.rstrip(b" \t")
        if len(value) > 1 and value[:1] == value[-1:] == b'"':
            value = _ESCAPED.sub(rb"\1", value[1:-1])
        elif found and name != name.rstrip(b" \t"):
            value = b""  # no space may stand before "="
        values.setdefault(key, []).append(value if found else None)
    return Directives(values)


_remembered = lru_cache(maxsize=256)(_read)


def _seconds(value: bytes | None) -> int:
    if value is None or not value.isdigit():
        return 0
    return LONGEST if len(value.lstrip(b"0")) > 10 else min(int(value), LONGEST)
