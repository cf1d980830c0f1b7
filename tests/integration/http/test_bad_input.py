"""Bad input in raw bytes over a socket: each is answered with a problem that says where, and the server lives on."""

from __future__ import annotations

import json
import time

import pytest

from support.server import Reply, Server, read_reply, request

ORDER = {"customer_id": 1, "lines": [{"sku": "a", "quantity": 2}], "note": None}
GOOD = json.dumps(ORDER).encode()
TYPE = "urn:problem-type:seawall:"


def check(reply: Reply, status: int, kind: str | None = None) -> None:
    """Fail unless *reply* is a problem of *status*, complete and silent about the inside."""
    assert reply.status == status, (reply.status, reply.body[:500])
    assert reply.headers["content-type"] == "application/problem+json"
    document = reply.json()
    assert document["status"] == status
    assert document["title"]
    assert document["type"].startswith(TYPE)
    if kind is not None:
        assert document["type"] == TYPE + kind
    text = reply.body.decode()
    assert "Traceback" not in text
    assert "hunter2" not in text
    assert ".py" not in text


def test_good_requests_are_answered(server: Server) -> None:
    reply = server.request("POST", "/orders", body=GOOD)
    assert (reply.status, reply.json()) == (201, ORDER)
    reply = server.request("GET", "/orders/7?limit=5&ratio=0.5", headers=[("x-n", "3")])
    assert reply.json() == {"id": 7, "limit": 5, "n": 3}
    reply = server.request("HEAD", "/orders/7")
    assert (reply.status, reply.headers["content-length"], reply.body) == (200, "25", b"")
    assert server.request("OPTIONS", "/orders/7").headers["allow"] == "GET, HEAD, OPTIONS"
    assert server.request("OPTIONS", "*").status == 204
    assert server.request("GET", "/mounted/x").body == b"mounted"
    assert server.request("GET", "/files/a%2Fb%20c").body == b'"a/b c"'


@pytest.mark.parametrize(
    ("method", "target", "status", "kind"),
    [
        ("GET", "/nothing", 404, "not-found"),
        ("GET", "/orders/", 404, "not-found"),
        ("GET", "//orders/7", 404, "not-found"),
        ("GET", "/orders/7/", 404, "not-found"),
        ("GET", "/orders%2F7", 404, "not-found"),
        ("PUT", "/orders/7", 405, "method-not-allowed"),
        ("BREW", "/orders/7", None, None),
        ("DELETE", "/alive", 405, "method-not-allowed"),
        ("GET", "/files/%FF", 400, "bad-request"),
        ("GET", "/files/%C3%28", 400, "bad-request"),
        ("GET", "/orders/7?limit=%FF", 400, "malformed-query"),
        ("GET", "/orders/7?" + "a=1&" * 11, 400, "malformed-query"),
        ("GET", "/slow", 504, "deadline-exceeded"),
        ("GET", "/boom", 500, "internal-error"),
    ],
)
def test_targets(server: Server, method: str, target: str, status: int | None, kind: str | None) -> None:
    reply = server.request(method, target)
    if status is None:  # a method the parser may not know: either answer says what is wrong
        assert reply.status in (400, 405)
        return
    check(reply, status, kind)
    if status == 405:
        assert "GET" in reply.headers["allow"]
    if "instance" in reply.json():
        assert reply.json()["request_id"] == reply.headers["x-request-id"]


@pytest.mark.parametrize("accept", ["text/html", "image/*", "application/json;q=0"])
def test_not_acceptable(server: Server, accept: str) -> None:
    check(server.request("GET", "/orders/7", headers=[("accept", accept)]), 406, "not-acceptable")


@pytest.mark.parametrize("sent", [b"", b'{"customer_id": 1', b"{"])
def test_a_slow_body_is_a_408(server: Server, sent: bytes) -> None:
    head = request("POST", "/orders", headers=[("content-type", "application/json"), ("content-length", "100")])
    began = time.monotonic()
    check(server.send(head + sent), 408, "request-timeout")
    assert 0.5 < time.monotonic() - began < 10


def test_a_slow_chunked_body_is_a_408(server: Server) -> None:
    head = request("POST", "/orders", headers=[("content-type", "application/json"), ("transfer-encoding", "chunked")])
    check(server.send(head, b"1\r\n{\r\n", b"5\r\n"), 408, "request-timeout")


def test_a_slow_head_is_a_408(server: Server) -> None:
    check(server.send(b"GET /alive HTTP/1.1\r\nhost: x\r\nx-a: "), 408, "request-timeout")


@pytest.mark.parametrize("expect", [[], [("expect", "100-continue")]])
def test_a_body_that_says_it_is_too_large_is_a_413(server: Server, expect: list[tuple[str, str]]) -> None:
    for length in ("101", "1073741824", "9" * 19):
        fields = [("content-type", "application/json"), ("content-length", length), *expect]
        check(server.send(request("POST", "/small", headers=fields)), 413, "content-too-large")


def test_a_body_that_is_too_large_is_a_413(server: Server) -> None:
    check(server.request("POST", "/small", body=b'{"a":"' + b"x" * 200 + b'"}'), 413)
    check(server.request("POST", "/orders", body=b" " * (1024 * 1024 + 1)), 413)


def test_a_chunked_body_that_is_too_large_is_a_413(server: Server) -> None:
    head = request("POST", "/small", headers=[("content-type", "application/json"), ("transfer-encoding", "chunked")])
    chunk = b"40\r\n" + b"x" * 64 + b"\r\n"
    check(server.send(head, chunk, chunk, chunk, b"0\r\n\r\n"), 413, "content-too-large")
    check(server.send(head + chunk * 100), 413, "content-too-large")


@pytest.mark.parametrize("target", ["/orders/" + "1" * 1000, "/alive?" + "x" * 1001, "/" + "a/" * 600])
def test_a_target_that_is_too_long_is_a_414(server: Server, target: str) -> None:
    check(server.request("GET", target), 414, "uri-too-long")


def test_a_target_that_never_ends_is_a_414(server: Server) -> None:
    check(server.send(b"GET /" + b"a" * 100_000), 414, "uri-too-long")


@pytest.mark.parametrize(
    ("media", "fields"),
    [
        (None, []),
        ("text/plain", []),
        ("application/xml", []),
        ("application/json; charset=utf-16", []),
        ("application/json\t;;;;", [("content-encoding", "br")]),
        ("application/json", [("content-encoding", "gzip")]),
        ("application/json", [("content-type", "application/json")]),
        ("\xff", []),
    ],
)
def test_another_media_type_is_a_415(server: Server, media: str | None, fields: list[tuple[str, str]]) -> None:
    check(server.request("POST", "/orders", body=GOOD, media=media, headers=fields), 415, "unsupported-media-type")


def test_a_form_of_another_media_type_is_a_415(server: Server) -> None:
    check(server.request("POST", "/form", body=b"{}"), 415)
    form = "application/x-www-form-urlencoded"
    assert server.request("POST", "/form", body=b"email=a%40b", media=form).body == b'"a@b"'
    reply = server.request("POST", "/form", body=b"emali=a", media=form)
    check(reply, 422)
    assert reply.places == {"form:email", "form:emali"}


@pytest.mark.parametrize(
    ("body", "places"),
    [
        ({**ORDER, "customer_id": "1"}, {"/customer_id"}),
        ({**ORDER, "customer_id": None, "note": 5}, {"/customer_id", "/note"}),
        ({"customer_id": 1}, {"/lines"}),
        ({}, {"/customer_id", "/lines"}),
        ({**ORDER, "coupon": 1, "~/x": 1}, {"/coupon", "/~0~1x"}),
        (
            {**ORDER, "lines": [{"sku": "a", "quantity": 0}, {}, 5]},
            {"/lines/0/quantity", "/lines/1/sku", "/lines/1/quantity", "/lines/2"},
        ),
        ({**ORDER, "customer_id": 1.5}, {"/customer_id"}),
        ({**ORDER, "lines": "x" * 100_000}, {"/lines"}),
        ([], {""}),
        (None, {""}),
        ("text", {""}),
        (5, {""}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_body_that_is_wrong_is_a_422_with_its_places(server: Server, body: object, places: set[str]) -> None:
    for path in ("/orders", "/strict"):
        reply = server.request("POST", path, body=json.dumps(body).encode())
        check(reply, 422, "invalid-input")
        assert reply.places == places


def test_numbers_of_any_length_never_break_the_server(server: Server) -> None:
    for digits in (30, 900):
        reply = server.request("POST", "/orders", body=b'{"customer_id":' + b"9" * digits + b',"lines":[]}')
        assert reply.json()["customer_id"] == int("9" * digits)
    for number in (b"9" * 5000, b"9" * 900_000, b"1e400000", b"-" + b"9" * 5000, b"0." + b"1" * 900_000):
        for path in ("/orders", "/strict", "/any"):
            reply = server.request("POST", path, body=b'{"customer_id":' + number + b',"lines":[]}')
            assert reply.status in (200, 400, 422), reply.body[:300]
            if reply.status != 200:
                check(reply, reply.status)


def test_many_wrong_items_are_not_all_listed(server: Server) -> None:
    reply = server.request("POST", "/orders", body=json.dumps({"customer_id": 1, "lines": [{}] * 20_000}).encode())
    check(reply, 422)
    assert 1 <= len(reply.json()["errors"]) <= 50
    assert len(reply.body) < 20_000


@pytest.mark.parametrize(
    ("target", "fields", "places"),
    [
        ("/orders/x", [], {"path:order_id"}),
        ("/orders/7?limit=0", [], {"query:limit"}),
        ("/orders/7?limit=1&limit=2", [], {"query:limit"}),
        ("/orders/7?ratio=nan", [], {"query:ratio"}),
        ("/orders/7?ratio=1e999", [], {"query:ratio"}),
        ("/orders/x?limit=x&ratio=x", [("x-n", "x")], {"path:order_id", "query:limit", "query:ratio", "header:x-n"}),
        ("/orders/7", [("x-n", b"\xff\xfe")], {"header:x-n"}),
        ("/orders/%00", [], {"path:order_id"}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_parameters_that_are_wrong_are_a_422_with_their_places(
    server: Server, target: str, fields: list[tuple[str, str]], places: set[str]
) -> None:
    reply = server.request("GET", target, headers=fields)
    check(reply, 422, "invalid-input")
    assert reply.places == places


MALFORMED = {
    "empty": b"",
    "truncated": b'{"customer_id": 1',
    "trailing comma": b'{"customer_id": 1,}',
    "two documents": GOOD + GOOD,
    "NaN": b'{"customer_id": NaN, "lines": []}',
    "Infinity": b'{"customer_id": -Infinity, "lines": []}',
    "single quotes": b"{'customer_id': 1}",
    "leading zero": b'{"customer_id": 01, "lines": []}',
    "invalid UTF-8": b'{"customer_id": 1, "lines": [], "note": "\xff\xfe"}',
    "overlong UTF-8": b'{"note": "\xc0\xaf"}',
    "encoded surrogate": b'{"note": "\xed\xa0\x80"}',
    "lone surrogate": b'{"note": "\\ud800"}',
    "UTF-16": GOOD.decode().encode("utf-16"),
    "control character": b'{"note": "\x00"}',
    "deep lists": b"[" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "deep and closed": b"[" * 100_000 + b"]" * 100_000,
    "deep in a field": b'{"customer_id": 1, "lines": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "malformed behind a wrong value": b'{"customer_id": 1.5, "lines": [',
    "binary": bytes(range(256)),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
@pytest.mark.parametrize("path", ["/orders", "/strict", "/any", "/points"])
def test_a_malformed_body_is_a_400(server: Server, path: str, body: bytes) -> None:
    reply = server.request("POST", path, body=body)
    check(reply, 400, "malformed-body")
    assert reply.json()["detail"]


@pytest.mark.parametrize("path", ["/orders", "/any"])
def test_malformed_messagepack_is_a_400(server: Server, path: str) -> None:
    for body in (
        b"\xc1",
        b"\x91" * 100_000,
        b"\xa1\xff",
        b"\x81\xa1",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
    ):
        check(server.request("POST", path, body=body, media="application/msgpack"), 400, "malformed-body")


def test_keys_that_stand_twice_are_refused_where_they_stand(server: Server) -> None:
    body = b'{"customer_id":1,"lines":[{"sku":"a","quantity":1,"sku":"b"}],"note":"x","note":"y"}'
    reply = server.request("POST", "/strict", body=body)
    check(reply, 400, "malformed-body")
    assert reply.places == {"/note", "/lines/0/sku"}
    assert server.request("POST", "/orders", body=body).json()["note"] == "y"


def test_too_many_header_fields_are_a_431(server: Server) -> None:
    for count in (21, 45, 2000):
        fields = [(f"x-{number}", "1") for number in range(count)]
        check(server.request("GET", "/alive", headers=fields), 431, "headers-too-large")


def test_header_fields_that_are_too_large_are_a_431(server: Server) -> None:
    check(server.request("GET", "/alive", headers=[("x-a", "1" * 100_000)]), 431, "headers-too-large")
    check(server.send(b"GET /alive HTTP/1.1\r\nhost: x\r\nx-a: " + b"1" * 100_000), 431, "headers-too-large")


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /alive HTTP/9.9\r\n\r\n",
        b"GET /alive HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"GET /alive HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST /any HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /any HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n",
        b"GET /alive HTTP/1.1\r\nhost: x\r\n folded: x\r\nbad name: y\r\n\r\n",
        b"GET /alive HTTP/1.1\r\nhost: x\r\nx-a: \x00\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
        b"GET /\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nhost: x\r\n\r\n",
    ],
    ids=lambda data: repr(data[:40]),
)
def test_what_is_not_http_is_refused_without_harm(server: Server, data: bytes) -> None:
    reply = server.send(data)
    assert 400 <= reply.status < 500, (reply.status, reply.body)
    assert reply.headers["content-type"] == "application/problem+json"


def test_a_stream_that_fails_is_not_taken_for_a_whole_one(server: Server) -> None:
    with pytest.raises(ConnectionError):
        server.request("GET", "/stream")


def test_a_connection_that_breaks_off_harms_nobody(server: Server) -> None:
    for piece in (b"G", request("POST", "/orders", headers=[("content-length", "50")]) + b"{", request("GET", "/slow")):
        with server.connected() as connection:
            connection.sendall(piece)


def test_a_connection_is_kept_after_a_problem(server: Server) -> None:
    with server.connected() as connection:
        for target, status in (
            ("/orders/x", 422),
            ("/nothing", 404),
            ("/orders/7", 200),
            ("/boom", 500),
            ("/alive", 200),
        ):
            connection.sendall(request("GET", target))
            assert read_reply(connection).status == status


def test_requests_in_a_row_are_answered_in_their_order(server: Server) -> None:
    with server.connected() as connection:
        targets = ["/orders/1", "/orders/x", "/slow", "/nothing", "/orders/2"]
        connection.sendall(b"".join(request("GET", target) for target in targets))
        found = [read_reply_of_many(connection) for _ in targets]
    assert [reply.status for reply in found] == [200, 422, 504, 404, 200]


class _Buffered:
    """A connection that gives its bytes one by one, so that one answer's reader leaves the next one's alone."""

    def __init__(self, connection: object) -> None:
        self.connection = connection

    def recv(self, _: int) -> bytes:
        return self.connection.recv(1)  # type: ignore[attr-defined]

    def fileno(self) -> int:
        return self.connection.fileno()  # type: ignore[attr-defined]


def read_reply_of_many(connection: object) -> Reply:
    return read_reply(_Buffered(connection))  # type: ignore[arg-type]
