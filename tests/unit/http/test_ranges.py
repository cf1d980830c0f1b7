"""Byte ranges: which are had, which are refused, which are ignored."""

import pytest

from seawall.http.ranges import MOST, boundary_of, multipart, still_the_same, wanted

DATE = b"Sun, 06 Nov 1994 08:49:38 GMT"


@pytest.mark.parametrize(
    ("field", "ranges"),
    [
        (b"bytes=0-0", [(0, 1)]),
        (b"bytes=2-", [(2, 10)]),
        (b"bytes=-3", [(7, 10)]),
        (b"bytes=-30", [(0, 10)]),
        (b"bytes=8-99", [(8, 10)]),
        (b"Bytes = 0-1 , 3-4", [(0, 2), (3, 5)]),
        (b"bytes=10-", []),
        (b"bytes=10-12, 0-0", [(0, 1)]),
        (b"bytes=-0", []),
        (b"bytes=3-2", None),
        (b"bytes=-", None),
        (b"bytes=", None),
        (b"bytes=a-b", None),
        (b"bytes=0-1,", None),
        (b"lines=0-1", None),
        (b"bytes=0-, 0-", None),
        (b"bytes=" + b",".join([b"0-0"] * (MOST + 1)), None),
        (b"bytes=" + b"9" * 40 + b"-", None),
    ],
)
def test_ranges_of_ten_bytes(field, ranges):
    assert wanted(field, 10) == ranges


def test_nothing_can_be_had_of_nothing():
    assert wanted(b"bytes=0-", 0) == []


@pytest.mark.parametrize(
    ("field", "same"),
    [
        (b'"a"', True),
        (b'"b"', False),
        (b'W/"a"', False),
        (b"Sun, 06 Nov 1994 08:49:37 GMT", True),
        (b"Sun, 06 Nov 1994 08:49:36 GMT", False),
        (b"nonsense", False),
    ],
)
def test_if_range_is_strong(field, same):
    modified = b"Sun, 06 Nov 1994 08:49:37 GMT"
    assert still_the_same({b"if-range": field}, b'"a"', modified, DATE) is same
    assert still_the_same({}, b'"a"', modified, DATE)


def test_a_time_of_the_same_second_and_a_weak_tag_say_nothing():
    assert not still_the_same({b"if-range": DATE}, None, DATE, DATE)
    assert not still_the_same({b"if-range": b'W/"a"'}, b'W/"a"', None, DATE)


def test_parts_have_a_separator_that_is_in_none_of_them():
    ranges = [(0, 2), (4, 6)]
    first = boundary_of(b'"a"', ranges, b"")
    body = first + b"0123"
    boundary = boundary_of(b'"a"', ranges, body)
    assert boundary not in body
    text = multipart(b"0123456789", ranges, b"text/plain", b"x")
    assert text == (
        b"--x\r\ncontent-type: text/plain\r\ncontent-range: bytes 0-1/10\r\n\r\n01\r\n"
        b"--x\r\ncontent-type: text/plain\r\ncontent-range: bytes 4-5/10\r\n\r\n45\r\n--x--\r\n"
    )
