"""Media types: what a Content-Type says (RFC 9110 §8.3).

A plan asks one question on the hot path, `is_json_content_type`, which is a set look-up for the
handful of spellings that clients really send and falls back to the full grammar for the rest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = [
    "MediaType",
    "charset",
    "is_json",
    "is_json_content_type",
    "parse",
    "parse_parameters",
    "utf8_only",
]

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105  a token of RFC 9110 §5.6.2, not a secret
_ESSENCE = re.compile(rf"[ \t]*({_TOKEN})/({_TOKEN})")
# One parameter with the semicolon before it; the grammar allows empty ones ("text/html;;charset=utf-8").
# A quoted string: qdtext or a quoted pair; obs-text (0x80-0xFF) may stand in both (RFC 9110 §5.6.4).
_PARAMETER = re.compile(
    rf"[ \t]*;[ \t]*(?:({_TOKEN})=(?:({_TOKEN})|"
    r'"((?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*)"))?'
)
_QUOTED_PAIR = re.compile(r"\\(.)")
_UTF8_NAMES = frozenset({"utf-8", "utf8"})

_COMMON_JSON = frozenset(
    {
        b"application/json",
        b"application/json; charset=utf-8",
        b"application/json;charset=utf-8",
        b"application/json; charset=UTF-8",
        b"application/json;charset=UTF-8",
    }
)


@dataclass(frozen=True, slots=True)
class MediaType:
    """A media type in its canonical form: names in lower case, parameter values as they came.

    Args:
        type: The top-level type, ``"application"``.
        subtype: The whole subtype, ``"problem+json"``.
        suffix: The structured syntax suffix (RFC 6839), ``"json"``, or None.
        parameters: Pairs of name and unquoted value, in the order in which they came.
    """

    type: str
    subtype: str
    suffix: str | None = None
    parameters: tuple[tuple[str, str], ...] = ()

    @property
    def essence(self) -> str:
        """The type and subtype without parameters, ``"application/problem+json"``."""
        return f"{self.type}/{self.subtype}"

    def parameter(self, name: str) -> str | None:
        """Return the value of the parameter called *name* (in lower case), or None."""
        for key, value in self.parameters:
            if key == name:
                return value
        return None


def parse(value: bytes | str) -> MediaType | None:
    """Parse a Content-Type by RFC 9110 §8.3.1, or return None for what is not one.

    A parameter given twice makes the value malformed: two readers that picked different ones would
    disagree about what the body is.
    """
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    essence = _ESSENCE.match(text)
    if essence is None:
        return None
    parameters = parse_parameters(text, essence.end())
    if parameters is None:
        return None
    kind, subtype = essence[1].lower(), essence[2].lower()
    _, plus, suffix = subtype.rpartition("+")
    return MediaType(kind, subtype, suffix if plus and suffix else None, parameters)


def parse_parameters(text: str, start: int) -> tuple[tuple[str, str], ...] | None:
    """Parse ``;name=value`` parameters (RFC 9110 §5.6.6) from *start* to the end of *text*.

    Returns:
        Pairs of lower-case name and unquoted value, or None when malformed or a name is repeated.
    """
    found: dict[str, str] = {}
    end = len(text.rstrip(" \t"))
    while start < end:
        match = _PARAMETER.match(text, start)
        if match is None:
            return None
        start = match.end()
        name, token, quoted = match.groups()
        if name is None:
            continue
        name = name.lower()
        if name in found:
            return None
        found[name] = token if token is not None else _QUOTED_PAIR.sub(r"\1", quoted)
    return tuple(found.items())


def is_json(media: MediaType) -> bool:
    """Whether the body is JSON: ``application/json`` or any type with the ``+json`` suffix (RFC 6839)."""
    return media.suffix == "json" or (media.type == "application" and media.subtype == "json")


def charset(media: MediaType) -> str | None:
    """Return the charset parameter in lower case, or None."""
    value = media.parameter("charset")
    return None if value is None else value.lower()


def utf8_only(media: MediaType) -> bool:
    """Whether the charset is UTF-8 or left out: the only one JSON may be in (RFC 8259 §8.1)."""
    value = media.parameter("charset")
    return value is None or value.lower() in _UTF8_NAMES


def is_json_content_type(value: bytes) -> bool:
    """Whether a raw Content-Type announces JSON in UTF-8; about 50 ns for the usual spellings.

    False for what is malformed, of another type, or in another charset.
    """
    if value in _COMMON_JSON:
        return True
    media = parse(value)
    return media is not None and is_json(media) and utf8_only(media)
