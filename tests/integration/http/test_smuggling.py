"""Scenario 24: requests that two readers may take for different ones are refused and end their connection.

Behind each stands a request that is right. Whoever answers it has read the one before differently than intended.
"""

from __future__ import annotations

import contextlib
import re
import socket

import pytest

from support.server import PATIENCE, Server

BEHIND = b"GET /alive HTTP/1.1\r\nhost: x\r\n\r\n"
HOST = b"host: x"
CHUNKED = b"transfer-encoding: chunked"
QUIET = 0.3
"""Seconds after which no further answer is waited for, where the connection stays open."""


def post(*fields: bytes, body: bytes = b"", version: bytes = b"1.1") -> bytes:
    lines = [b"POST /any HTTP/" + version, HOST, b"content-type: application/json", *fields, b"", b""]
    return b"\r\n".join(lines) + body


def get(*fields: bytes, target: bytes = b"/alive", version: bytes = b"1.1") -> bytes:
    return b"\r\n".join([b"GET " + target + b" HTTP/" + version, *fields, b"", b""])


END = b"0\r\n\r\n"
REFUSED = {
    "length and coding": post(b"content-length: 5", CHUNKED, body=END),
    "coding and length": post(CHUNKED, b"content-length: 5", body=END),
    "two lengths": post(b"content-length: 0", b"content-length: 5"),
    "one length twice": post(b"content-length: 0", b"content-length: 0"),
    "list of lengths": post(b"content-length: 0, 0"),
    "list of other lengths": post(b"content-length: 0,5"),
    "length with a plus": post(b"content-length: +0"),
    "length with a minus": post(b"content-length: -0"),
    "length with a space": post(b"content-length: 1 0"),
    "length in hexadecimal": post(b"content-length: 0x10"),
    "length with an underscore": post(b"content-length: 1_0"),
    "length that is empty": post(b"content-length: "),
    "length of 2^64": post(b"content-length: 18446744073709551616"),
    "length behind a vertical tab": post(b"content-length: \x0b0"),
    "folded field": post(b"x-a: 1\r\n 2", b"content-length: 0"),
    "folded length": post(b"content-length:\r\n 5"),
    "folded coding": post(b"transfer-encoding:\r\n chunked", body=END),
    "folded first field": b"GET /alive HTTP/1.1\r\n x: y\r\nhost: x\r\n\r\n",
    "bare line feeds": post(b"content-length: 0").replace(b"\r\n", b"\n"),
    "bare line feed after a field": b"GET /alive HTTP/1.1\r\nhost: x\nx-a: 1\r\n\r\n",
    "bare line feed at the end": b"GET /alive HTTP/1.1\r\nhost: x\r\n\n",
    "bare line feed after the request line": b"GET /alive HTTP/1.1\nhost: x\r\n\r\n",
    "bare carriage return": b"GET /alive HTTP/1.1\r\nhost: x\rx-a: 1\r\n\r\n",
    "carriage return in a value": get(HOST, b"x-a: a\rb"),
    "chunk size that is none": post(CHUNKED, body=b"zz\r\nabc\r\n" + END),
    "chunk size with a plus": post(CHUNKED, body=b"+0\r\n\r\n"),
    "chunk size with a prefix": post(CHUNKED, body=b"0x0\r\n\r\n"),
    "chunk size with a space": post(CHUNKED, body=b"0 \r\n\r\n"),
    "chunk size with a minus": post(CHUNKED, body=b"-1\r\n\r\n"),
    "chunk size over 64 bits": post(CHUNKED, body=b"fffffffffffffffff\r\n\r\n"),
    "chunks with bare line feeds": post(CHUNKED, body=b"0\n\n"),
    "last chunk with a bare line feed": post(CHUNKED, body=b"0\r\n\n"),
    "chunk without its end": post(CHUNKED, body=b"2\r\n[]xx" + END),
    "chunk longer than it says": post(CHUNKED, body=b"1\r\n[]\r\n" + END),
    "chunk extension with a line feed": post(CHUNKED, body=b"2;a\n[]\r\n" + END),
    "chunk extension with a carriage return": post(CHUNKED, body=b"2;a\rb\r\n[]\r\n" + END),
    "chunk extension with a NUL": post(CHUNKED, body=b"2;a\x00\r\n[]\r\n" + END),
    "length in the trailers": post(CHUNKED, body=b"0\r\ncontent-length: 5\r\n\r\n"),
    "trailer that is no field": post(CHUNKED, body=b"0\r\nbad name: 5\r\n\r\n"),
    "chunked, identity": post(b"transfer-encoding: chunked, identity", body=END),
    "identity": post(b"transfer-encoding: identity", body=END),
    "gzip, chunked": post(b"transfer-encoding: gzip, chunked", body=END),
    "chunked, chunked": post(b"transfer-encoding: chunked, chunked", body=END),
    "chunked twice": post(CHUNKED, CHUNKED, body=END),
    "chunked and identity": post(CHUNKED, b"transfer-encoding: identity", body=END),
    "identity and chunked": post(b"transfer-encoding: identity", CHUNKED, body=END),
    "a coding like chunked": post(b"transfer-encoding: xchunked", body=END),
    "a coding that is empty": post(b"transfer-encoding: ", body=END),
    "chunked in quotes": post(b'transfer-encoding: "chunked"', body=END),
    "chunked behind a vertical tab": post(b"transfer-encoding: \x0bchunked", body=END),
    "chunked with a parameter": post(b"transfer-encoding: chunked;q=1", body=END),
    "space before the colon": post(b"content-length : 0"),
    "tab before the colon": post(b"transfer-encoding\t: chunked", body=END),
    "NUL in a name": post(b"x\x00a: 1", b"content-length: 0"),
    "NUL in a value": post(b"x-a: \x00", b"content-length: 0"),
    "name that is empty": post(b": 1", b"content-length: 0"),
    "field without a colon": post(b"x-a", b"content-length: 0"),
    "no host": get(b"x-a: 1"),
    "host twice": get(HOST, HOST),
    "two hosts": get(HOST, b"host: y"),
    "two hosts with a body": post(b"host: y", b"content-length: 0"),
    "hosts in a list": get(b"host: x, y"),
    "host with a path": get(b"host: x/alive"),
    "host with a user": get(b"host: y@x"),
    "target of another host": get(HOST, target=b"http://y/alive"),
    "target with a user": get(HOST, target=b"http://x@y/alive"),
    "target of a host, and no host": get(b"x-a: 1", target=b"http://x/alive"),
    "HTTP/1.0 with a coding": post(CHUNKED, body=END, version=b"1.0"),
    "HTTP/1.0 kept, with a coding": post(b"connection: keep-alive", CHUNKED, body=END, version=b"1.0"),
    "HTTP/1.2": get(HOST, version=b"1.2"),
    "HTTP/0.9": b"GET /alive\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "CONNECT": b"CONNECT x:80 HTTP/1.1\r\nhost: x:80\r\n\r\n",
}
TAKEN = {
    "chunk extension": (post(CHUNKED, body=b"2;a=b\r\n[]\r\n" + END), [200, 200]),
    "chunk extension in quotes": (post(CHUNKED, body=b'2;a="b;\\"c"\r\n[]\r\n' + END), [200, 200]),
    "chunked in capitals": (post(b"Transfer-Encoding: CHUNKED", body=b"2\r\n[]\r\n" + END), [200, 200]),
    "trailers": (post(CHUNKED, body=b"2\r\n[]\r\n0\r\nx-a: 1\r\n\r\n"), [200, 200]),
    "length behind a tab": (post(b"content-length:\t2", body=b"[]"), [200, 200]),
    "host that is empty": (get(b"host: "), [200, 200]),
    "target of the same host": (get(HOST, target=b"http://X/alive"), [200, 200]),
    "empty lines before": (b"\r\n\r\n" + get(HOST), [200, 200]),
    "body that looks like a request": (get(HOST, b"content-length: %d" % len(BEHIND)), [200]),
    "upgrade that is not made": (get(HOST, b"connection: upgrade", b"upgrade: h2c"), [200, 200]),
}


def statuses(server: Server, raw: bytes) -> tuple[list[int], bool]:
    """Send *raw*; return the statuses of all answers, and whether the connection was closed behind them."""
    received, closed = b"", False
    with server.connected() as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(raw)
        try:
            while chunk := connection.recv(65536):
                received += chunk
                connection.settimeout(PATIENCE if b" 504 " in received else QUIET)
            closed = True
        except ConnectionError:
            closed = True
        except TimeoutError:
            pass
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)], closed


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_and_nothing_behind_it_is_answered(server: Server, name: str) -> None:
    assert statuses(server, REFUSED[name] + BEHIND) == ([400], True)


@pytest.mark.parametrize("name", REFUSED)
def test_a_request_before_it_is_answered(server: Server, name: str) -> None:
    assert statuses(server, BEHIND + REFUSED[name] + BEHIND) == ([200, 400], True)


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_right_is_taken_for_what_it_is(server: Server, name: str) -> None:
    raw, expected = TAKEN[name]
    assert statuses(server, raw + BEHIND) == (expected, False)


def test_a_refusal_in_pieces_is_a_refusal(server: Server) -> None:
    raw = REFUSED["two hosts"] + BEHIND
    with server.connected() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        received = b""
        with contextlib.suppress(ConnectionError):
            for byte in raw:
                connection.sendall(bytes([byte]))
        with contextlib.suppress(ConnectionError):
            while chunk := connection.recv(65536):
                received += chunk
    assert re.findall(rb"HTTP/1\.1 (\d{3}) ", received) == [b"400"]


def test_a_body_that_is_late_behind_a_slow_request_is_refused_in_its_turn(server: Server) -> None:
    late = post(b"content-length: 9", body=b"[")
    assert statuses(server, get(HOST, target=b"/slow") + late) == ([504, 408], True)
