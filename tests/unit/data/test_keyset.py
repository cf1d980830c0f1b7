from __future__ import annotations

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, select

from seawall.data.keyset import Key, Keyset, decode_cursor, encode_cursor
from seawall.data.problems import InvalidCursor
from seawall.problems import DeclarationError

things = Table(
    "things",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False),
    Column("note", String),
)


def test_a_cursor_belongs_to_its_search_and_its_secret():
    cursor = encode_cursor(["a", 3], {"q": "x"})
    assert decode_cursor(cursor, [str, int], {"q": "x"}) == ("a", 3)
    signed = encode_cursor(["a", 3], None, b"secret")
    assert decode_cursor(signed, [str, int], None, b"secret") == ("a", 3)
    for wrong, types, search, secret in (
        (cursor, [str, int], {"q": "y"}, b""),
        (cursor, [int, int], {"q": "x"}, b""),
        (cursor, [str], {"q": "x"}, b""),
        (cursor + "=", [str, int], {"q": "x"}, b""),
        (encode_cursor(["a", 3]), [str, int], None, b"secret"),
        (signed, [str, int], None, b"other"),
        ("", [str, int], None, b""),
    ):
        with pytest.raises(InvalidCursor) as caught:
            decode_cursor(wrong, types, search, secret)
        assert caught.value.errors[0].parameter == "cursor"


def test_one_direction_compares_rows_and_two_compare_columns():
    same = Keyset(Key(things.c.name, str, descending=True), Key(things.c.id, int, descending=True))
    assert "(things.name, things.id) < (" in str(same.apply(select(things), ["a", 1]))
    mixed = Keyset(Key(things.c.name, str), Key(things.c.id, int, descending=True))
    text = str(mixed.apply(select(things), ["a", 1]))
    assert "things.name > " in text
    assert "things.name = " in text
    assert "things.id < " in text
    assert text.endswith("ORDER BY things.name ASC, things.id DESC")


def test_nothing_comes_after_null():
    with pytest.raises(DeclarationError, match="'note' may be NULL"):
        Keyset(Key(things.c.note, str), Key(things.c.id, int))
    with pytest.raises(DeclarationError, match="no key"):
        Keyset()
