"""Byte ranges of a whole answer (RFC 9110 §14)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from seawall.http.dates import parse_http_date

__all__ = ["MOST", "Ranges", "boundary_of", "multipart", "still_the_same", "wanted"]

MOST = 16
"""More ranges than these are asked for by nobody who wants them (RFC 9110 §17.15); the whole is sent instead."""

_FIELD = re.compile(rb"bytes[ \t]*=(.*)", re.IGNORECASE | re.DOTALL)
_ONE = re.compile(rb"[ \t]*(\d{0,18})-(\d{0,18})[ \t]*")
Ranges = list[tuple[int, int]]


def wanted(field: bytes, length: int) -> Ranges | None:
    """Return the ranges that *field* asks for, ends excluded: empty if none can be had, None if it is to be ignored.

    Ignored are other units, what cannot be read, and ranges that are too many or together longer than the whole.
    """
    match = _FIELD.fullmatch(field)
    if match is None:
        return None
    parts = match[1].split(b",")
    if len(parts) > MOST:
        return None
    found: Ranges = []
    for part in parts:
        one = _ONE.fullmatch(part)
        if one is None or part.strip(b" \t") == b"-":
            return None
        first, last = one[1], one[2]
        if not first:
            start, end = max(0, length - int(last)), length
        else:
            start, end = int(first), length if not last else min(int(last) + 1, length)
            if last and int(last) < start:
                return None
        if start < end:
            found.append((start, end))
    return None if len(found) > 1 and sum(end - start for start, end in found) > length else found


def still_the_same(asked: Mapping[bytes, bytes], etag: bytes | None, modified: bytes | None, date: bytes) -> bool:
    """Return whether ``If-Range``, if it was sent, names the present representation, by the strong comparison."""
    field = asked.get(b"if-range")
    if field is None:
        return True
    field = field.strip(b" \t")
    if field.endswith(b'"'):
        return etag is not None and field == etag and not etag.startswith(b"W/")
    then, now = parse_http_date(modified or b""), parse_http_date(date)
    # Two changes within one second have one date; a second later it is strong (RFC 9110 §8.8.2.2).
    return field == modified and then is not None and now is not None and now > then


def boundary_of(etag: bytes | None, ranges: Ranges, body: bytes) -> bytes:
    """Return a separator for the parts of *body* that is in none of them."""
    boundary = b"seawall-%x-%x" % (len(body), len(ranges)) + re.sub(rb"[^0-9A-Za-z]", b"", etag or b"")[:32]
    while boundary in body:
        boundary += b"x"
    return boundary


def multipart(body: bytes, ranges: Ranges, content_type: bytes, boundary: bytes) -> bytes:
    """Return the parts of *body* as ``multipart/byteranges``."""
    pieces = [
        b"--%b\r\ncontent-type: %b\r\ncontent-range: bytes %d-%d/%d\r\n\r\n%b\r\n"
        % (boundary, content_type, start, end - 1, len(body), body[start:end])
        for start, end in ranges
    ]
    return b"".join(pieces) + b"--%b--\r\n" % boundary
