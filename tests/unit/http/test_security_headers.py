"""Security headers."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

import pytest

from seawall.http.security_headers import content_security_policy, csp_hash, hsts, security_headers
from seawall.problems import ConfigurationError

NOSNIFF = (b"x-content-type-options", b"nosniff")


def test_api_answers_forbid_guessing():
    headers = security_headers()
    assert headers.api == headers.api_https == (NOSNIFF,)


def test_pages_are_strict():
    page = dict(security_headers().page)
    assert page[b"x-content-type-options"] == b"nosniff"
    assert page[b"x-frame-options"] == b"DENY"
    assert page[b"referrer-policy"] == b"no-referrer"
    policy = page[b"content-security-policy"].decode().split("; ")
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script-src 'self'" in policy
    assert not any("unsafe" in directive for directive in policy)


def test_hsts_only_when_asked_and_only_over_https():
    headers = security_headers(hsts_seconds=31_536_000, hsts_subdomains=True, hsts_preload=True)
    strict = (b"strict-transport-security", b"max-age=31536000; includeSubDomains; preload")
    assert headers.choose("https") == headers.choose("wss") == (NOSNIFF, strict)
    assert strict in headers.choose("https", page=True)
    assert headers.choose("http") == headers.choose("ws") == (NOSNIFF,)
    assert strict not in headers.choose("http", page=True)
    assert headers.choose("http", page=True) == headers.page


def test_hsts():
    assert hsts(0) == (b"strict-transport-security", b"max-age=0")
    with pytest.raises(ConfigurationError, match="-1 seconds is negative"):
        hsts(-1)
    with pytest.raises(ConfigurationError, match="at least 31536000"):
        hsts(3600, subdomains=True, preload=True)
    with pytest.raises(ConfigurationError, match="include their subdomains"):
        hsts(31_536_000, preload=True)


def test_policy_takes_further_sources():
    digest = csp_hash(b"alert(1)")
    assert digest == f"'sha256-{b64encode(sha256(b'alert(1)').digest()).decode()}'"
    policy = content_security_policy(scripts=[digest], connect=["https://api.example.com"], images=())
    assert f"script-src 'self' {digest};" in policy
    assert "connect-src 'self' https://api.example.com;" in policy
    assert "img-src 'self';" in policy


@pytest.mark.parametrize("source", ["", "a b", "x; script-src *", "a,b", "é", "a\n"])
def test_a_source_cannot_begin_a_directive(source):
    with pytest.raises(ConfigurationError, match="CSP source"):
        content_security_policy(styles=[source])


def test_own_page_policy():
    assert (b"content-security-policy", b"default-src *") in security_headers(page_policy="default-src *").page
    with pytest.raises(ConfigurationError, match="page_policy"):
        security_headers(page_policy="default-src *\r\nx: y")
