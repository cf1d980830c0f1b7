"""Trusted hosts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.http import hosts
from seawall.http.hosts import TrustedHosts, split_host
from seawall.problems import ConfigurationError


@pytest.mark.parametrize(
    ("host", "parts"),
    [
        ("example.com", ("example.com", None)),
        ("EXAMPLE.com:8000", ("example.com", 8000)),
        ("example.com.", ("example.com", None)),
        ("localhost", ("localhost", None)),
        ("my_service:80", ("my_service", 80)),
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("[::1]", ("[::1]", None)),
        ("[0:0::0:1]:8080", ("[::1]", 8080)),
        ("a:65535", ("a", 65535)),
        ("", None),
        (":80", None),
        ("a:", None),
        ("a:65536", None),
        ("a:80:80", None),
        ("a:8x", None),
        ("::1", None),
        ("[::1", None),
        ("[:::1]", None),
        ("[fe80::1%eth0]", None),
        ("user@a", None),
        ("a/b", None),
        ("a b", None),
        ("a..b", None),
        (".a", None),
        ("-a", None),
        ("a,b", None),
        ("a%2e", None),
        ("a\n", None),
        ("é", None),
        ("x" * 64, None),
        (".".join(["x" * 60] * 5), None),
    ],
)
def test_split(host, parts):
    assert split_host(host) == parts


def test_exact_wildcard_and_port():
    trusted = TrustedHosts(["example.com", "*.Example.org", "admin.example.net:8443", "[::1]"])
    for host in (
        b"example.com",
        b"Example.COM:9000",
        b"example.com.",
        b"a.example.org",
        b"b.a.example.org:80",
        b"admin.example.net:8443",
        b"[::1]:5000",
    ):
        assert trusted.allows(host), host
        assert trusted.allows(host), host
    for host in (
        b"example.org",
        b"evilexample.org",
        b"www.example.com",
        b"example.com.evil.net",
        b"admin.example.net",
        b"admin.example.net:80",
        b"[::2]",
        b"example.com@evil.net",
        b"evil.net/example.com",
        b"",
        None,
    ):
        assert not trusted.allows(host), host
        assert not trusted.allows(host), host


def test_wildcard_with_port():
    trusted = TrustedHosts(["*.example.com:8443"])
    assert trusted.allows(b"a.example.com:8443")
    assert not trusted.allows(b"a.example.com")


def test_star_allows_any_well_formed_host_and_none():
    trusted = TrustedHosts(["*"])
    assert trusted.allows(b"anything.example:80")
    assert trusted.allows(None)
    assert trusted.allows(b"")
    assert not trusted.allows(b"a b")


def test_memory_is_bounded_and_closed_to_strangers():
    trusted = TrustedHosts(["*.example.com"])
    for number in range(2 * hosts.MAX_CACHED):
        assert not trusted.allows(b"h%d.evil.net" % number)
    assert trusted.known == set()
    for number in range(2 * hosts.MAX_CACHED):
        assert trusted.allows(b"h%d.example.com" % number)
    assert len(trusted.known) == hosts.MAX_CACHED


@pytest.mark.parametrize("pattern", ["", "https://example.com", "example.com/", "a.*.com", "*.[::1]", "*example.com"])
def test_malformed_patterns_stop_the_start(pattern):
    with pytest.raises(ConfigurationError, match=r"write 'example\.com'") as caught:
        TrustedHosts([pattern])
    assert repr(pattern) in str(caught.value)


def test_no_pattern_stops_the_start():
    with pytest.raises(ConfigurationError, match="trusted hosts is empty"):
        TrustedHosts([])


@given(st.binary(max_size=80))
def test_never_raises(host):
    assert not TrustedHosts(["example.test"]).allows(host) or b"example.test" in host.lower()
    TrustedHosts(["*"]).allows(host)
