"""Conditional requests (RFC 9110 §13): what a caller has already, and what a write must not overwrite."""

from __future__ import annotations

import re
from collections.abc import Mapping

from seawall.call import Call
from seawall.http.dates import parse_http_date
from seawall.problems import PreconditionFailed, PreconditionRequired

__all__ = ["CONDITIONS", "check_preconditions", "outcome", "strongly", "weakly"]

CONDITIONS = (b"if-none-match", b"if-modified-since", b"range", b"if-match", b"if-unmodified-since", b"if-range")
"""What a caller asks of an answer that is there, and no operation needs to know to make one."""

_TAG = re.compile(rb'(?:W/)?"[^"]*"|[^,\s"]+')


def weakly(field: bytes, etag: bytes) -> bool:
    """Return whether ``If-None-Match`` names *etag*, by the weak comparison (RFC 9110 §8.8.3.2)."""
    if field == etag or field.strip(b" \t") == b"*":
        return True
    opaque = etag.removeprefix(b"W/")
    return any(tag.removeprefix(b"W/") == opaque for tag in _TAG.findall(field))


def strongly(field: bytes, etag: bytes) -> bool:
    """Return whether ``If-Match`` names *etag*, by the strong comparison: a weak tag equals none."""
    if field.strip(b" \t") == b"*":
        return True
    return not etag.startswith(b"W/") and etag in _TAG.findall(field)


def outcome(asked: Mapping[bytes, bytes], etag: bytes | None, modified: float | None) -> int:
    """Return 412 or 304 where *asked* has a condition that leads to that, and 0 for the answer itself.

    The order is that of RFC 9110 §13.2.2: a tag counts before a time.

    Args:
        asked: Header fields of a GET or HEAD.
        etag: The entity tag of the representation; None if there is none.
        modified: When it was changed, in seconds since 1970; None if that is not known.
    """
    if _changed(asked, etag, modified):
        return 412
    known = asked.get(b"if-none-match")
    if known is not None:
        return 304 if etag is not None and weakly(known, etag) else 0
    field = asked.get(b"if-modified-since")
    if field is None or modified is None:
        return 0
    since = parse_http_date(field)
    return 304 if since is not None and modified <= since else 0


def check_preconditions(
    call: Call,
    *,
    etag: str | None = None,
    modified: float | None = None,
    required: bool = False,
) -> None:
    """Let a write go on only if it is about the representation its caller has seen.

    Between this and the write nobody else may write: call it within the transaction, with the row locked, or with the
    version as a condition of the write itself.

    Args:
        call: The call.
        etag: The present entity tag, quotes included; None if there is no representation yet.
        modified: When it was changed, in seconds since 1970.
        required: Whether a write without ``If-Match`` or ``If-Unmodified-Since`` is refused (RFC 6585 §3).

    Raises:
        PreconditionFailed: It has been changed, or (``If-None-Match``) is there already.
        PreconditionRequired: The caller does not say what it is about.
    """
    asked = call.metadata
    present = None if etag is None else etag.encode("latin-1")
    if required and b"if-match" not in asked and b"if-unmodified-since" not in asked:
        known = asked.get(b"if-none-match", b"").strip(b" \t")
        if known != b"*":  # which says that nothing may be there: nothing is overwritten
            raise PreconditionRequired("Say in If-Match which version this change is about.")
    if _changed(asked, present, modified):
        raise PreconditionFailed("It is no longer what the request is about; read it again.")
    if present is not None and b"if-none-match" in asked and weakly(asked[b"if-none-match"], present):
        raise PreconditionFailed("It is there already.")


def _changed(asked: Mapping[bytes, bytes], etag: bytes | None, modified: float | None) -> bool:
    """Return whether ``If-Match`` or ``If-Unmodified-Since`` does not hold."""
    wanted = asked.get(b"if-match")
    if wanted is not None:
        return etag is None or not strongly(wanted, etag)
    field = asked.get(b"if-unmodified-since")
    if field is None:
        return False
    until = parse_http_date(field)
    return until is not None and (modified is None or modified > until)
