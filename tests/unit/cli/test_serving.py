from __future__ import annotations

import logging

import pytest

from seawall.cli.report import CommandError
from seawall.cli.serving import RequestLines, Where
from seawall.settings import Settings
from seawall.testing.clock import ManualClock

pytestmark = pytest.mark.anyio


def scope(path="/orders", query=b"", kind="http"):
    return {"type": kind, "method": "GET", "path": path, "query_string": query}


async def never(*_):
    raise AssertionError("nobody should have called this")


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, "seawall.requests")
    return lambda: [record.getMessage() for record in caplog.records]


async def test_a_request_is_one_line(lines):
    clock = ManualClock()
    sent = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 201})
        await send({"type": "http.response.body"})

    async def send(message):
        sent.append(message["type"])

    await RequestLines(app, clock)(scope(query=b"a=b"), never, send)
    assert lines() == ["GET /orders?a=b 201 0.0 ms"]
    assert sent == ["http.response.start", "http.response.body"]


async def test_a_request_that_fails_without_an_answer_is_a_line_too(lines):
    async def app(scope, receive, send):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        await RequestLines(app, ManualClock())(scope(), never, never)
    assert lines() == ["GET /orders no answer 0.0 ms"]


async def test_what_is_no_request_passes(lines):
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    await RequestLines(app, ManualClock())(scope(kind="lifespan"), never, never)
    assert (seen, lines()) == (["lifespan"], [])


@pytest.mark.parametrize(
    ("host", "port", "uds", "fds"),
    [(None, 1, "s", ()), ("localhost", None, "s", ()), (None, None, "s", (3,)), (None, 1, None, (3,))],
)
def test_one_place_can_be_named(host, port, uds, fds):
    with pytest.raises(CommandError, match="different places") as caught:
        Where(host, port, uds, fds).bind(Settings())
    assert caught.value.usage
