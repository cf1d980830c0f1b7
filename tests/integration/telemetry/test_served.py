"""What a served process shows of itself, over real sockets."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from support.server import Server, request, serve
from support.stores import missing

HERE = Path(__file__).parent
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = ("traceparent", f"00-{TRACE}-{SPAN}-01")


def samples(server, name, **labels):
    families = parse(server.request("GET", "/metrics").body.decode())
    return [
        (sample.labels, sample.value)
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]


def logged(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("carrier", ["wire", "asgi"])
def test_the_metrics_equal_what_was_asked(tmp_path, carrier):
    with serve("shop:service", HERE, tmp_path / "log", SEAWALL_SERVER_CARRIER=carrier) as server:
        wanted = {"200": 40, "500": 1, "422": 1, "429": 2}
        paths = ["/orders/1"] * 40 + ["/orders/13", "/orders/x"]
        for path in paths:
            server.request("GET", path)
        for _ in range(2):
            server.request("GET", "/orders/1", headers=[("x-busy", "1")])
        for number in range(300):
            server.request("GET", f"/{number}/{number}", headers=[("x-request-id", f"{number}")])
        server.request("POST", "/orders", body=b'{"a":1}')
        server.request("GET", "/stream")
        name = "http_server_request_duration_seconds_count"
        found = samples(server, name, operation="read_order")
        assert {labels["http_response_status_code"]: value for labels, value in found} == wanted
        assert samples(server, name, operation="") == [
            (
                {
                    "operation": "",
                    "http_route": "",
                    "http_request_method": "GET",
                    "http_response_status_code": "404",
                },
                300,
            )
        ]
        assert [value for _, value in samples(server, name, operation="stream")] == [1]
        assert samples(server, "seawall_rejections_total") == [
            ({"operation": "read_order", "guard": "turnstile", "reason": "too-many-requests"}, 2)
        ]
        assert samples(server, "shop_sold_total") == [({}, 1)], "prometheus_client's own appear too"
        assert samples(server, "shop_orders_total") == [({"kind": "plain"}, 1)]
        assert samples(server, "seawall_open_connections")[0][1] >= 1
        assert samples(server, "seawall_background_runs_total", outcome="finished") == [({"outcome": "finished"}, 1)]
        assert samples(server, "process_resident_memory_bytes")
        assert samples(server, "seawall_event_loop_lag_seconds_count")
        assert all(value == 0 for _, value in samples(server, "http_server_active_requests"))


def test_prometheus_own_linter_finds_nothing(tmp_path):
    linter = shutil.which("promtool")
    if linter is None:
        missing("promtool", "it is not installed")
    with serve("shop:service", HERE, tmp_path / "log") as server:
        for path in ("/orders/1", "/orders/13", "/orders/x", "/nothing", "/stream"):
            server.request("GET", path)
        server.request("GET", "/orders/1", headers=[("x-busy", "1")])
        server.request("POST", "/orders", body=b'{"a":1}')
        text = server.request("GET", "/metrics").body
        done = subprocess.run([linter, "check", "metrics"], input=text, capture_output=True, timeout=20, check=False)
    assert text.count(b"\n") > 100
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_every_line_of_a_call_says_which_it_was(tmp_path):
    with serve("shop:service", HERE, tmp_path / "log") as server:
        server.request("POST", "/orders", body=b'{"a":1}', headers=[("x-request-id", "mine-1"), PARENT])
        server.request("GET", "/orders/13", headers=[("x-request-id", "mine-2")])
        server.request("GET", "/a%0a%22%1b", headers=[("user-agent", b'\x9b"}')])
    lines = logged(tmp_path / "log")
    first = [line for line in lines if line.get("request_id") == "mine-1"]
    assert sorted(line["message"] for line in first) == ["POST /orders", "placed", "tidied"]
    assert {line["trace_id"] for line in first} == {TRACE}
    assert {line["operation"] for line in first} == {"place_order"}
    assert "hunter2" not in (tmp_path / "log").read_text()
    error, access = (line for line in lines if line.get("request_id") == "mine-2")
    assert (error["level"], "unlucky" in error["exception"]) == ("error", True)
    assert (access["level"], access["http.response.status_code"]) == ("warning", 500)
    assert [line["url.path"] for line in lines if line.get("http.response.status_code") == 404] == ['/a\n"\x1b']


def test_access_lines_can_be_left_out(tmp_path):
    with serve("shop:service", HERE, tmp_path / "log", SEAWALL_LOG_ACCESS="false") as server:
        server.request("GET", "/orders/1")
    assert not [line for line in logged(tmp_path / "log") if line["logger"] == "seawall.access"]


def started(stderr, **settings):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SEAWALL_")}
    return subprocess.Popen(
        [sys.executable, "-m", "seawall", "run", "shop:service", "--port", "0"],
        cwd=HERE,
        env=environment | {"SEAWALL_LOG_FORMAT": "json", **settings},
        stdout=subprocess.DEVNULL,
        stderr=stderr,
    )


def port_of(process):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        for entry in Path(f"/proc/{process.pid}/net/tcp").read_text().splitlines()[1:]:
            local, state, inode = entry.split()[1], entry.split()[3], entry.split()[9]
            if state == "0A" and f"socket:[{inode}]" in sockets_of(process):
                return int(local.rpartition(":")[2], 16)
        time.sleep(0.05)
    raise AssertionError("the server does not listen")


def sockets_of(process):
    found = set()
    for each in Path(f"/proc/{process.pid}/fd").iterdir():
        try:
            found.add(str(each.readlink()))
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_full_disk_is_not_noticed_by_callers_and_counted():
    with Path("/dev/full").open("wb") as full:
        process = started(full)
    try:
        server = Server(port_of(process), process, Path("/dev/full"))
        assert all(server.request("GET", f"/orders/{number + 20}").status == 200 for number in range(50))
        time.sleep(0.2)
        lost = {labels["reason"]: value for labels, value in samples(server, "seawall_log_lines_lost_total")}
        assert lost["refused"] >= 50
    finally:
        process.terminate()
        assert process.wait(20) == 0


def test_a_log_pipe_that_is_closed_is_not_noticed_by_callers_and_counted():
    process = started(subprocess.PIPE)
    try:
        server = Server(port_of(process), process, Path())
        process.stderr.close()
        assert all(server.request("GET", f"/orders/{number + 20}").status == 200 for number in range(50))
        time.sleep(0.2)
        lost = {labels["reason"]: value for labels, value in samples(server, "seawall_log_lines_lost_total")}
        assert lost["refused"] >= 50
    finally:
        process.terminate()
        assert process.wait(20) == 0


def test_a_log_pipe_nobody_reads_stops_nothing():
    reader, writer = os.pipe()
    process = started(writer)
    os.close(writer)
    try:
        server = Server(port_of(process), process, Path())
        with server.connected() as connection:
            agent = "x" * 250
            for _ in range(30):  # enough to fill the pipe
                connection.sendall(request("GET", "/orders/1", headers=[("user-agent", agent)]) * 20)
                seen = b""
                while seen.count(b"HTTP/1.1 200") < 20:
                    seen += connection.recv(65536)
    finally:
        process.terminate()
        assert process.wait(20) == 0
        os.close(reader)


class Collector:
    """A collector that answers as it is told; None never answers."""

    def __init__(self, status):
        self.spans = []
        self.requests = 0
        self.released = threading.Event()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                collector.requests += 1
                body = self.rfile.read(int(self.headers["content-length"]))
                if status is None:
                    collector.released.wait(30)
                    return
                if status == 200:
                    import gzip

                    data = gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body
                    message = ExportTraceServiceRequest.FromString(data)
                    for resource in message.resource_spans:
                        for scope in resource.scope_spans:
                            collector.spans += scope.spans
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server.server_port}"


def test_spans_reach_the_collector_and_exemplars_the_scraper(tmp_path):
    with Collector(200) as collector:
        settings = {"SEAWALL_TELEMETRY_OTLP_ENDPOINT": collector.address, "SEAWALL_TELEMETRY_TRACE_RATIO": "0"}
        with serve("shop:service", HERE, tmp_path / "log", **settings) as server:
            server.request("GET", "/orders/1", headers=[PARENT])
            server.request("GET", "/orders/2")
            text = server.request("GET", "/metrics", headers=[("accept", "application/openmetrics-text")])
            assert text.headers["content-type"].startswith("application/openmetrics-text")
            examples = [
                sample.exemplar.labels["trace_id"]
                for family in openmetrics(text.body.decode())
                for sample in family.samples
                if sample.exemplar
            ]
            assert examples == [TRACE]
        (span,) = collector.spans
        assert (span.name, span.trace_id.hex(), span.parent_span_id.hex()) == ("GET /orders/{order_id}", TRACE, SPAN)


def malformed(chance):
    """Return header fields that look like those of a trace, each of them damaged in another way."""
    good = f"00-{TRACE}-{SPAN}-01".encode()
    kind = chance.randrange(6)
    if kind == 0:  # one byte is another one
        place, byte = chance.randrange(len(good)), chance.choice(b"ghxyzGHXYZ _.,;\x80\xff")
        return [("traceparent", good[:place] + bytes([byte]) + good[place + 1 :])]
    if kind == 1:  # too short or too long
        return [("traceparent", good[: chance.randrange(1, len(good))] if chance.random() < 0.5 else good + b"-00")]
    if kind == 2:  # twice
        return [("traceparent", good), ("traceparent", good)]
    if kind == 3:
        return [("traceparent", chance.choice([b"ff", b"0x", b"-1"]) + good[2:])]
    if kind == 4:
        return [("traceparent", b"00-" + b"0" * 32 + good[35:])]
    return [("traceparent", chance.randbytes(60).translate(None, b"\r\n\0") or b"?")]


@pytest.mark.parametrize("carrier", ["wire", "asgi"])
def test_malformed_headers_of_traces_by_the_hundred_begin_a_trace_of_their_own(tmp_path, carrier):
    chance = random.Random(7)
    with Collector(200) as collector:
        settings = {
            "SEAWALL_TELEMETRY_OTLP_ENDPOINT": collector.address,
            "SEAWALL_TELEMETRY_TRACE_RATIO": "1",
            "SEAWALL_SERVER_CARRIER": carrier,
        }
        refused = 0
        with serve("shop:service", HERE, tmp_path / "log", **settings) as server:
            for _ in range(300):
                state = chance.choice([b"a=1", b"a=1,a=2", b"=", b"a=" + b"x" * 600, chance.randbytes(40)])
                more = [("tracestate", state.translate(None, b"\r\n\0")), ("baggage", b"a=%zz,b" * 20)]
                status = server.request("GET", "/orders/1", headers=[*malformed(chance), *more]).status
                assert status in (200, 400), status  # 400: bytes that no header field may have (RFC 9110)
                refused += status == 400
            assert refused < 150
            server.request("GET", "/orders/2", headers=[PARENT])
    *spans, last = sorted(collector.spans, key=lambda span: span.start_time_unix_nano)
    assert len(spans) == 300 - refused
    assert {span.parent_span_id for span in spans} == {b""}
    assert len({span.trace_id for span in spans}) == len(spans)
    assert (last.trace_id.hex(), last.parent_span_id.hex()) == (TRACE, SPAN)


@pytest.mark.parametrize("how", ["down", "slow", "refusing"])
def test_a_collector_that_takes_nothing_is_not_noticed(tmp_path, how):
    with Collector(None if how == "slow" else 400) as collector:
        address = "http://127.0.0.1:9" if how == "down" else collector.address
        settings = {
            "SEAWALL_TELEMETRY_OTLP_ENDPOINT": address,
            "SEAWALL_TELEMETRY_TRACE_RATIO": "1",
            "SEAWALL_TELEMETRY_TRACE_QUEUE": "600",
        }
        with serve("shop:service", HERE, tmp_path / "log", **settings) as server:
            for number in range(1500):
                if number % 50 == 0:
                    connection = server.connected()
                    wire = connection.__enter__()
                wire.sendall(request("GET", "/orders/1"))
                assert wire.recv(65536).startswith(b"HTTP/1.1 200")
                if number % 50 == 49:
                    connection.__exit__(None, None, None)
            found = {labels["outcome"]: value for labels, value in samples(server, "seawall_spans_total")}
            assert found["sent"] == 0
            if how == "slow":
                assert found["dropped"] >= 800
            began = time.monotonic()
        assert time.monotonic() - began < 8, "the end is not held up"
        assert server.process.returncode == 0


def test_a_wrong_endpoint_is_named_at_start(tmp_path):
    process = started(subprocess.PIPE, SEAWALL_TELEMETRY_OTLP_ENDPOINT="collector:4317")
    _, stderr = process.communicate(timeout=20)
    assert process.returncode != 0
    assert b"SEAWALL_TELEMETRY_OTLP_ENDPOINT" in stderr
    assert b"http://localhost:4318" in stderr
