from __future__ import annotations

import pytest

from seawall.framing import MAX_KNOWN, Hosts, fault_of

GOOD_HOSTS = [
    b"",
    b"localhost",
    b"a_b.example.com:8000",
    b"127.0.0.1:1",
    b"[::1]:80",
    b"xn--bcher-kva.example",
    b"a%20b",
]
BAD_HOSTS = [None, b"a b", b"a,b", b"a/b", b"u@a", b"a:b", b"a:123456", b"[::1", b"::1", b"a\xff", b"a%2", b"a" * 300]


@pytest.mark.parametrize("host", GOOD_HOSTS)
def test_a_host_is_accepted_and_remembered(host):
    hosts = Hosts()
    assert hosts.accepts(host)
    assert host in hosts.known


@pytest.mark.parametrize("host", BAD_HOSTS, ids=lambda host: repr(host)[:20])
def test_what_is_no_host_is_not(host):
    hosts = Hosts()
    assert not hosts.accepts(host)
    assert not hosts.known


def test_strangers_cannot_make_it_remember_without_end():
    hosts = Hosts()
    assert all(hosts.accepts(b"host-%d" % number) for number in range(2 * MAX_KNOWN))
    assert len(hosts.known) == MAX_KNOWN


@pytest.mark.parametrize(
    ("version", "target", "fields"),
    [
        ("1.1", b"/", [(b"host", b"a")]),
        ("1.0", b"/", []),
        ("1.1", b"*", [(b"host", b"a")]),
        ("1.1", b"http://a/x?y", [(b"host", b"A")]),
        ("1.1", b"http://a:80", [(b"host", b"a:80")]),
        ("1.0", b"http://a/", []),
        ("1.1", b"/", [(b"host", b"a"), (b"transfer-encoding", b"CHUNKED")]),
    ],
)
def test_what_is_right(version, target, fields):
    assert fault_of(version, target, fields, Hosts()) is None


@pytest.mark.parametrize(
    ("version", "target", "fields", "words"),
    [
        ("0.9", b"/", [(b"host", b"a")], "HTTP/0.9"),
        ("1.1", b"/", [], "one Host"),
        ("1.0", b"/", [(b"host", b"a"), (b"host", b"b")], "one Host"),
        ("1.1", b"/", [(b"host", b"a, b")], "no host"),
        ("1.1", b"http://b/", [(b"host", b"a")], "different hosts"),
        ("1.1", b"http://a@b/", [(b"host", b"a")], "different hosts"),
        ("1.0", b"/", [(b"transfer-encoding", b"chunked")], "transfer coding"),
        ("1.1", b"/", [(b"host", b"a"), (b"transfer-encoding", b"gzip, chunked")], "transfer coding"),
        ("1.1", b"/", [(b"host", b"a")] + [(b"transfer-encoding", b"chunked")] * 2, "transfer coding"),
    ],
)
def test_what_is_wrong_is_said(version, target, fields, words):
    fault = fault_of(version, target, fields, Hosts())
    assert fault is not None
    assert words in fault
