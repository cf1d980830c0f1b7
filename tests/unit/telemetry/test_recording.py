"""What is recorded of calls, by the plans that the asgi and direct carriers run."""

from __future__ import annotations

import asyncio
import io
import json
import logging

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.responses import StreamingResponse

from seawall import Call, Conflict, Guard, Place, Principal, Service, TooManyRequests, current_call
from seawall.settings import Settings
from seawall.settings.own import LogSettings
from seawall.settings.telemetry import TelemetrySettings
from seawall.telemetry import inject, span
from seawall.telemetry.logs.setup import LineHandler
from seawall.telemetry.traces.export import CallSampler
from support.exchange import exchange

pytestmark = pytest.mark.anyio
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Busy(TooManyRequests):
    type = "urn:problem-type:test:too-busy"


class Turnstile(Guard):
    name = "turnstile"
    place = Place.ADMISSION

    async def check(self, call: Call) -> None:
        if call.header("x-busy"):
            raise Busy("Busy.")


class Badge(Guard):
    name = "badge"
    place = Place.AUTHENTICATE

    async def check(self, call: Call) -> None:
        call.principal = Principal("ann")


def made(traced=False, clock=None, **telemetry):
    settings = Settings(log=LogSettings(), telemetry=TelemetrySettings(**telemetry))
    service = Service("shop", settings=settings, clock=clock)
    spans = None
    if traced:
        spans = InMemorySpanExporter()
        provider = TracerProvider(sampler=CallSampler(0))
        provider.add_span_processor(SimpleSpanProcessor(spans))
        service.telemetry.traces.use(provider)

    @service.get("/orders/{order_id}", guards=[Turnstile(), Badge()])
    async def read_order(order_id: int) -> int:
        if order_id == 13:
            raise RuntimeError("unlucky")
        if order_id == 14:
            raise Conflict("Taken.")
        if order_id == 15:
            await asyncio.Event().wait()
        return order_id

    @service.get("/stream")
    async def stream() -> StreamingResponse:
        async def pieces():
            yield b"a"
            await service.clock.sleep(3)
            yield b"b"

        return StreamingResponse(pieces(), 206)

    return service, spans


def counts(service, family="http"):
    return {
        reading.key[1:]: sum(reading.buckets) for reading in service.metrics.board.read() if reading.key[0] == family
    }


@pytest.fixture
def lines():
    out = io.StringIO()
    handler = LineHandler(out, is_json=True)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)

    def read(service):
        service.telemetry.access.flush()
        return [json.loads(line) for line in out.getvalue().splitlines() if line.startswith("{")]

    yield read
    root.removeHandler(handler)
    root.setLevel(level)


async def test_every_outcome_is_counted_once():
    service, _ = made()
    for path in ("/orders/1", "/orders/2", "/orders/13", "/orders/14", "/orders/x", "/nothing"):
        await exchange(service, "GET", path)
    await exchange(service, "POST", "/orders/1")
    await exchange(service, "BREW", "/orders/1")
    await exchange(service, "GET", "/orders/1", headers={"x-busy": "1"})
    route = ("read_order", "/orders/{order_id}", "GET")
    assert counts(service) == {
        (*route, "200"): 2,
        (*route, "500"): 1,
        (*route, "409"): 1,
        (*route, "422"): 1,
        (*route, "429"): 1,
        ("", "", "GET", "404"): 1,
        ("", "", "POST", "405"): 1,
        ("", "", "_OTHER", "405"): 1,
    }
    assert counts(service, "rejected") == {("read_order", "turnstile", "too-busy"): 1}
    assert all(sample.value == 0 for sample in service.metrics.moment()[0].samples)


async def test_a_call_that_is_cancelled_is_counted_and_no_longer_active():
    service, _ = made()
    call = asyncio.create_task(exchange(service, "GET", "/orders/15"))
    await asyncio.sleep(0)
    assert [sample.value for sample in service.metrics.moment()[0].samples if sample.value] == [1]
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert counts(service) == {("read_order", "/orders/{order_id}", "GET", "499"): 1}
    assert all(sample.value == 0 for sample in service.metrics.moment()[0].samples)


async def test_a_stream_lasts_until_its_end(manual_clock):
    service, _ = made(clock=manual_clock)
    assert (await exchange(service, "GET", "/stream")).status == 206
    (reading,) = [reading for reading in service.metrics.board.read() if reading.key[0] == "http"]
    assert (reading.key[-1], reading.sum) == ("206", 3.0)


async def test_ten_thousand_paths_are_one_series(manual_clock):
    service, _ = made(clock=manual_clock)
    for number in range(10_000):
        await exchange(service, "GET", f"/{number}/x{number}", headers={"x-request-id": f"id{number}"})
    assert counts(service) == {("", "", "GET", "404"): 10_000}
    assert len(service.telemetry.access.pending) < 9 * 1001


async def test_what_is_off_has_no_lines():
    settings = Settings(log=LogSettings(access=False), telemetry=TelemetrySettings(metrics="never"))
    service = Service("shop", settings=settings)

    @service.get("/x")
    async def read() -> int:
        return 1

    (plan,) = service.build().plans
    assert "record" not in plan.source
    assert "record" not in [step.name for step in plan.steps]
    assert (await exchange(service, "GET", "/metrics")).status == 404


async def test_a_call_is_one_line(lines):
    service, _ = made()
    await exchange(service, "GET", "/orders/1", headers={"user-agent": "test/1", "x-request-id": "abc"})
    await exchange(service, "HEAD", "/orders/14", headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})
    first, second = [line for line in lines(service) if line["logger"] == "seawall.access"]
    assert first.pop("timestamp")[-1] == "Z"
    assert first.pop("duration") >= 0
    assert first == {
        "level": "info",
        "message": "GET /orders/{order_id}",
        "logger": "seawall.access",
        "operation": "read_order",
        "http.request.method": "GET",
        "http.route": "/orders/{order_id}",
        "http.response.status_code": 200,
        "url.path": "/orders/1",
        "request_id": "abc",
        "client.address": "192.0.2.1",
        "user_agent.original": "test/1",
        "user.id": "ann",
    }
    assert (second["http.request.method"], second["error.type"], second["trace_id"]) == (
        "HEAD",
        "urn:problem-type:seawall:conflict",
        TRACE,
    )


@pytest.mark.parametrize(
    "path",
    ["/a%0A%7B%22level%22:%22forged%22%7D", "/a%22,%22x%22:%22", "/%1B[2J", "/%ED%A0%80", "/%E2%80%A8", "/a%00b"],
)
async def test_a_path_cannot_forge_a_line(lines, path):
    service, _ = made()
    agent = 'x"\x1b\\' + "\x9b" + "y" * 1000
    await exchange(service, "GET", path, headers={"user-agent": agent, "x-request-id": 'a"b\n'})
    (line,) = lines(service)
    assert line["http.response.status_code"] in (400, 404)
    assert line["user_agent.original"] == agent[:256]
    assert "forged" not in line["level"]


async def test_ids_and_paths_that_need_an_escape_get_one(lines):
    service, _ = made()
    access = service.telemetry.access
    from seawall.telemetry.logs.lines import Form

    call = Call(b'i"d \n', "read")
    for path in ("/half\ud800", "http://ann:hunter2@x/", "/plain"):
        access.pending.extend((5.0, 0.1, 200, call.id, Form("read", "GET", "/r"), path, None, None, None))
    found = lines(service)
    assert {line["request_id"] for line in found} == {'i"d \n'}
    assert [line["url.path"] for line in found] == ["/half\\ud800", "http://ann:[hidden]@x/", "/plain"]


async def test_calls_with_typed_arguments_are_recorded_and_those_within_a_call_have_no_line(lines):
    service, spans = made(traced=True, trace_ratio=1)

    @service.get("/outer")
    async def outer() -> int:
        return await service.call("read_order", order_id=3)

    assert await service.call("read_order", order_id=7) == 7
    with pytest.raises(Conflict):
        await service.call("read_order", order_id=14)
    assert (await exchange(service, "GET", "/outer")).status == 200
    assert counts(service, "call") == {("read_order", "200"): 2, ("read_order", "409"): 1}
    found = [(line["operation"], line["http.response.status_code"]) for line in lines(service)]
    assert found == [("read_order", 200), ("read_order", 409), ("outer", 200)]
    *_, inner, server = spans.get_finished_spans()
    assert (server.name, inner.name) == ("GET /outer", "read_order")
    assert inner.parent.span_id == server.context.span_id


async def test_a_recorded_call_has_a_span_with_what_is_known_of_it():
    service, spans = made(traced=True, trace_ratio=0)
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "a=1", "user-agent": "test/1"}
    await exchange(service, "GET", "/orders/13", headers=headers)
    (found,) = spans.get_finished_spans()
    assert (found.name, found.kind.name, found.status.status_code.name) == ("GET /orders/{order_id}", "SERVER", "ERROR")
    assert f"{found.context.trace_id:032x}" == TRACE
    assert f"{found.parent.span_id:016x}" == SPAN
    assert found.context.trace_state.to_header() == "a=1"
    assert dict(found.attributes) | {"seawall.request_id": ""} == {
        "http.request.method": "GET",
        "http.route": "/orders/{order_id}",
        "http.response.status_code": 500,
        "url.path": "/orders/13",
        "url.scheme": "http",
        "client.address": "192.0.2.1",
        "user_agent.original": "test/1",
        "user.id": "ann",
        "error.type": "urn:problem-type:seawall:internal-error",
        "seawall.operation": "read_order",
        "seawall.request_id": "",
    }
    assert [event.attributes["exception.type"] for event in found.events] == ["RuntimeError"]
    (reading,) = [reading for reading in service.metrics.board.read() if reading.key[0] == "http"]
    assert [exemplar.trace_id for exemplar in reading.exemplars if exemplar] == [TRACE]


@pytest.mark.parametrize(
    ("field", "ratio", "follow", "recorded"),
    [
        ("01", 0.0, True, 1),
        ("00", 1.0, True, 0),
        ("01", 0.0, False, 0),
        ("00", 1.0, False, 1),
        (None, 0.0, True, 0),
        (None, 1.0, True, 1),
        ("zz", 0.0, True, 0),
        ("zz", 1.0, True, 1),
    ],
)
async def test_callers_decide_and_chance_does_for_the_others(field, ratio, follow, recorded):
    service, spans = made(traced=True, trace_ratio=ratio, trace_callers=follow)
    headers = {} if field is None else {"traceparent": f"00-{TRACE}-{SPAN}-{field}"}
    await exchange(service, "GET", "/orders/1", headers=headers)
    found = spans.get_finished_spans()
    assert len(found) == recorded
    if found:
        assert (f"{found[0].context.trace_id:032x}" == TRACE) is (field in ("00", "01"))


async def test_a_call_that_is_not_recorded_passes_on_what_came_in():
    service, spans = made(traced=True, trace_ratio=0)
    seen = []

    @service.get("/x")
    async def read() -> None:
        for _ in range(2):
            headers = {"traceparent": "stale", "tracestate": "stale"}
            inject(headers)
            seen.append(headers)
        with span("inner") as made_span:
            seen.append(made_span)

    coming = {"traceparent": f"00-{TRACE}-{SPAN}-00", "tracestate": "a=1", "baggage": "k=v, bad key=1"}
    await exchange(service, "GET", "/x", headers=coming)
    first, second, inner = seen
    assert first == second == {**coming, "baggage": "k=v"}
    assert inner is None
    seen.clear()
    await exchange(service, "GET", "/x")
    first, second, _ = seen
    assert first == second, "a call begins one trace, whatever it calls"
    assert first["traceparent"].endswith("-02")
    assert not spans.get_finished_spans()


async def test_without_tracing_only_the_callers_trace_goes_on():
    service, _ = made()
    seen = []

    @service.get("/x")
    async def read() -> None:
        headers: dict[str, str] = {}
        inject(headers)
        seen.append(headers)

    await exchange(service, "GET", "/x")
    await exchange(service, "GET", "/x", headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})
    assert seen == [{}, {"traceparent": f"00-{TRACE}-{SPAN}-01"}]
    headers: dict[str, str] = {}
    inject(headers)
    assert headers == {}


async def test_a_recorded_call_tells_others_its_innermost_span():
    service, spans = made(traced=True, trace_ratio=1)
    seen: dict[str, str] = {}

    @service.get("/x")
    async def read() -> None:
        with span("query", rows=3):
            inject(seen)

    await exchange(service, "GET", "/x")
    inner, server = spans.get_finished_spans()
    assert seen["traceparent"].startswith(f"00-{inner.context.trace_id:032x}-{inner.context.span_id:016x}-01"[:-1])
    assert inner.parent.span_id == server.context.span_id
    assert dict(inner.attributes) == {"rows": 3}


async def test_background_work_is_linked_to_the_call_that_began_it():
    service, spans = made(traced=True, trace_ratio=1)
    seen = []

    @service.get("/x")
    async def begin() -> None:
        async def work() -> None:
            seen.append(current_call().request_id)

        service.tasks.start(work, name="tidy")

    async with service.running():
        await exchange(service, "GET", "/x", headers={"x-request-id": "abc"})
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    server, work = sorted(spans.get_finished_spans(), key=lambda each: each.name)
    assert (server.name, work.name, seen) == ("GET /x", "tidy", ["abc"])
    assert [link.context.span_id for link in work.links] == [server.context.span_id]
    assert work.context.trace_id != server.context.trace_id


async def test_lines_are_flushed_by_the_timer_and_in_the_end(manual_clock, lines):
    service, _ = made(clock=manual_clock)
    await exchange(service, "GET", "/orders/1")
    await manual_clock.sleep(0.06)
    assert service.telemetry.access.pending == []
    async with service.running():
        await exchange(service, "GET", "/orders/1")
    assert service.telemetry.access.pending == []
    assert len(lines(service)) == 2


async def test_only_errors_are_lines_at_a_higher_level(lines):
    logging.getLogger().setLevel(logging.WARNING)
    service, _ = made()
    await exchange(service, "GET", "/orders/1")
    await exchange(service, "GET", "/orders/13")
    access = [line for line in lines(service) if line["logger"] == "seawall.access"]
    assert [line["http.response.status_code"] for line in access] == [500]


async def test_series_stay_when_settings_are_read_again():
    service, _ = made()
    await exchange(service, "GET", "/orders/1")
    service.rebuild()
    await exchange(service, "GET", "/orders/1")
    assert counts(service) == {("read_order", "/orders/{order_id}", "GET", "200"): 2}


@pytest.mark.parametrize(
    ("readers", "client", "status"),
    [("loopback", "127.0.0.1", 200), ("loopback", "192.0.2.1", 403), ("always", "192.0.2.1", 200)],
)
async def test_who_may_read_the_metrics(readers, client, status):
    service, _ = made(metrics=readers)
    await exchange(service, "GET", "/orders/1")
    answer = await exchange(service, "GET", "/metrics", client=(client, 5))
    assert answer.status == status
    assert (b"http_server_request_duration_seconds_bucket" in answer.body) is (status == 200)
    assert all(operation == "read_order" for operation, *_ in counts(service)), "scrapes are not recorded"


async def test_a_route_of_the_users_own_in_its_place_stays():
    service, _ = made(metrics="always")

    @service.get("/metrics")
    async def own() -> str:
        return "mine"

    assert (await exchange(service, "GET", "/metrics")).json() == "mine"
