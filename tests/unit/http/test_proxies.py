"""Trusted proxies: the client is believed only as far as the proxies are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.http import proxies
from seawall.http.proxies import TrustedProxies
from seawall.problems import ConfigurationError

NETWORKS = ["10.0.0.0/8", "192.168.1.1", "fd00::/8"]


def x(chain=None, proto=None, host=None):
    fields = ((b"x-forwarded-for", chain), (b"x-forwarded-proto", proto), (b"x-forwarded-host", host))
    return [(b"host", b"inner"), *((name, value) for name, value in fields if value is not None)]


def test_nobody_is_trusted_by_default():
    assert TrustedProxies().client("10.0.0.1", "http", x(b"1.2.3.4", b"https")) == ("10.0.0.1", "http", None)


@pytest.mark.parametrize(
    "peer", ["203.0.113.7", "192.168.1.2", "11.0.0.1", "2001:db8::1", "::ffff:203.0.113.7", None, "", "x"]
)
@pytest.mark.parametrize("header", ["x-forwarded", "forwarded"])
def test_headers_of_untrusted_peers_are_never_believed(peer, header):
    trusted = TrustedProxies(NETWORKS, header=header, believe_host=True)
    headers = [
        *x(b"1.2.3.4", b"https", b"evil.example"),
        (b"forwarded", b"for=1.2.3.4;proto=https;host=evil.example"),
    ]
    for _ in range(2):
        assert trusted.client(peer, "http", headers) == (peer, "http", None)


@pytest.mark.parametrize(
    ("chain", "address"),
    [
        (None, "10.0.0.1"),
        (b"", "10.0.0.1"),
        (b"203.0.113.9", "203.0.113.9"),
        (b"203.0.113.9:4711", "203.0.113.9"),
        (b"203.0.113.9, 10.0.0.2", "203.0.113.9"),
        (b"203.0.113.9,10.0.0.2 , 192.168.1.1", "203.0.113.9"),
        (b"6.6.6.6, 203.0.113.9, 10.0.0.2", "203.0.113.9"),  # what the client made up stays to the left
        (b"10.9.9.9, 203.0.113.9", "203.0.113.9"),
        (b"10.0.0.3, 10.0.0.2", "10.0.0.3"),  # all trusted: the outermost
        (b"2001:DB8:0::1", "2001:db8::1"),
        (b"[2001:db8::1]", "2001:db8::1"),
        (b"[2001:db8::1]:443, fd00::5", "2001:db8::1"),
        (b"::ffff:203.0.113.9", "203.0.113.9"),
        (b"203.0.113.9, ::ffff:10.0.0.2", "203.0.113.9"),
        (b"unknown", "10.0.0.1"),
        (b"203.0.113.9, unknown, 10.0.0.2", "10.0.0.2"),
        (b"203.0.113.9, garbage", "10.0.0.1"),
        (b"203.0.113.9,", "10.0.0.1"),
        (b"999.1.1.1", "10.0.0.1"),
        (b"010.1.1.1", "10.0.0.1"),
        (b"1.2.3", "10.0.0.1"),
        (b"fe80::1%eth0", "10.0.0.1"),
        (b"1.2.3.4\x00", "10.0.0.1"),
        (b"\xff\xfe", "10.0.0.1"),
        (b"1.2.3.4:99999999", "10.0.0.1"),
        (b"<script>", "10.0.0.1"),
    ],
)
def test_chain_is_walked_from_the_right(chain, address):
    trusted = TrustedProxies(NETWORKS)
    for _ in range(2):
        assert trusted.client("10.0.0.1", "http", x(chain)) == (address, "http", None)


def test_several_lines_are_one_list():
    headers = [
        (b"x-forwarded-for", b"6.6.6.6"),
        (b"x-forwarded-for", b"203.0.113.9"),
        (b"x-forwarded-for", b"10.0.0.2"),
    ]
    assert TrustedProxies(NETWORKS).client("10.0.0.1", "http", headers)[0] == "203.0.113.9"


@pytest.mark.parametrize(
    ("chain", "proto", "scheme"),
    [
        (b"1.2.3.4", b"https", "https"),
        (b"1.2.3.4", b"HTTPS", "https"),
        (b"1.2.3.4", b"gopher", "http"),
        (b"1.2.3.4", b"", "http"),
        (None, b"https", "https"),
        (b"1.2.3.4, 10.0.0.2", b"https", "https"),  # one scheme: the nearest proxy's
        (b"1.2.3.4, 10.0.0.2", b"https, http", "https"),  # one for each hop: the outermost trusted one's
        (b"6.6.6.6, 1.2.3.4, 10.0.0.2", b"https, http, http", "http"),  # the first was made up
        (b"1.2.3.4", b"https, http", "http"),  # they do not belong together: the nearest proxy's
        (b"unknown", b"https", "https"),
    ],
)
def test_scheme(chain, proto, scheme):
    assert TrustedProxies(NETWORKS).client("10.0.0.1", "http", x(chain, proto))[1] == scheme


def test_scheme_of_a_websocket():
    trusted = TrustedProxies(NETWORKS)
    assert trusted.client("10.0.0.1", "ws", x(b"1.2.3.4", b"https"))[1] == "wss"
    assert trusted.client("10.0.0.1", "ws", x(b"1.2.3.4", b"wss"))[1] == "wss"
    assert trusted.client("10.0.0.1", "wss", x(b"1.2.3.4", b"http"))[1] == "ws"
    assert trusted.client("10.0.0.1", "wss", x(b"1.2.3.4"))[1] == "wss"


@pytest.mark.parametrize(
    ("host", "believed"),
    [
        (b"shop.example", "shop.example"),
        (b"evil.example, shop.example:8443", "shop.example:8443"),
        (b"a b", None),
        (None, None),
    ],
)
def test_host_only_when_asked_for(host, believed):
    headers = x(b"1.2.3.4", None, host)
    assert TrustedProxies(NETWORKS).client("10.0.0.1", "http", headers)[2] is None
    assert TrustedProxies(NETWORKS, believe_host=True).client("10.0.0.1", "http", headers)[2] == believed


@pytest.mark.parametrize(
    ("field", "client"),
    [  # after the examples of RFC 7239 §4, §6 and §7
        (b'for="_gazonk"', ("10.0.0.1", "http", None)),
        (b'For="[2001:db8:cafe::17]:4711"', ("2001:db8:cafe::17", "http", None)),
        (b"for=192.0.2.60;proto=http;by=203.0.113.43", ("192.0.2.60", "http", None)),
        (b"for=192.0.2.43, for=198.51.100.17", ("198.51.100.17", "http", None)),
        (b"for=192.0.2.43, for=10.0.0.2", ("192.0.2.43", "http", None)),
        (b'for=192.0.2.43,for="[fd00::1]",for=unknown', ("10.0.0.1", "http", None)),
        (b"for=_hidden, for=10.0.0.7", ("10.0.0.7", "http", None)),
        (
            b"for=192.0.2.43;proto=https;host=shop.example, for=10.0.0.2;proto=http;host=inner",
            ("192.0.2.43", "https", "shop.example"),
        ),
        (b"for=192.0.2.43, for=10.0.0.2;proto=https;host=inner", ("192.0.2.43", "https", "inner")),
        (b"for=6.6.6.6;proto=https;host=evil, for=192.0.2.43;proto=http", ("192.0.2.43", "http", None)),
        (b"for = 192.0.2.43", ("10.0.0.1", "http", None)),
        (b'for="192.0.2.43', ("10.0.0.1", "http", None)),
        (b"for=192.0.2.43;for=6.6.6.6", ("10.0.0.1", "http", None)),
        (b'for=192.0.2.43;host="a,b"', ("192.0.2.43", "http", None)),
        (b'for="192.0.2.43";proto="https"', ("192.0.2.43", "https", None)),
        (rb'for="192.0.\2.43"', ("192.0.2.43", "http", None)),
        (b'for="', ("10.0.0.1", "http", None)),
        (b'for=6.6.6.6;x=", for=192.0.2.43', ("192.0.2.43", "http", None)),  # a quote left open by the client
        (b'for=6.6.6.6;x=", for="[2001:db8::1]";proto=https', ("2001:db8::1", "https", None)),
        (b"", ("10.0.0.1", "http", None)),
        (b"secret=x", ("10.0.0.1", "http", None)),
    ],
)
def test_forwarded(field, client):
    trusted = TrustedProxies(NETWORKS, header="forwarded", believe_host=True)
    assert trusted.client("10.0.0.1", "http", [(b"forwarded", field)]) == client


def test_only_the_chosen_kind_of_header_is_read():
    headers = [*x(b"1.2.3.4", b"https"), (b"forwarded", b"for=5.6.7.8;proto=https")]
    assert TrustedProxies(NETWORKS).client("10.0.0.1", "http", headers)[0] == "1.2.3.4"
    assert TrustedProxies(NETWORKS, header="forwarded").client("10.0.0.1", "http", headers)[0] == "5.6.7.8"
    assert TrustedProxies(NETWORKS, header="forwarded").client("10.0.0.1", "http", x(b"1.2.3.4", b"https")) == (
        "10.0.0.1",
        "http",
        None,
    )


def test_unix_socket_is_trusted_by_name():
    assert TrustedProxies(["unix"]).client(None, "http", x(b"1.2.3.4")) == ("1.2.3.4", "http", None)
    assert TrustedProxies(["unix"]).client("", "http", x(b"1.2.3.4")) == ("1.2.3.4", "http", None)
    assert TrustedProxies(["unix"]).client("10.0.0.1", "http", x(b"1.2.3.4")) == ("10.0.0.1", "http", None)


def test_mapped_peer_is_its_ipv4_self():
    assert TrustedProxies(NETWORKS).client("::ffff:10.0.0.1", "http", x(b"1.2.3.4"))[0] == "1.2.3.4"


def test_everybody_can_be_trusted():
    trusted = TrustedProxies(["0.0.0.0/0", "::/0"])
    assert trusted.client("203.0.113.1", "http", x(b"1.2.3.4, 2001:db8::1"))[0] == "1.2.3.4"


def test_only_the_nearest_hops_are_read():
    chain = b"203.0.113.9" + b", 10.0.0.2" * proxies.MAX_HOPS
    assert TrustedProxies(NETWORKS).client("10.0.0.1", "http", x(chain))[0] == "10.0.0.2"
    chain = b"203.0.113.9" + b", 10.0.0.2" * (proxies.MAX_HOPS - 1)
    assert TrustedProxies(NETWORKS).client("10.0.0.1", "http", x(chain))[0] == "203.0.113.9"


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(proxies, "MAX_CACHED", 8)
    trusted = TrustedProxies(NETWORKS)
    for number in range(30):
        assert trusted.client("10.0.0.1", "http", x(b"1.2.3.%d" % number))[0] == f"1.2.3.{number}"
        trusted.client(f"203.0.113.{number}", "http", [])
        assert len(trusted._cache) <= 8
        assert len(trusted._peers) <= 8
    before = len(trusted._cache)
    trusted.client("10.0.0.1", "http", x(b"1.2.3.4," + b" " * 600 + b"1.2.3.5"))
    assert len(trusted._cache) == before


@pytest.mark.parametrize("network", ["", "proxy.example", "10.0.0.0/33", "10.0.0.1/8", "*"])
def test_malformed_networks_stop_the_start(network):
    with pytest.raises(ConfigurationError, match=r"write '10\.0\.0\.7', '10\.0\.0\.0/8'") as caught:
        TrustedProxies([network])
    assert repr(network) in str(caught.value)


def test_unknown_header_stops_the_start():
    with pytest.raises(ConfigurationError, match="'via' is unknown: write 'x-forwarded' or 'forwarded'"):
        TrustedProxies(header="via")


_piece = st.sampled_from(
    [
        b"for=",
        b"1.2.3.4",
        b"10.0.0.2",
        b'"',
        b"\\",
        b",",
        b";",
        b"proto=https",
        b"[",
        b"::1",
        b"]",
        b":",
        b" ",
    ]
)


@given(st.one_of(st.binary(max_size=120), st.lists(_piece, max_size=30).map(b"".join)), st.binary(max_size=20))
def test_never_raises(field, other):
    headers = [*x(field, other, other), (b"forwarded", field)]
    for header in ("x-forwarded", "forwarded"):
        address, scheme, _ = TrustedProxies(NETWORKS, header=header, believe_host=True).client(
            "10.0.0.1", "http", headers
        )
        assert address is not None
        assert set(address) <= set("0123456789abcdef:.")
        assert scheme in {"http", "https"}


@given(st.lists(_piece, max_size=30).map(b"".join))
def test_a_client_cannot_move_itself(prefix):
    """Whatever a client sends, the address that the nearest proxy appends is the one that counts."""
    for header, own in (("x-forwarded", b"203.0.113.9"), ("forwarded", b'for="203.0.113.9:80";proto=http')):
        headers = [(b"x-forwarded-for" if header == "x-forwarded" else b"forwarded", prefix + b", " + own)]
        assert TrustedProxies(NETWORKS, header=header).client("10.0.0.1", "http", headers)[0] == "203.0.113.9"
