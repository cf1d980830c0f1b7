"""What travels with a call from service to service: W3C Trace Context (Level 2) and W3C Baggage, to the letter.

Whatever a caller sends is read by these rules and never trusted: what is malformed counts as not sent, what is too
large is cut, and nothing here raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

__all__ = [
    "TraceContext",
    "format_baggage",
    "read_baggage",
    "read_traceparent",
    "read_tracestate",
    "shorten_tracestate",
]

TRACESTATE_MEMBERS = 32
"""List members a ``tracestate`` may have (Trace Context §3.3.1.1); one with more is discarded."""
TRACESTATE_BYTES = 512
"""Bytes of ``tracestate`` that are passed on (§3.3.1.5)."""
TRACESTATE_READ_BYTES = 32 * 1024
"""Bytes that are read at all: 32 members of the longest kind are less."""
BAGGAGE_MEMBERS = 64
"""List members of ``baggage`` that are passed on (Baggage §3.3.2)."""
BAGGAGE_BYTES = 8192
"""Bytes of ``baggage`` that are passed on (§3.3.2)."""

# A version that is not known yet may say more after the flags, behind a hyphen; `ff` is no version (§3.2.2).
_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_STATE_MEMBER = re.compile(
    r"([a-z0-9][a-z0-9_*/@-]{0,255})"  # a key (§3.3.1.3.1, Level 2; it takes every key of Level 1)
    r"=([\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e])"  # a value (§3.3.1.3.2)
)
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105 - RFC 9110 §5.6.2
_OCTETS = r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*"  # baggage-octet (Baggage §3.2.1)
_OWS = r"[ \t]*"
_BAGGAGE_MEMBER = re.compile(
    rf"({_TOKEN}){_OWS}={_OWS}({_OCTETS})((?:{_OWS};{_OWS}{_TOKEN}(?:{_OWS}={_OWS}{_OCTETS})?)*)"
)


class TraceContext(msgspec.Struct, frozen=True):
    """A place in a distributed trace (W3C Trace Context).

    Args:
        trace_id: The trace: 32 hexadecimal digits.
        parent_id: The span in it that calls: 16 hexadecimal digits.
        sampled: Whether whoever calls may have recorded it.
        random: Whether the trace's id was drawn at random, all of its last 14 digits (Level 2, §3.2.2.5.2).
        state: What the vendors on the way have noted (``tracestate``); empty for nothing.
    """

    trace_id: str
    parent_id: str
    sampled: bool
    random: bool = False
    state: str = ""

    @property
    def traceparent(self) -> str:
        """The header field, in version 00: what a participant sends, whatever version it has read (§3.2)."""
        return f"00-{self.trace_id}-{self.parent_id}-{self.sampled + 2 * self.random:02x}"


def read_traceparent(field: str | None, state: str | None = None) -> TraceContext | None:
    """Return the trace a caller is in; None when it sent none, or one that is malformed.

    Args:
        field: ``traceparent``. One that came twice has been joined with a comma, and is malformed by that (§3.2).
        state: ``tracestate``; looked at only if *field* is well formed (§3.3).
    """
    if not field or len(field) > TRACESTATE_BYTES:
        return None
    match = _TRACEPARENT.fullmatch(field.strip(" \t"))
    if match is None or (match[1] == "00" and match[5] is not None):
        return None
    flags = int(match[4], 16)
    # Of a version that is not known, only the flag that every version has is understood (§4.3).
    drawn = match[1] == "00" and bool(flags & 2)
    return TraceContext(match[2], match[3], bool(flags & 1), drawn, read_tracestate(state) if state else "")


def read_tracestate(field: str) -> str:
    """Return a ``tracestate`` without empty members and white space; empty if it is malformed or has too many members.

    Fields that came separately have been joined with commas, in their order (§3.3.1).
    """
    if len(field) > TRACESTATE_READ_BYTES:
        return ""
    members: dict[str, str] = {}
    for word in field.split(","):
        member = word.strip(" \t")
        if not member:
            continue
        match = _STATE_MEMBER.fullmatch(member)
        if match is None or match[1] in members or len(members) == TRACESTATE_MEMBERS:
            return ""
        members[match[1]] = member
    return ",".join(members.values())


def shorten_tracestate(state: str, limit: int = TRACESTATE_BYTES) -> str:
    """Return *state* within *limit* bytes: members over 128 bytes go first, then those at the end (§3.3.1.5)."""
    if len(state) <= limit:
        return state
    members = state.split(",")
    for index in range(len(members) - 1, -1, -1):
        if len(members[index]) > 128:
            del members[index]
            if len(",".join(members)) <= limit:
                break
    while members and len(",".join(members)) > limit:
        members.pop()
    return ",".join(members)


def read_baggage(field: str | None) -> dict[str, tuple[str, str]]:
    """Return the baggage of a call: by key, the value and its properties as they were sent.

    A malformed member is left out, and so is what goes beyond the limits; of two with one key the last counts.
    """
    found: dict[str, tuple[str, str]] = {}
    if not field:
        return found
    from urllib.parse import unquote  # noqa: PLC0415 - hardly any call brings baggage

    for word in field[: 4 * BAGGAGE_BYTES].split(",", 4 * BAGGAGE_MEMBERS)[: 4 * BAGGAGE_MEMBERS]:
        match = _BAGGAGE_MEMBER.fullmatch(word.strip(" \t"))
        if match is not None:
            # Not UTF-8 after decoding: the replacement character stands in (Baggage §3.2.1.2).
            found[match[1]] = (unquote(match[2], errors="replace"), match[3].replace("\t", " ").strip())
    return found


def format_baggage(members: Iterable[tuple[str, tuple[str, str]]]) -> str:
    """Return the header field for *members* within the limits, without those whose key is no token."""
    from urllib.parse import quote  # noqa: PLC0415 - as above

    words: list[str] = []
    total = -1
    for key, (value, properties) in members:
        if not re.fullmatch(_TOKEN, key):
            continue
        word = f"{key}={quote(value, safe=_UNQUOTED)}{properties}"
        if total + 1 + len(word) > BAGGAGE_BYTES or len(words) == BAGGAGE_MEMBERS:
            continue
        total += 1 + len(word)
        words.append(word)
    return ",".join(words)


_UNQUOTED = "!#$&'()*+-./:<=>?@[]^_`{|}~"  # baggage-octets but the percent sign, which begins an escape
