"""Query strings: exact decoding, repeated names, limits."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.http.query import QueryError, TooManyFieldsError, UndecodableFieldError, parse_query


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        (b"", {}),
        (b"a=1", {"a": "1"}),
        (b"a=1&b=2", {"a": "1", "b": "2"}),
        (b"a", {"a": ""}),
        (b"a&b=", {"a": "", "b": ""}),
        (b"=x", {"": "x"}),
        (b"=", {"": ""}),
        (b"a=b=c", {"a": "b=c"}),
        (b"=a=b", {"": "a=b"}),
        (b"&&a=1&", {"a": "1"}),
        (b"&", {}),
        (b"a=1+2", {"a": "1 2"}),
        (b"a+b=1%2B2", {"a b": "1+2"}),
        (b"a%3Db=c%26d", {"a=b": "c&d"}),
        (b"q=caf%C3%A9", {"q": "café"}),
        (b"q=caf%c3%a9", {"q": "café"}),
        (b"q=caf\xc3\xa9", {"q": "café"}),
        (b"q=caf\xc3%A9", {"q": "café"}),
        (b"a=100%", {"a": "100%"}),
        (b"a=%zz%4", {"a": "%zz%4"}),
        (b"a=%%41", {"a": "%A"}),
        (b"a=%2541", {"a": "%41"}),
        (b"a=x;b=y", {"a": "x;b=y"}),
        (b"a=%00", {"a": "\0"}),
        (b"?a=1", {"?a": "1"}),
    ],
)
def test_fields(query, fields):
    assert parse_query(query, 100) == (fields, None)


def test_repeated_names_come_with_all_their_values():
    fields, repeated = parse_query(b"tag=a&x=1&tag=b&tag=a", 100)
    assert fields == {"tag": "a", "x": "1"}
    assert repeated == {"tag": ["a", "b", "a"]}


def test_names_are_compared_decoded():
    assert parse_query(b"a=1&%61=2", 100) == ({"a": "2"}, {"a": ["1", "2"]})
    assert parse_query(b"=1&=2", 100) == ({"": "2"}, {"": ["1", "2"]})


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (b"ok=1&q=%FF", "q"),
        (b"ok=1&q=\xff", "q"),
        (b"q=%C3", "q"),
        (b"q=%ED%A0%80", "q"),  # a surrogate half
        (b"q=%C0%AF", "q"),  # an overlong slash
        (b"%FFx=1", "\ufffdx"),
        (b"a+b=%ff", "a b"),
    ],
)
def test_what_is_not_utf8_is_refused_by_name(query, field):
    with pytest.raises(UndecodableFieldError) as caught:
        parse_query(query, 100)
    assert caught.value.field == field
    assert repr(field) in str(caught.value)
    assert isinstance(caught.value, QueryError)
    assert isinstance(caught.value, ValueError)


def test_too_many_fields():
    assert len(parse_query(b"&".join(b"f%d=1" % i for i in range(10)), 10)[0]) == 10
    with pytest.raises(TooManyFieldsError, match="more than 10 fields") as caught:
        parse_query(b"&".join(b"f%d=1" % i for i in range(11)), 10)
    assert caught.value.limit == 10
    with pytest.raises(TooManyFieldsError):
        parse_query(b"&" * 10, 10)


_pairs = st.lists(st.tuples(st.text(max_size=6), st.text(max_size=6)), max_size=8)


def _flat(result):
    fields, repeated = result
    assert repeated is None or all(len(values) > 1 for values in repeated.values())
    return {name: (repeated or {}).get(name, [value]) for name, value in fields.items()}


def _grouped(pairs):
    groups = {}
    for name, value in pairs:
        groups.setdefault(name, []).append(value)
    return groups


@given(_pairs)
def test_what_is_written_is_read(pairs):
    query = urlencode(pairs).encode()
    assert _flat(parse_query(query, 100)) == _grouped(pairs)


@given(st.lists(st.sampled_from([b"a", b"b", b"=", b"&", b"+", b"%", b"41", b"%C3%A9", b"%C3", b"\xc3\xa9", b"%0"])))
def test_agrees_with_the_standard_library(pieces):
    query = b"".join(pieces)
    try:
        expected = _grouped(
            # latin-1 in and out keeps every byte; UTF-8 is then decoded strictly.
            (name.encode("latin-1").decode(), value.encode("latin-1").decode())
            for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True, encoding="latin-1")
        )
    except UnicodeDecodeError:
        with pytest.raises(UndecodableFieldError):
            parse_query(query, 1000)
    else:
        assert _flat(parse_query(query, 1000)) == expected


@given(st.binary(max_size=100))
def test_raises_nothing_but_its_own_error(query):
    try:
        fields, _ = parse_query(query, 50)
    except QueryError:
        return
    for name, value in fields.items():
        (name + value).encode()  # no surrogates get through
