"""Dates in header fields: HTTP-dates (RFC 9110 §5.6.7) and structured Dates (RFC 9651 §3.3.7).

Moments are seconds since 1970-01-01T00:00:00Z; nothing here reads a clock.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

__all__ = ["http_date", "parse_http_date", "structured_date"]

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH_NUMBERS = {name: number for number, name in enumerate(_MONTHS, 1)}

_DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_LONG_DAY = r"(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)"
_MONTH = rf"(?P<month>{'|'.join(_MONTHS)})"
_TIME = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_IMF = re.compile(rf"{_DAY}, (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} GMT")
_RFC850 = re.compile(rf"{_LONG_DAY}, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT")
_ASCTIME = re.compile(rf"{_DAY} {_MONTH} (?P<day>[ 0-9][0-9]) {_TIME} (?P<year>[0-9]{{4}})")

_FIRST = -62_135_596_800  # 0001-01-01T00:00:00Z, what `datetime` and RFC 9651 §3.3.7 both begin with
_LAST = 253_402_300_799  # 9999-12-31T23:59:59Z
_FIFTY_YEARS = 50 * 365.2425 * 86_400


def http_date(seconds: float) -> bytes:
    """Format a moment as an IMF-fixdate, ``Sun, 06 Nov 1994 08:49:37 GMT``; fractions are cut off.

    Raises:
        ValueError: The moment is outside the years 1 to 9999 or not a number.
    """
    moment = datetime.fromtimestamp(_whole(seconds), UTC)
    return (
        f"{_DAYS[moment.weekday()]}, {moment.day:02} {_MONTHS[moment.month - 1]} {moment.year:04} "
        f"{moment.hour:02}:{moment.minute:02}:{moment.second:02} GMT"
    ).encode("ascii")


def parse_http_date(value: bytes | str, *, now: float | None = None) -> int | None:
    """Parse an HTTP-date in any of its three forms into seconds since 1970, or return None.

    The day of the week is not compared with the date. A leap second (``:60``) counts as the first second of
    the next minute.

    Args:
        value: The field value.
        now: The present moment in seconds, for the two-digit year of the RFC 850 form: a date more than
            50 years ahead of it lies in the past. Without it, 69 to 99 mean 1969 to 1999 and 00 to 68
            mean 2000 to 2068 (POSIX).
    """
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    text = text.strip(" \t")
    match = _IMF.fullmatch(text) or _ASCTIME.fullmatch(text)
    if match is not None:
        return _moment(match, int(match["year"]))
    match = _RFC850.fullmatch(text)
    if match is None:
        return None
    short = int(match["year"])
    if now is None:
        return _moment(match, short + (1900 if short >= 69 else 2000))
    century = datetime.fromtimestamp(_whole(now), UTC).year // 100 * 100
    # The latest of the candidates that is not more than fifty years ahead.
    for base in (century + 100, century, century - 100):
        moment = _moment(match, base + short)
        if moment is not None and moment <= now + _FIFTY_YEARS:
            return moment
    return None


def structured_date(seconds: float) -> bytes:
    """Format a moment as a structured-field Date, ``@1659578233`` (RFC 9651 §3.3.7; `Deprecation`, RFC 9745).

    Fractions are cut off, towards the past.

    Raises:
        ValueError: The moment is outside the years 1 to 9999 or not a number.
    """
    return b"@%d" % _whole(seconds)


def _whole(seconds: float) -> int:
    if not _FIRST <= seconds <= _LAST + 1 or (whole := math.floor(seconds)) > _LAST:
        raise ValueError(f"the moment {seconds!r} is not within the years 1 to 9999")
    return whole


def _moment(match: re.Match[str], year: int) -> int | None:
    second = int(match["second"])
    if second > 60:
        return None
    try:
        moment = datetime(
            year,
            _MONTH_NUMBERS[match["month"]],
            int(match["day"]),
            int(match["hour"]),
            int(match["minute"]),
            tzinfo=UTC,
        )
    except ValueError:  # the 30th of February, the 25th hour, the year 0
        return None
    return round(moment.timestamp()) + second
