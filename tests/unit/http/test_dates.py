"""HTTP-dates and structured Dates."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.http.dates import http_date, parse_http_date, structured_date

RFC_MOMENT = 784_111_777  # the example of RFC 9110 §5.6.7


@pytest.mark.parametrize(
    "value",
    [
        b"Sun, 06 Nov 1994 08:49:37 GMT",
        b"Sunday, 06-Nov-94 08:49:37 GMT",
        b"Sun Nov  6 08:49:37 1994",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        b" Sun, 06 Nov 1994 08:49:37 GMT\t",
    ],
)
def test_the_three_forms_of_the_rfc(value):
    assert parse_http_date(value) == RFC_MOMENT


def test_format():
    assert http_date(RFC_MOMENT) == b"Sun, 06 Nov 1994 08:49:37 GMT"
    assert http_date(RFC_MOMENT + 0.99) == b"Sun, 06 Nov 1994 08:49:37 GMT"
    assert http_date(0) == b"Thu, 01 Jan 1970 00:00:00 GMT"
    assert http_date(-0.5) == b"Wed, 31 Dec 1969 23:59:59 GMT"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"garbage",
        b"Sun, 06 Nov 1994 08:49:37 UTC",
        b"Sun, 06 Nov 1994 08:49:37 +0000",
        b"Sun, 6 Nov 1994 08:49:37 GMT",
        b"sun, 06 nov 1994 08:49:37 gmt",
        b"Wed, 30 Feb 1994 08:49:37 GMT",
        b"Sun, 06 Nov 1994 24:00:00 GMT",
        b"Sun, 06 Nov 1994 08:60:00 GMT",
        b"Sun, 06 Nov 1994 08:49:61 GMT",
        b"Sun, 06 Nov 0000 08:49:37 GMT",
        b"Sun, 06 Nov 94 08:49:37 GMT",
        b"1994-11-06T08:49:37Z",
        b"784111777",
        "Sun, 0\u0666 Nov 1994 08:49:37 GMT",
    ],
)
def test_what_is_no_date_is_none(value):
    assert parse_http_date(value) is None


def test_leap_second_is_the_next_minute():
    assert parse_http_date(b"Sat, 31 Dec 2016 23:59:60 GMT") == parse_http_date(b"Sun, 01 Jan 2017 00:00:00 GMT")


def test_two_digit_year_without_now_follows_posix():
    assert parse_http_date(b"Monday, 01-Jan-68 00:00:00 GMT") == 3_092_601_600  # 2068
    assert parse_http_date(b"Monday, 01-Jan-69 00:00:00 GMT") == -31_536_000  # 1969


@pytest.mark.parametrize(("short", "year"), [("26", 2026), ("75", 2075), ("77", 1977), ("99", 1999), ("00", 2000)])
def test_two_digit_year_is_at_most_fifty_years_ahead_of_now(short, year):
    now = parse_http_date(b"Wed, 01 Jul 2026 00:00:00 GMT")
    moment = parse_http_date(f"Monday, 01-Jan-{short} 00:00:00 GMT", now=now)
    assert http_date(moment).endswith(f"01 Jan {year} 00:00:00 GMT".encode())


def test_structured_date():
    assert structured_date(1_659_578_233) == b"@1659578233"  # RFC 9651 §3.3.7
    assert structured_date(1_688_169_599.9) == b"@1688169599"
    assert structured_date(-1.5) == b"@-2"


@pytest.mark.parametrize("moment", [float("nan"), float("inf"), -1e12, 253_402_300_800, 1e300])
def test_moments_that_cannot_be_written_are_refused(moment):
    with pytest.raises(ValueError, match="years 1 to 9999"):
        http_date(moment)
    with pytest.raises(ValueError, match="years 1 to 9999"):
        structured_date(moment)


@given(st.integers(-62_135_596_800, 253_402_300_799))
def test_what_is_written_is_read(moment):
    assert parse_http_date(http_date(moment)) == moment


@given(st.integers(0, 253_402_300_799))
def test_agrees_with_the_standard_library(moment):
    assert http_date(moment).decode() == formatdate(moment, usegmt=True)


@given(st.binary(max_size=60))
def test_never_raises(value):
    assert parse_http_date(value) is None or isinstance(parse_http_date(value), int)
