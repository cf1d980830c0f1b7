"""What `Cache-Control` and targeted fields say, whatever they look like."""

import pytest

from seawall.http.directives import LONGEST, cache_control, list_of, targeted


@pytest.mark.parametrize(
    ("field", "seconds"),
    [
        (b"max-age=60", 60),
        (b"Max-Age=60", 60),
        (b"public,max-age=60", 60),
        (b'max-age="60"', 60),
        (b"max-age=0060", 60),
        (b"max-age=60, max-age=5", 5),
        (b"max-age=99999999999999999999", LONGEST),
        (b"max-age=-1", 0),
        (b"max-age=1.5", 0),
        (b"max-age='60'", 0),
        (b"max-age =60", 0),
        (b"max-age= 60", 0),
        (b"max-age", 0),
        (b'extension="max-age=60"', None),
        (b'extension="a, max-age=60", max-age=1', 1),
        (b'extension="\\", max-age=60", max-age=1', 1),
        (b's-maxage=60, "unclosed, max-age=3', 3),
        (b"", None),
        (b",,,", None),
    ],
)
def test_times_are_read_strictly(field, seconds):
    assert cache_control(field).seconds(b"max-age") == seconds


def test_names_are_the_same_in_any_case_and_fields_of_any_size():
    assert b"no-store" in cache_control(b"No-StOrE")
    assert b"private" in cache_control(b'private="x-a, x-b"')
    assert b"x-a" not in cache_control(b'private="x-a, x-b"')
    assert b"no-store" in cache_control(b"a," * 5000 + b"no-store")
    assert cache_control(b"max-stale").bare(b"max-stale")
    assert not cache_control(b"max-stale=1").bare(b"max-stale")


@pytest.mark.parametrize(
    ("field", "seconds"),
    [
        (b"max-age=60", 60),
        (b"max-age=60;a=1, foo;b", 60),
        (b'foo="a,b", max-age=60', 60),
        (b"foo=?1, bar=:YQ==:, baz=1.5, max-age=60", 60),
    ],
)
def test_targeted_fields_are_dictionaries(field, seconds):
    assert targeted(field).seconds(b"max-age") == seconds


@pytest.mark.parametrize(
    "field", [None, b"", b"max-age=60, &&&", b"max-age=60,", b"Max-Age=60", b"max-age = 60", b'a="x']
)
def test_one_mistake_makes_a_targeted_field_none(field):
    assert targeted(field) is None


def test_another_type_is_no_time():
    assert targeted(b'max-age="60"').seconds(b"max-age") == 0


def test_lists_of_names():
    assert list(list_of(b" Foo ,, BAR")) == [b"foo", b"bar"]
    assert list(list_of(None)) == []
