"""What a kept answer costs beside the operation itself: `python benchmarks/response_cache.py` prints a table.

Microseconds of CPU time per call, in this process, without sockets: the plans for ASGI and for the wire carrier are
driven by one request that is the same each time. Rounds of all rows follow each other and the best of each counts. The
operation does nothing but return a small value, which is the least a hit can save. The rows of ``server`` are the whole
way from the bytes of a request to those of its answer: uvicorn's protocol with an ASGI function that does nothing but
send the same answer, and the protocol of `seawall run`.
"""

import argparse
import asyncio
import json
import os
import platform
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that it also runs by its path

import uvicorn
from uvicorn.server import ServerState

from benchmarks.carrier import Nowhere
from seawall import Service
from seawall.protocol import ConnectionLimits
from seawall.settings import Settings
from seawall.settings.own import LogSettings
from seawall.settings.telemetry import TelemetrySettings
from seawall.wire import wire_protocol

CALLS, ROUNDS = 20_000, 7
HEADERS = {b"host": b"127.0.0.1:8000", b"accept": b"application/json", b"user-agent": b"benchmark/1.0"}


@dataclass(slots=True)
class Request:
    """A request as the server's protocol class hands it over, and an answer that goes nowhere."""

    path: str
    query: bytes
    headers: dict[bytes, bytes]
    status: int
    task: Any = None
    call: Any = None
    scheme: str = "http"
    body: bytes = b""
    peer: tuple[str, int] = ("127.0.0.1", 50000)
    paused: bool = False
    answers: int = 0
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)

    @property
    def raw_query(self) -> bytes:
        return self.query

    def write(self, status: int, fields: bytes, body: bytes) -> None:
        if status != self.status:
            raise AssertionError(f"answered {status}: {body!r}")
        self.answers += 1

    write_dated = write

    def fail(self) -> None:
        raise AssertionError("the plan could not answer")


def service() -> Service:
    """Return a service with the same operations with and without a cache."""
    settings = Settings(log=LogSettings(access=False), telemetry=TelemetrySettings(metrics="never"))
    made = Service("kept", settings=settings)

    @made.get("/plain/{order_id}", timeout=None)
    async def plain(order_id: int, limit: int = 10) -> dict[str, int]:
        return {"id": order_id, "quantity": limit}

    @made.get("/kept/{order_id}", timeout=None, cache="1h")
    async def kept(order_id: int, limit: int = 10) -> dict[str, int]:
        return {"id": order_id, "quantity": limit}

    return made


ROWS: tuple[tuple[str, str, bytes, bool, int], ...] = (
    ("operation", "plain", b"", False, 200),
    ("hit", "kept", b"", False, 200),
    ("operation, query", "plain", b"limit=3", False, 200),
    ("hit, query", "kept", b"limit=3", False, 200),
    ("hit, 304", "kept", b"", True, 304),
)


async def wire(run: Any, path: str, query: bytes, headers: dict[bytes, bytes], status: int, calls: int) -> float:
    """Return the microseconds of CPU time of one call on the wire carrier."""
    request = Request(path, query, headers, status, asyncio.current_task())
    request.fields = list(headers.items())
    request.parts = path.split("/")
    began = time.process_time()
    for _ in range(calls):
        await run(request)
    took = time.process_time() - began
    assert request.answers == calls
    return took / calls * 1e6


async def asgi(app: Any, path: str, query: bytes, headers: dict[bytes, bytes], status: int, calls: int) -> float:
    """Return the microseconds of CPU time of one call over ASGI."""
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": query,
        "root_path": "", "scheme": "http", "headers": list(headers.items()), "client": ("127.0.0.1", 40000),
    }  # fmt: skip
    statuses = []

    async def receive() -> Any:
        raise AssertionError("there is no body")

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    began = time.process_time()
    for _ in range(calls):
        await app(scope, receive, send)
    took = time.process_time() - began
    assert statuses == [status] * calls, statuses[:3]
    return took / calls * 1e6


async def raw(scope: Any, receive: Any, send: Any) -> None:
    """Answer as the operation does, and do nothing else."""
    body = b'{"id":7,"quantity":10}'
    fields = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": body})


async def server(app: Any, protocol: Any, target: str, calls: int) -> float:
    """Return the microseconds of CPU time of one request from its bytes to those of its answer."""
    config = uvicorn.Config(app, http=protocol, log_config=None, access_log=False)
    config.load()
    state = ServerState()
    state.default_headers = [(b"date", b"Thu, 01 Jan 2026 00:00:00 GMT")]
    made: Any = config.http_protocol_class
    connection, transport = made(config=config, server_state=state, app_state={}), Nowhere()
    connection.connection_made(transport)
    fields = "".join(f"{name.decode()}: {value.decode()}\r\n" for name, value in HEADERS.items())
    request = f"GET {target} HTTP/1.1\r\n{fields}\r\n".encode()
    began = time.process_time()
    for _ in range(calls):
        before = transport.answers
        connection.data_received(request)
        while not transport.last.endswith(b"}") or transport.answers == before:  # noqa: ASYNC110 - a round of the loop
            await asyncio.sleep(0)
        transport.last = b""
    took = time.process_time() - began
    return took / calls * 1e6


async def measure(calls: int, rounds: int) -> dict[str, float]:
    """Return the best round of each row."""
    made = service()
    built = made.build()
    built.use_wire()
    runs = {plan.name: plan.run for plan in built.wires}
    best: dict[str, float] = {}
    protocol = wire_protocol(ConnectionLimits(65536, 200, 32768, 10.0, 100), built.surface)
    for _ in range(rounds):
        for name, operation, query, conditional, status in ROWS:
            headers = dict(HEADERS)
            if conditional:
                headers[b"if-none-match"] = b"*"
            path = f"/{operation}/7"
            await asgi(made.asgi, path, query, HEADERS, 200, 1)
            for carrier, took in (
                ("asgi", await asgi(made.asgi, path, query, headers, status, calls)),
                ("wire", await wire(runs[operation], path, query, headers, status, calls)),
            ):
                key = f"{carrier}: {name}"
                best[key] = min(best.get(key, took), took)
        for name, app, http, target in (
            ("raw ASGI function", raw, "httptools", "/"),
            ("operation", made.asgi, protocol, "/plain/7"),
            ("hit", made.asgi, protocol, "/kept/7"),
        ):
            took = await server(app, http, target, calls)
            best[f"server: {name}"] = min(best.get(f"server: {name}", took), took)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=Path, help="write the numbers there as well")
    options = parser.parse_args()
    best = asyncio.run(measure(options.calls, options.rounds))
    for name in sorted(best):
        print(f"{best[name]:7.2f} µs  {name}")
    if options.json:
        machine = {"python": sys.version, "machine": platform.processor(), "cores": os.cpu_count()}
        rows = {name: round(took, 3) for name, took in sorted(best.items())}
        options.json.write_text(json.dumps({**machine, "microseconds": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
