from __future__ import annotations

import base64
import string
from datetime import UTC, datetime

import msgspec
import pytest

from storefront.cursor import _mark, decode_cursor, encode_cursor
from storefront.problems import InvalidCursor
from storefront.products import _NameKey
from storefront.types import Cents, Moment, OrderSearch, ProductSearch, UserSearch

SEARCH = ProductSearch(q="lamp", sort="name", min_price=100)
WHEN = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def forge(place) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("key", "kind"),
    [("ölkännchen, “groß”", _NameKey), ("x" * 600, _NameKey), (0, Cents), (4_900, Cents), (WHEN, Moment)],
)
def test_comes_back_as_it_went(key, kind):
    cursor = encode_cursor(SEARCH, key, 42)
    assert set(cursor) <= set(string.ascii_letters + string.digits + "-_")
    assert decode_cursor(cursor, SEARCH, kind) == (key, 42)


def test_the_longest_cursor_is_one_that_is_accepted():
    # U+1FB7 is one character and three when its case is folded: the longest a key can become.
    cursor = encode_cursor(SEARCH, ("\u1fb7" * 200).casefold(), 2**31 - 1)
    assert msgspec.convert({"cursor": cursor}, ProductSearch).cursor == cursor


def test_every_change_of_a_character_is_noticed():
    cursor = encode_cursor(SEARCH, "desk lamp", 42)
    alphabet = string.ascii_letters + string.digits + "-_"
    for place, character in enumerate(cursor):
        for other in alphabet:
            if other != character:
                with pytest.raises(InvalidCursor):
                    decode_cursor(cursor[:place] + other + cursor[place + 1 :], SEARCH, _NameKey)


@pytest.mark.parametrize(
    "cursor", ["", "=", "a", "abcd", "[]", "é", "W10", "bnVsbA", "a" * 2_000, "W10=", " W10", "W10\n"]
)
def test_what_is_no_cursor_is_refused(cursor):
    with pytest.raises(InvalidCursor) as caught:
        decode_cursor(cursor, SEARCH, _NameKey)
    assert caught.value.status == 422
    assert [(error.parameter, error.location) for error in caught.value.errors] == [("cursor", "query")]


def test_additions_are_refused():
    cursor = encode_cursor(SEARCH, "desk lamp", 42)
    for changed in (cursor + "=", cursor + "A", " " + cursor, cursor[:-1], cursor + "\n"):
        with pytest.raises(InvalidCursor):
            decode_cursor(changed, SEARCH, _NameKey)


@pytest.mark.parametrize(
    "other",
    [
        ProductSearch(q="lamps", sort="name", min_price=100),
        ProductSearch(q="lamp", sort="-name", min_price=100),
        ProductSearch(q="lamp", sort="name"),
        ProductSearch(q="lamp", sort="name", min_price=100, in_stock=False),
    ],
)
def test_belongs_to_its_search(other):
    cursor = encode_cursor(SEARCH, "desk lamp", 42)
    with pytest.raises(InvalidCursor):
        decode_cursor(cursor, other, _NameKey)


def test_belongs_to_its_kind_of_search():
    with pytest.raises(InvalidCursor):
        decode_cursor(encode_cursor(UserSearch(), WHEN, 1), OrderSearch(), Moment)


def test_the_size_of_the_page_may_change():
    cursor = encode_cursor(SEARCH, "desk lamp", 42)
    larger = msgspec.structs.replace(SEARCH, limit=100, cursor=cursor)
    assert decode_cursor(cursor, larger, _NameKey) == ("desk lamp", 42)


@pytest.mark.parametrize(
    ("key", "row_id", "kind"),
    [
        ("a\x00b", 1, _NameKey),
        ("", 1, _NameKey),
        (2**40, 1, Cents),
        (-1, 1, Cents),
        (1, 0, Cents),
        (1, 2**31, Cents),
        ("text", 1, Cents),
        (7, 1, _NameKey),
        (True, 1, Cents),
        (1.5, 1, Cents),
        ("2026-01-01T00:00:00", 1, Moment),
        ("0001-01-01T00:00:00+23:00", 1, Moment),
        ("2026-01-01T01:00:00+01:00", 1, Moment),
    ],
)
def test_a_forged_one_brings_nothing_strange_to_the_database(key, row_id, kind):
    # Whoever knows the code can make the mark; what the cursor says must be possible all the same.
    cursor = forge([_mark(SEARCH, key, row_id), key, row_id])
    with pytest.raises(InvalidCursor):
        decode_cursor(cursor, SEARCH, kind)
