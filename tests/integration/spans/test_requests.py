"""The spans of requests that go out: one for each, whose place in the trace the target is told."""

from __future__ import annotations

import pytest
from opentelemetry.trace import StatusCode

from seawall.client import Client
from seawall.problems import Problem
from seawall.resilience import Backoff, Resilience, Retry
from seawall.testing import FakeReply, FakeServer, Fault
from seawall.testing.client import client
from support.traced import RECORDED, TRACE, Traced

pytestmark = pytest.mark.anyio
SECRET = "hunter2"


class Shop:
    """An operation that asks a target, and how it ended for it."""

    def __init__(self, target, *, tries=1, **options):
        self.traced = Traced()
        pipeline = None
        if tries > 1:
            retry = Retry(attempts=tries, backoff=Backoff(first="1ms", longest="2ms"))
            pipeline = Resilience().pipeline("target", retry)
        self.client = Client("target", target.url, pipeline, **options)

        @self.traced.service.get("/ask")
        async def ask(path: str) -> int:
            try:
                return (await self.client.request("GET", path)).status
            except Problem as problem:
                return problem.status

        @self.traced.service.get("/stream")
        async def stream() -> int:
            async with self.client.stream("GET", "/") as answer:
                return sum([len(piece) async for piece in answer])

    async def ask(self, path, *, operation="/ask", headers=RECORDED):
        async with self.client, client(self.traced.service) as http:
            answer = await http.get(operation, params={"path": path}, headers=headers)
            return answer.json(), await self.traced.spans()


def parents(target):
    return [request.headers["traceparent"] for request in target.requests]


def parent_of(span):
    return f"00-{TRACE}-{span.context.span_id:016x}-01"


@pytest.fixture
async def target():
    async with FakeServer() as server:
        server.on("GET", "/", FakeReply(body=b"yes", headers={"X-Kind": "plain"}))
        yield server


async def test_a_request(target):
    _, (span,) = await Shop(target).ask(f"/?token={SECRET}&deep=1")
    assert (span.name, span.kind.name) == ("GET", "CLIENT")
    assert dict(span.attributes) == {
        "http.request.method": "GET",
        "url.full": f"{target.url}/?token=REDACTED&deep=REDACTED",
        "server.address": "127.0.0.1",
        "server.port": target.port,
        "seawall.client": "target",
        "http.response.status_code": 200,
    }
    assert span.status.status_code is StatusCode.UNSET
    assert parents(target) == [parent_of(span)], "the target goes on from the request's own span"


async def test_each_attempt_is_one_and_says_so_to_the_target(target):
    target.fault(Fault(status=503, times=2))
    answer, spans = await Shop(target, tries=3).ask("/")
    assert answer == 200
    assert [span.attributes["http.response.status_code"] for span in spans] == [503, 503, 200]
    assert [span.attributes.get("http.request.resend_count") for span in spans] == [None, 1, 2]
    assert [span.attributes.get("error.type") for span in spans] == ["503", "503", None]
    assert [span.status.status_code.name for span in spans] == ["ERROR", "ERROR", "UNSET"]
    assert parents(target) == [parent_of(span) for span in spans]


@pytest.mark.parametrize(
    ("fault", "kind"), [(Fault(cut="head"), "ConnectionLost"), (Fault(garbage=True), "UnexpectedAnswer")]
)
async def test_what_goes_wrong_is_told_by_its_kind(target, fault, kind):
    target.fault(fault)
    _, (span,) = await Shop(target).ask("/")
    assert span.attributes["error.type"] == kind
    assert "http.response.status_code" not in span.attributes
    assert span.status.status_code is StatusCode.ERROR
    assert not span.events, "the text of an error may hold anything"


async def test_an_answer_that_comes_piece_by_piece_lasts_until_its_end(target):
    target.on("GET", "/", FakeReply(pieces=(b"a", b"b", b"c"), pause=0.02))
    answer, (span,) = await Shop(target).ask("/", operation="/stream")
    assert answer == 3
    assert span.attributes["http.response.status_code"] == 200
    assert span.end_time - span.start_time >= 55_000_000
    assert parents(target) == [parent_of(span)]


async def test_a_call_that_is_not_recorded_has_none_and_passes_on_what_came(target):
    unsampled = f"00-{TRACE}-00f067aa0ba902b7-00"
    answer, spans = await Shop(target).ask("/", headers={"traceparent": unsampled})
    assert (answer, spans) == (200, [])
    assert [parent[:52] for parent in parents(target)] == [unsampled[:52]]
    assert all(parent.endswith("-00") for parent in parents(target))


async def test_who_is_told_nothing_of_the_call_is_told_nothing_of_its_trace(target):
    _, spans = await Shop(target, propagate=()).ask("/")
    assert len(spans) == 1
    assert "traceparent" not in target.requests[0].headers
