"""Kept answers over real sockets, on the carrier that `seawall run` uses."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from support.server import Server, read_reply, request, serve

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory):
    with serve("cached_app:service", HERE, tmp_path_factory.mktemp("kept") / "log") as running:
        yield running


def test_a_hit_says_so_and_is_the_same_bytes(server: Server) -> None:
    first, second = (server.request("GET", "/items/hit") for _ in range(2))
    assert first.body == second.body
    assert first.headers["cache-status"] == "seawall; fwd=uri-miss; stored"
    assert second.headers["cache-status"].startswith("seawall; hit; ttl=")
    assert int(second.headers["age"]) >= 0
    assert first.headers["cache-control"] == "public, max-age=60"


def test_304_has_no_body_and_the_connection_goes_on(server: Server) -> None:
    etag = server.request("GET", "/items/etag").headers["etag"]
    with server.connected() as connection:
        for _ in range(2):
            connection.sendall(request("GET", "/items/etag", headers=[("if-none-match", etag)]))
            answer = read_reply(connection)
            assert (answer.status, answer.body) == (304, b"")
            assert answer.headers["etag"] == etag
            assert "content-length" not in answer.headers
            assert "content-type" not in answer.headers
        connection.sendall(request("GET", "/items/etag"))
        assert read_reply(connection).status == 200


def test_head_is_answered_from_what_get_left(server: Server) -> None:
    whole = server.request("GET", "/items/head")
    head = server.request("HEAD", "/items/head")
    assert head.headers["content-length"] == str(len(whole.body))
    assert "hit" in head.headers["cache-status"]


def test_compressed_and_plain_are_one_entry(server: Server) -> None:
    plain = server.request("GET", "/large")
    small = server.request("GET", "/large", headers=[("accept-encoding", "gzip")])
    assert "hit" in small.headers["cache-status"]
    assert small.headers["content-encoding"] == "gzip"
    assert small.headers["etag"] == f"W/{plain.headers['etag']}"


def test_writing_and_tags_forget(server: Server) -> None:
    before = server.request("GET", "/items/written").body
    assert server.request("GET", "/items/written").body == before
    server.request("PUT", "/items/written")
    changed = server.request("GET", "/items/written").body
    assert changed != before
    server.request("POST", "/forget")
    assert server.request("GET", "/items/written").body not in (before, changed)


def test_an_escaped_slash_and_an_escaped_query_are_not_taken_for_others(server: Server) -> None:
    assert server.request("GET", "/items/a%2Fb").json()[0] == "a/b"
    assert server.request("GET", "/items/a").json()[0] == "a"
    assert server.request("GET", "/items/a?q=x%26y").json()[1] == "x&y"
    assert server.request("GET", "/items/a?q=x&y").json()[1] == "x"


def test_a_hit_has_the_date_it_was_made_at_and_one_only(server: Server) -> None:
    first = server.request("GET", "/items/date")
    until = time.monotonic() + 10
    while server.request("GET", "/alive").headers["date"] == first.headers["date"]:  # the server's own goes on
        assert time.monotonic() < until
        time.sleep(0.2)
    with server.connected() as connection:
        connection.sendall(request("GET", "/items/date"))
        head = connection.recv(65536).lower()
    assert head.count(b"\r\ndate: ") == 1
    assert f"\r\ndate: {first.headers['date'].lower()}\r\n".encode() in head
    assert b"\r\nage: " in head


def test_the_old_answer_comes_at_once_and_the_call_goes_on_without_its_client(server: Server) -> None:
    assert server.request("GET", "/slow").json() == "1"
    time.sleep(1.1)
    with server.connected() as connection:
        began = time.monotonic()
        connection.sendall(request("GET", "/slow"))
        old = read_reply(connection)
        connection.sendall(request("GET", "/alive"))  # the connection is free for the next request
        assert read_reply(connection).body == b'"yes"'
        assert time.monotonic() - began < 0.9
    assert old.json() == "1"
    assert old.headers["cache-status"].startswith("seawall; hit; ttl=-")
    until = time.monotonic() + 10
    while server.request("GET", "/slow").json() == "1":
        assert time.monotonic() < until
        time.sleep(0.1)
    assert server.request("GET", "/slow").json() == "2"


def test_a_page_of_its_own_is_kept_validated_and_given_in_parts(server: Server) -> None:
    first = server.request("GET", "/page")
    assert first.headers["content-type"] == "text/html; charset=utf-8"
    assert "vary" not in first.headers
    part = server.request("GET", "/page", headers=[("range", "bytes=3-5"), ("if-range", '"v1"')])
    assert (part.status, part.body, part.headers["content-range"]) == (206, b"012", "bytes 3-5/17")
    assert server.request("GET", "/page", headers=[("range", "bytes=99-")]).status == 416
    time.sleep(1.1)
    again = server.request("GET", "/page")
    assert (again.status, again.body) == (200, first.body)
    assert again.headers["cache-status"] == "seawall; fwd=stale; fwd-status=304; stored"
    assert again.headers["x-calls"] == "2"
    assert server.request("HEAD", "/page").headers["content-length"] == "17"


def test_a_refresh_is_waited_for_when_the_service_stops(tmp_path: Path) -> None:
    with serve("cached_app:service", HERE, tmp_path / "log") as running, running.connected() as connection:
        running.request("GET", "/slow")
        time.sleep(1.1)
        for target in ("/slow", "/alive"):  # the connection's last request is another one, and over
            connection.sendall(request("GET", target))
            assert read_reply(connection).status == 200
        running.process.terminate()
        assert running.process.wait(20) == 0
        assert "slow call 2 is over" in (tmp_path / "log").read_text()
