"""Conditions: which come first, which tags equal which, and what writes they stop."""

import pytest

from seawall import Call, PreconditionFailed, PreconditionRequired, check_preconditions
from seawall.http.conditional import outcome, strongly, weakly

THEN, LATER = b"Sun, 06 Nov 1994 08:49:37 GMT", b"Sun, 06 Nov 1994 08:49:38 GMT"
MOMENT = 784111777


@pytest.mark.parametrize(
    ("field", "etag", "weak", "strong"),
    [
        (b'"a"', b'"a"', True, True),
        (b'W/"a"', b'"a"', True, False),
        (b'"a"', b'W/"a"', True, False),
        (b'W/"a"', b'W/"a"', True, False),
        (b'"b", "a"', b'"a"', True, True),
        (b'"a,b"', b'"a,b"', True, True),
        (b'"a,b"', b'"a"', False, False),
        (b"*", b'"a"', True, True),
        (b'"A"', b'"a"', False, False),
        (b"a", b'"a"', False, False),
        (b"", b'"a"', False, False),
    ],
)
def test_tags(field, etag, weak, strong):
    assert weakly(field, etag) is weak
    assert strongly(field, etag) is strong


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({}, 0),
        ({b"if-none-match": b'"a"'}, 304),
        ({b"if-none-match": b'"b"'}, 0),
        ({b"if-none-match": b'"b"', b"if-modified-since": LATER}, 0),
        ({b"if-modified-since": THEN}, 304),
        ({b"if-modified-since": LATER}, 304),
        ({b"if-modified-since": b"Sun, 06 Nov 1994 08:49:36 GMT"}, 0),
        ({b"if-modified-since": b"yesterday"}, 0),
        ({b"if-match": b'"b"', b"if-none-match": b'"a"'}, 412),
        ({b"if-match": b'"a"', b"if-none-match": b'"a"'}, 304),
        ({b"if-unmodified-since": b"Sun, 06 Nov 1994 08:49:36 GMT"}, 412),
        ({b"if-unmodified-since": THEN}, 0),
        ({b"if-match": b'"a"', b"if-unmodified-since": b"Sun, 06 Nov 1994 08:49:36 GMT"}, 0),
    ],
)
def test_a_tag_counts_before_a_time_and_a_refusal_before_a_304(asked, status):
    assert outcome(asked, b'"a"', MOMENT) == status


def test_without_a_tag_or_a_time_nothing_is_the_same():
    assert outcome({b"if-none-match": b'"a"'}, None, None) == 0
    assert outcome({b"if-modified-since": THEN}, None, None) == 0


def call(**fields: bytes) -> Call:
    return Call(b"1", "write", {name.replace("_", "-").encode(): value for name, value in fields.items()})


def test_a_write_about_what_is_there_goes_on():
    check_preconditions(call(if_match=b'"a"'), etag='"a"', required=True)
    check_preconditions(call(if_match=b"*"), etag='"a"', required=True)
    check_preconditions(call(if_unmodified_since=THEN), modified=MOMENT, required=True)
    check_preconditions(call(if_none_match=b"*"), etag=None, required=True)
    check_preconditions(call(), etag='"a"')


@pytest.mark.parametrize(
    ("fields", "etag"),
    [
        ({"if_match": b'"a"'}, '"b"'),
        ({"if_match": b'W/"a"'}, 'W/"a"'),
        ({"if_match": b"*"}, None),
        ({"if_none_match": b"*"}, '"a"'),
        ({"if_none_match": b'"a"'}, '"a"'),
        ({"if_unmodified_since": b"Sun, 06 Nov 1994 08:49:36 GMT"}, None),
    ],
)
def test_a_write_about_something_else_is_refused(fields, etag):
    with pytest.raises(PreconditionFailed):
        check_preconditions(call(**fields), etag=etag, modified=MOMENT)


def test_a_write_that_does_not_say_is_refused_where_it_must():
    with pytest.raises(PreconditionRequired):
        check_preconditions(call(), etag='"a"', required=True)
    with pytest.raises(PreconditionRequired):
        check_preconditions(call(if_none_match=b'"b"'), etag='"a"', required=True)
