"""Negotiation of media types and content codings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.http import negotiation
from seawall.http.negotiation import Negotiator, negotiate, negotiate_encoding

JSON, PACK = "application/json", "application/msgpack"
BOTH = (JSON, PACK)


@pytest.mark.parametrize(
    ("offer", "weight"),
    [  # the example of RFC 9110 §12.5.1
        ("text/plain;format=flowed", 1.0),
        ("text/plain", 0.7),
        ("text/html", 0.3),
        ("image/jpeg", 0.5),
        ("text/plain;format=fixed", 0.4),
        ("text/html;level=3", 0.3),
    ],
)
def test_weights_of_the_rfc(offer, weight):
    accept = b"text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, text/plain;format=fixed;q=0.4, */*;q=0.5"
    # A probe of known weight finds the offer's: the heavier of the two is chosen, the first among equals.
    for probe in range(1, 11):
        members = accept + b", probe/probe;q=%.1f" % (probe / 10)
        chosen = negotiate(members, ("probe/probe", offer))
        assert (chosen == offer) is (weight > probe / 10), probe


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, JSON),
        (b"", JSON),
        (b"  ", JSON),
        (b"*/*", JSON),
        (b"*", JSON),
        (b"application/*", JSON),
        (b"application/msgpack", PACK),
        (b"APPLICATION/MSGPACK", PACK),
        (b"application/msgpack, application/json", JSON),
        (b"application/json;q=0.5, application/msgpack", PACK),
        (b"application/json;q=0.5,application/msgpack;q=0.5", JSON),
        (b"application/json;q=0, */*", PACK),
        (b"application/json;q=0.000 , */*;q=0.001", PACK),
        (b"application/*;q=0.2, application/msgpack;q=0.1", JSON),
        (b"*/*, application/json;q=0", PACK),
        (b"text/html, */*;q=0", None),
        (b"text/html", None),
        (b"*/*;q=0", None),
        (b"application/json;q=0", None),
        (b"application/json;version=2", None),
        (b"application/json;charset=utf-8", JSON),
        (b"application/json;charset=UTF-8", JSON),
        (b"application/json;charset=latin-1", None),
        (b"text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", JSON),
        (b"application/msgpack;Q=1.0", PACK),
        (b"application/msgpack ; q=1.", PACK),
        (b'text/x;note="a, application/json", application/msgpack', PACK),
        (
            b"application/msgpack;q=0.9;extension=1, application/json;q=0.1",
            JSON,
        ),  # a parameter the offer lacks
    ],
)
def test_choice(accept, chosen):
    assert negotiate(accept, BOTH) == chosen


@pytest.mark.parametrize(
    "accept",
    [b"garbage", b"application/json;q=2", b"application/json;q=-1", b"/", b",,,", b"*/json", b"\xff\xfe"],
)
def test_a_field_in_which_nothing_can_be_read_counts_as_absent(accept):
    assert negotiate(accept, (PACK, JSON)) == PACK


def test_members_that_cannot_be_read_are_ignored():
    assert negotiate(b"garbage, application/json;q=x, application/msgpack;q=0.1", BOTH) == PACK


def test_open_quote_takes_the_rest():
    assert negotiate(b'application/msgpack, text/x;a="b, application/json', BOTH) == PACK


def test_more_parameters_are_more_specific():
    offers = ("a/b;x=1;y=2",)
    assert negotiate(b"a/b;x=1;y=2;q=0, a/b;x=1, a/b, a/*, */*", offers) is None
    assert negotiate(b"a/b;x=1;y=2, a/b;x=1;q=0, a/b;q=0, a/*;q=0, */*;q=0", offers) == offers[0]


def test_the_same_range_twice_counts_with_its_larger_weight():
    assert negotiate(b"application/json;q=0.1, application/msgpack;q=0.5, application/json;q=0.9", BOTH) == JSON


def test_at_most_64_members_are_read():
    assert negotiate(b"x/y," * 63 + b"application/json", BOTH) == JSON
    assert negotiate(b"x/y," * 64 + b"application/json", BOTH) is None


def test_no_offers_choose_nothing():
    assert negotiate(None, ()) is None


def test_an_offer_that_is_no_media_type_is_found_at_start_up():
    with pytest.raises(ValueError, match="offer 'json' is not a media type: write 'application/json'"):
        Negotiator(("json", "application/json"))


CODINGS = ("zstd", "br", "gzip")


@pytest.mark.parametrize(
    ("field", "chosen"),
    [
        (None, "identity"),
        (b"", "identity"),
        (b"gzip, deflate, br, zstd", "zstd"),
        (b"gzip, deflate, br", "br"),
        (b"gzip", "gzip"),
        (b"GZIP", "gzip"),
        (b"x-gzip", "gzip"),
        (b"deflate", "identity"),
        (b"compress, gzip", "gzip"),  # the examples of RFC 9110 §12.5.3
        (b"*", "zstd"),
        (b"compress;q=0.5, gzip;q=1.0", "gzip"),
        (b"gzip;q=1.0, identity; q=0.5, *;q=0", "gzip"),
        (b"gzip;q=0.5, br;q=0.8", "br"),
        (b"gzip;q=0", "identity"),
        (b"gzip;q=0, *", "zstd"),
        (b"zstd;q=0, *;q=0.1", "br"),
        (b"gzip;q=0.5, identity", "identity"),
        (b"gzip;q=0.5, identity;q=0.5", "gzip"),
        (b"identity;q=0, gzip;q=0.1", "gzip"),
        (b"identity;q=0", None),
        (b"*;q=0", None),
        (b"deflate, *;q=0", None),
        (b"identity, *;q=0", "identity"),
        (b"gzip;q=abc", "identity"),
        (b"gzip;level=9", "identity"),
        (b"gzip ; q=0.3, ,br", "br"),
        (b"\xff", "identity"),
    ],
)
def test_coding(field, chosen):
    assert negotiate_encoding(field, CODINGS) == chosen


def test_coding_without_offers():
    assert negotiate_encoding(b"gzip, br", ()) == "identity"
    assert negotiate_encoding(b"gzip, identity;q=0", ()) is None


@given(st.binary(max_size=200))
def test_never_raises_and_chooses_an_offer(field):
    assert negotiate(field, BOTH) in {*BOTH, None}
    assert negotiate_encoding(field, CODINGS) in {*CODINGS, "identity", None}


_ranges = st.sampled_from(["*/*", "application/*", JSON, PACK, "text/html", "*", 'a/b;c=","'])
_weights = st.sampled_from(["", ";q=0", ";q=0.3", ";q=0.7", ";q=1", "; Q=0.300"])


@given(st.lists(st.tuples(_ranges, _weights).map("".join), min_size=1, max_size=8))
def test_choice_does_not_depend_on_the_order_of_the_members(members):
    forwards = negotiate(", ".join(members).encode(), BOTH)
    assert forwards == negotiate(",".join(reversed(members)).encode(), BOTH)


def test_unclosed_quotes_take_linear_time():
    # Quadratic time would be some 10**9 steps here; the test would not come back.
    assert negotiate(b'"\\' * 30_000 + b"," + b'"' * 30_001, BOTH) == JSON


def test_negotiator_agrees_with_its_function_and_remembers():
    negotiator = Negotiator(BOTH)
    assert negotiator(b"application/msgpack;q=1") == PACK
    assert negotiator.cache[b"application/msgpack;q=1"] == PACK
    assert negotiator(b"text/html") is None
    assert negotiator.cache[b"text/html"] is None
    assert negotiator.cache[None] == JSON


def test_negotiator_asks_once_for_each_field():
    asked = []

    def choose(field, offers):
        asked.append(field)
        return offers[0]

    negotiator = Negotiator(("a",), choose)
    asked.clear()
    assert [negotiator(b"x") for _ in range(3)] == ["a"] * 3
    assert asked == [b"x"]


def test_negotiator_memory_is_bounded():
    negotiator = Negotiator(BOTH)
    for number in range(3 * negotiation.MAX_CACHED):
        negotiator(b"application/msgpack;q=0.5, x/y%d" % number)
        assert len(negotiator.cache) <= negotiation.MAX_CACHED
    assert negotiator.cache[None] == JSON
    assert negotiator.cache[b"application/json"] == JSON


def test_long_fields_are_not_remembered():
    negotiator = Negotiator(BOTH)
    size = len(negotiator.cache)
    assert negotiator(b"application/msgpack" + b" " * 512) == PACK
    assert len(negotiator.cache) == size


def test_negotiator_of_codings():
    negotiator = Negotiator(CODINGS, negotiate_encoding)
    assert negotiator.cache[None] == "identity"
    assert negotiator(b"br, gzip") == "br"
