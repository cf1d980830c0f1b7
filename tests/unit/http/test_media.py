"""Media types: the grammar, JSON and charsets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.http.media import MediaType, charset, is_json, is_json_content_type, parse, utf8_only


@pytest.mark.parametrize(
    "value",
    [  # RFC 9110 §8.3.1: "the following media types are equivalent"
        b"text/html;charset=utf-8",
        b"Text/HTML;Charset=utf-8",
        b'text/html; charset="utf-8"',
        b"  text/html ;;  charset=utf-8 ; ",
    ],
)
def test_spellings_of_one_media_type_are_equal(value):
    assert parse(value) == MediaType("text", "html", None, (("charset", "utf-8"),))


def test_text_and_bytes_are_both_taken():
    assert parse("application/problem+json") == parse(b"application/problem+json")


def test_suffix_is_what_follows_the_last_plus():
    media = parse(b"application/vnd.a+b+JSON")
    assert media is not None
    assert (media.subtype, media.suffix, media.essence) == (
        "vnd.a+b+json",
        "json",
        "application/vnd.a+b+json",
    )
    assert parse(b"application/odd+").suffix is None


def test_quoted_parameter_holds_anything_and_is_unescaped():
    media = parse(rb'multipart/form-data; boundary="a;b, \"c\" \\ d"; x=1')
    assert media.parameter("boundary") == 'a;b, "c" \\ d'
    assert media.parameter("x") == "1"
    assert media.parameter("y") is None


def test_empty_quoted_value_is_a_value():
    assert parse(b'a/b;c=""').parameters == (("c", ""),)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"json",
        b"application/",
        b"/json",
        b"application/json/x",
        b"application /json",
        b"application/json x",
        b"application/json; charset",
        b"application/json; charset=",
        b"application/json; charset =utf-8",
        b"application/json; charset= utf-8",
        b'application/json; charset="utf-8',
        b'application/json; charset="utf-8"x',
        b"application/json; charset=utf-8, text/html",
        b"application/json; charset=utf-8; charset=latin-1",
        "application/jsön".encode(),
        b"application/json\x00",
        b'a/b;c="\x01"',
    ],
)
def test_malformed_is_none(value):
    assert parse(value) is None


@pytest.mark.parametrize(
    ("value", "json", "utf8"),
    [
        (b"application/json", True, True),
        (b"APPLICATION/JSON", True, True),
        (b"application/json; charset=UTF-8", True, True),
        (b"application/json; charset=utf8", True, True),
        (b"application/json; charset=iso-8859-1", True, False),
        (b"application/json; profile=x", True, True),
        (b"application/merge-patch+json", True, True),
        (b"image/thing+json", True, True),
        (b"text/json", False, True),
        (b"application/jsonp", False, True),
        (b"text/plain", False, True),
    ],
)
def test_json_and_its_charset(value, json, utf8):
    media = parse(value)
    assert is_json(media) is json
    assert utf8_only(media) is utf8
    assert is_json_content_type(value) is (json and utf8)


def test_charset_is_lower_case_or_none():
    assert charset(parse(b"text/plain; charset=ISO-8859-1")) == "iso-8859-1"
    assert charset(parse(b"text/plain")) is None


def test_malformed_content_type_is_not_json():
    assert is_json_content_type(b"application/json;;charset") is False


@given(st.binary(max_size=200))
def test_never_raises(value):
    is_json_content_type(value)


_token = st.text("abcXYZ019!#$%&'*+-.^_`|~", min_size=1, max_size=8)
_value = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)


@given(_token, _token, st.dictionaries(_token.map(str.lower), _value, max_size=4))
def test_what_is_written_is_read(kind, subtype, parameters):
    def quote(value):
        return value.replace("\\", "\\\\").replace('"', '\\"')

    text = f"{kind}/{subtype}" + "".join(f'; {name}="{quote(value)}"' for name, value in parameters.items())
    media = parse(text)
    assert media is not None
    assert media.essence == f"{kind}/{subtype}".lower()
    assert dict(media.parameters) == parameters
