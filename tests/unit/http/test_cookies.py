"""Cookies: lenient in, strict out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.http.cookies import delete_cookie, parse_cookies, set_cookie


@pytest.mark.parametrize(
    ("header", "cookies"),
    [
        (b"", {}),
        (
            b"SID=31d4d96e407aad42; lang=en-US",
            {"SID": "31d4d96e407aad42", "lang": "en-US"},
        ),  # RFC 6265bis §3.1
        (b"a=1;b=2 ;  c=3", {"a": "1", "b": "2", "c": "3"}),
        (b"a=1;;; b=2;", {"a": "1", "b": "2"}),
        (b"a=b=c", {"a": "b=c"}),
        (b"a=", {"a": ""}),
        (b'a="quoted"; b="', {"a": "quoted", "b": '"'}),
        (b'a=""', {"a": ""}),
        (b"nameless; =x; a=1", {"a": "1"}),
        (b"a=first; a=second", {"a": "first"}),
        (b"\ta=1\t;\tb\t=\t2", {"a": "1", "b": "2"}),
        (b"a=caf\xc3\xa9; b=\xff; c=1", {"a": "café", "c": "1"}),
        (b"a=1\x00; b=2\r\nx; c=3", {"c": "3"}),
        (b"a=\x7f; c=\xc2\x85; d=3", {"d": "3"}),
        (b"a=\xc2\xa0x", {"a": "\u00a0x"}),
        (b"a=%41", {"a": "%41"}),
        (b"A=1; a=2", {"A": "1", "a": "2"}),
        (b"a=1\t2", {"a": "1\t2"}),
    ],
)
def test_parse(header, cookies):
    assert parse_cookies(header) == cookies


def test_only_the_first_cookies_are_read():
    header = b"; ".join(b"c%d=%d" % (i, i) for i in range(300))
    assert len(parse_cookies(header)) == 180
    assert parse_cookies(header, max_cookies=2) == {"c0": "0", "c1": "1"}
    assert parse_cookies(header + b"\t", max_cookies=2) == {"c0": "0", "c1": "1"}


@given(st.binary(max_size=200))
def test_parse_never_raises_and_lets_no_controls_through(header):
    for name, value in parse_cookies(header).items():
        assert not any(character < " " and character != "\t" for character in name + value)


def test_defaults_are_safe():
    assert set_cookie("session", "abc") == b"session=abc; Path=/; Secure; HttpOnly; SameSite=Lax"


def test_everything_said():
    assert set_cookie(
        "id",
        "1",
        max_age=60,
        expires=784_111_777,
        path="/shop",
        domain=".Example.com",
        secure=True,
        http_only=False,
        same_site="none",
        partitioned=True,
    ) == (
        b"id=1; Expires=Sun, 06 Nov 1994 08:49:37 GMT; Max-Age=60; Domain=example.com; Path=/shop; Secure; "
        b"SameSite=None; Partitioned"
    )


def test_insecure_only_when_asked():
    assert set_cookie("a", "b", secure=False, same_site="strict") == b"a=b; Path=/; HttpOnly; SameSite=Strict"


def test_delete():
    assert delete_cookie("__Host-a", partitioned=True) == (
        b"__Host-a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/; Secure; HttpOnly; "
        b"SameSite=Lax; Partitioned"
    )
    assert b"Path=/x" in delete_cookie("a", path="/x", max_age=500)
    assert b"Max-Age=0" in delete_cookie("a", path="/x", max_age=500)


@pytest.mark.parametrize("name", ["", "a b", "a=b", "a;b", "a\r\n", "é", "a,b", 'a"b', "a\n"])
def test_names_that_are_no_tokens_are_refused(name):
    with pytest.raises(ValueError, match="not a token"):
        set_cookie(name, "x")


@pytest.mark.parametrize("value", ["a b", "a;b", "a,b", 'a"b', "a\\b", "a\r\nSet-Cookie: x=y", "é", "\0", "a\n"])
def test_values_that_browsers_misread_are_refused_without_showing_them(value):
    with pytest.raises(ValueError, match="encode it first") as caught:
        set_cookie("secret", value)
    assert value not in str(caught.value)


def test_too_long_is_refused():
    assert len(set_cookie("a", "x" * 4095)) > 4096
    with pytest.raises(ValueError, match="4097 octets long and browsers keep 4096"):
        set_cookie("a", "x" * 4096)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "shop"}, "must begin with '/'"),
        ({"path": "/a;Domain=x"}, "must begin with '/'"),
        ({"path": "/a\r\n"}, "must begin with '/'"),
        ({"path": "/" + "a" * 1024}, "1024 octets"),
        ({"domain": "exa mple.com"}, "not a host name"),
        ({"domain": "example.com; Path=/x"}, "not a host name"),
        ({"domain": "example.com\n"}, "not a host name"),
        ({"domain": "a." * 130 + "com"}, "not a host name"),
        ({"domain": ""}, "not a host name"),
        ({"same_site": "Sometimes"}, "'lax', 'strict' or 'none'"),
        ({"same_site": "none", "secure": False}, "must be secure"),
        ({"partitioned": True, "secure": False}, "must be secure"),
        ({"expires": float("nan")}, "years 1 to 9999"),
    ],
)
def test_options_that_cannot_work_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        set_cookie("a", "b", **options)


@pytest.mark.parametrize("options", [{"path": "/x"}, {"domain": "example.com"}, {"secure": False}])
@pytest.mark.parametrize("name", ["__Host-a", "__hOST-a"])
def test_host_prefix_keeps_its_promise(name, options):
    assert set_cookie(name, "1").startswith(name.encode())
    with pytest.raises(ValueError, match="as its prefix promises"):
        set_cookie(name, "1", **options)


def test_secure_prefix_keeps_its_promise():
    assert set_cookie("__Secure-a", "1", path="/x", domain="example.com")
    with pytest.raises(ValueError, match="as its prefix promises"):
        set_cookie("__Secure-a", "1", secure=False)


_octets = st.text("".join(chr(c) for c in range(0x21, 0x7F) if chr(c) not in '",;\\'), max_size=20)


@given(st.text("abcXYZ-_.!", min_size=1, max_size=8), _octets)
def test_what_is_written_is_read(name, value):
    pair = set_cookie(name, value).split(b"; ")[0]
    assert parse_cookies(pair) == {name: value}


@given(st.text(max_size=10), st.text(max_size=10), st.text(max_size=10), st.text(max_size=10))
def test_nothing_can_be_smuggled_in(name, value, path, domain):
    try:
        header = set_cookie(name, value, path=path, domain=domain)
    except ValueError:
        return
    assert header.count(b";") == 5
    assert all(0x20 <= byte < 0x7F for byte in header)
