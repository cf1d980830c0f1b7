"""CORS policies."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.http import cors
from seawall.http.cors import CorsPolicy
from seawall.problems import ConfigurationError

SHOP = b"https://shop.example.com"
VARY = (b"vary", b"Origin")


def test_closed_unless_opened():
    policy = CorsPolicy()
    assert policy.headers_for(SHOP) == ()
    assert policy.headers_for(None) == ()
    assert policy.preflight(SHOP, b"GET", None) is None


def test_exact_origin():
    policy = CorsPolicy(origins=("https://shop.example.com",), expose=("ETag", "Location"), credentials=True)
    expected = (
        (b"access-control-allow-origin", SHOP),
        VARY,
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", b"ETag, Location"),
    )
    assert policy.headers_for(SHOP) == expected
    assert policy.cache[SHOP] == expected
    assert policy.headers_for(SHOP) is policy.cache[SHOP]


@pytest.mark.parametrize(
    "origin",
    [
        None,
        b"",
        b"null",
        b"http://shop.example.com",
        b"https://shop.example.com:8443",
        b"https://shop.example.com/",
        b"https://shop.example.com.evil.net",
        b"https://evil.net",
        b"*",
        b"\xff",
        b"https://shop.example.com\r\nx: y",
    ],
)
def test_strangers_get_only_vary(origin):
    policy = CorsPolicy(origins=("https://shop.example.com", re.compile(r"https://[a-z]+\.pages\.example")))
    assert policy.headers_for(origin) == (VARY,)
    assert policy.preflight(origin, b"GET", None) is None
    assert set(policy.cache) == {None}


def test_star_is_the_same_for_everybody():
    policy = CorsPolicy(origins=("*",))
    for origin in (None, SHOP, b"https://other.example"):
        assert policy.headers_for(origin) == ((b"access-control-allow-origin", b"*"),)
    assert set(policy.cache) == {None}


def test_pattern_matches_whole_well_formed_origins():
    policy = CorsPolicy(origins=(re.compile(r"https://.*\.example\.com"),), credentials=True)
    assert policy.headers_for(b"https://a.b.example.com")[0] == (
        b"access-control-allow-origin",
        b"https://a.b.example.com",
    )
    for origin in (
        b"https://evil.net/.example.com",
        b"https://a.example.com.evil.net",
        b"https://evil.net#.example.com",
    ):
        assert policy.headers_for(origin) == (VARY,)


def test_preflight():
    policy = CorsPolicy(
        origins=("https://shop.example.com",),
        methods=("GET", "PUT"),
        headers=("Authorization",),
        expose=("ETag",),
        max_age=60,
    )
    assert policy.preflight(SHOP, b"PUT", b"authorization, Content-Type") == [
        (b"access-control-allow-origin", SHOP),
        VARY,
        (b"access-control-allow-methods", b"GET, PUT"),
        (b"access-control-allow-headers", b"authorization, content-type"),
        (b"access-control-max-age", b"60"),
        (b"vary", b"Access-Control-Request-Method, Access-Control-Request-Headers"),
    ]
    assert b"access-control-allow-headers" not in dict(policy.preflight(SHOP, b"GET", None))
    assert policy.preflight(SHOP, b"DELETE", None) is None
    assert policy.preflight(SHOP, b"put", None) is None
    assert policy.preflight(SHOP, b"PUT", b"x-secret") is None
    assert policy.preflight(SHOP, b"PUT", b"author ization") is None
    assert policy.preflight(SHOP, b"PUT", b"accept," * 1000) is None
    assert policy.preflight(None, b"GET", None) is None


def test_preflight_with_any_header_and_method_echoes_them():
    policy = CorsPolicy(origins=("https://shop.example.com",), methods=("*",), headers=("*",), credentials=True)
    answer = dict(policy.preflight(SHOP, b"PURGE", b"x-anything"))
    assert answer[b"access-control-allow-methods"] == b"PURGE"
    assert answer[b"access-control-allow-headers"] == b"x-anything"
    assert answer[b"access-control-allow-credentials"] == b"true"
    assert policy.preflight(SHOP, b"GET", b"x-a\r\nset-cookie: x") is None
    assert policy.preflight(SHOP, b"GET\r\nset-cookie: x", None) is None


def test_answers_to_preflights_are_not_shared():
    policy = CorsPolicy(origins=("*",))
    policy.preflight(SHOP, b"GET", None).clear()
    assert policy.preflight(SHOP, b"GET", None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"origins": ("*",), "credentials": True}, "cannot go with credentials: name the origins"),
        ({"origins": ("*", "https://a.example")}, "makes the other origins pointless"),
        ({"origins": (re.compile(".*"),), "credentials": True}, "lets any origin in, with credentials"),
        (
            {"origins": (re.compile("https://.*"),), "credentials": True},
            "lets any origin in, with credentials",
        ),
        ({"origins": ("null",)}, "sandboxed pages"),
        ({"origins": ("shop.example.com",)}, "with a scheme"),
        ({"origins": ("https://shop.example.com/",)}, "without path or final slash"),
        ({"origins": ("https://shop.example.com/x",)}, "without path or final slash"),
        ({"origins": ("https://*.example.com",)}, "malformed host"),
        ({"origins": ("https://user@example.com",)}, "is not an origin"),
        ({"origins": ("https://shop.example.com:443",)}, "write 'https://shop.example.com'"),
        ({"origins": ("http://shop.example.com:80",)}, "write 'http://shop.example.com'"),
        ({"origins": ("https://Shop.example.com",)}, "write 'https://shop.example.com'"),
        ({"origins": ("HTTPS://shop.example.com",)}, "is not an origin"),
        ({"methods": ("GET, PUT",)}, "method 'GET, PUT' is not a token"),
        ({"headers": ("x y",)}, "header 'x y' is not a token"),
        ({"expose": ("ETag\r\n",)}, "exposed header"),
        ({"origins": ("https://a.example",), "expose": ("*",), "credentials": True}, "name the headers"),
        ({"max_age": -1}, "-1 is negative"),
    ],
)
def test_wrong_policies_stop_the_start(options, message):
    with pytest.raises(ConfigurationError, match=message):
        CorsPolicy(**options)


def test_ports_and_local_origins_are_fine():
    policy = CorsPolicy(origins=("http://localhost:5173", "https://[::1]:8443", "capacitor://localhost"))
    assert policy.headers_for(b"http://localhost:5173")[0][1] == b"http://localhost:5173"
    assert policy.headers_for(b"https://[::1]:8443")[0][1] == b"https://[::1]:8443"


def test_memory_is_bounded():
    policy = CorsPolicy(origins=(re.compile(r"https://[a-z0-9]+\.example\.com"),))
    for number in range(2 * cors.MAX_CACHED):
        origin = b"https://h%d.example.com" % number
        assert policy.headers_for(origin)[0][1] == origin
    assert len(policy.cache) == cors.MAX_CACHED


def test_policies_are_values():
    one, other = CorsPolicy(origins=("https://a.example",)), CorsPolicy(origins=("https://a.example",))
    one.headers_for(b"https://a.example")
    assert one == other
    assert hash(one) == hash(other)


@given(
    st.one_of(st.just(SHOP), st.binary(max_size=60)),
    st.one_of(st.just(b"GET"), st.binary(max_size=8)),
    st.one_of(st.none(), st.binary(max_size=8)),
)
def test_never_raises_and_never_echoes_a_line_break(origin, method, headers):
    for policy in (
        CorsPolicy(origins=(re.compile(r"(?s).*"),), methods=("*",), headers=("*",)),
        CorsPolicy(origins=("*",), methods=("*",), headers=("*",)),
    ):
        answer = [*policy.headers_for(origin), *(policy.preflight(origin, method, headers) or ())]
        assert not any(byte in b"\r\n\0" for _, value in answer for byte in value)
