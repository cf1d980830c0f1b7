"""What one request costs inside this process, by CPU time: the wire protocol without a socket, and ASGI.

No socket and no kernel: what is left is the parser, the plan and the write. The medians of several rounds of CPU
time hardly move when the machine has other work, so that a change to the way of a call can be judged by them.

    python benchmarks/carrier.py [--requests N] [--rounds N]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import uvicorn
import uvloop
from uvicorn.server import ServerState

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.contenders import seawall_app
from seawall.http.surface import Surface
from seawall.protocol import ConnectionLimits
from seawall.wire import wire_protocol

BODY = (
    b'{"customer_id":7,"reference":"r-1","currency":"EUR","lines":['
    + b",".join(b'{"sku":"tea-%d","quantity":2,"unit_price":3.5}' % n for n in range(5))
    + b"]}"
)
GET = b"GET /orders/42?limit=3 HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"
POST = b"POST /orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(BODY),
    BODY,
)
BURST = 200
"""Requests between two looks at the event loop's other work."""


class Nowhere(asyncio.Transport):
    """Takes what is written, and counts it."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 40000), "sockname": ("127.0.0.1", 8000)})
        self.answers = 0
        self.last = b""

    def write(self, data: Any) -> None:
        self.answers += 1
        self.last = data

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def close(self) -> None: ...


def protocol() -> tuple[Any, Nowhere]:
    """Return a protocol of the benchmark's service on a transport to nowhere."""
    service = seawall_app.service
    built = service.build()
    built.use_wire()
    surface: Surface = built.surface
    limits = ConnectionLimits(65536, 200, 32768, 10.0, 100)
    config = uvicorn.Config(service.asgi, http=wire_protocol(limits, surface), log_config=None, access_log=False)
    config.load()
    state = ServerState()
    state.default_headers = [(b"date", b"Thu, 01 Jan 2026 00:00:00 GMT")]
    made = cast("Any", config.http_protocol_class)(config=config, server_state=state, app_state={})
    transport = Nowhere()
    made.connection_made(transport)
    return made, transport


async def wire(raw: bytes, count: int) -> float:
    """Return the nanoseconds of CPU time for one of *count* requests."""
    made, transport = protocol()
    receive = made.data_received
    began = time.process_time()
    for sent in range(1, count + 1):
        receive(raw)
        while transport.answers < sent:  # noqa: ASYNC110 - the rounds of the loop are what is measured
            await asyncio.sleep(0)
    spent = time.process_time() - began
    assert transport.last.startswith(b"HTTP/1.1 20"), transport.last
    return spent / count * 1e9


async def asgi(method: str, path: str, query: bytes, body: bytes, count: int) -> float:
    """Return the nanoseconds of CPU time for one of *count* requests, each in a task of its own as a server does."""
    app: Callable[..., Awaitable[None]] = seawall_app.service.asgi
    loop = asyncio.get_running_loop()
    fields = [(b"host", b"localhost"), (b"user-agent", b"bench"), (b"accept", b"*/*")]
    if body:
        fields += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    answered: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answered.append(message["status"])

    began = time.process_time()
    for _ in range(count // BURST):
        for _ in range(BURST):
            scope = {
                "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query,
                "root_path": "", "scheme": "http", "headers": fields, "client": ("127.0.0.1", 40000),
            }  # fmt: skip
            await loop.create_task(app(scope, receive, send))  # type: ignore[arg-type]
    spent = time.process_time() - began
    assert set(answered) <= {200, 201}, set(answered)
    return spent / len(answered) * 1e9


def main() -> None:
    """Measure, and print one line for each."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--requests", type=int, default=20_000, help="requests in a round")
    options.add_argument("--rounds", type=int, default=9, help="rounds; the least and the median are printed")
    chosen = options.parse_args()
    cases: dict[str, Callable[[int], Awaitable[float]]] = {
        "wire GET": lambda count: wire(GET, count),
        "wire POST": lambda count: wire(POST, count),
        "asgi GET": lambda count: asgi("GET", "/orders/42", b"limit=3", b"", count),
        "asgi POST": lambda count: asgi("POST", "/orders", b"", BODY, count),
    }
    found: dict[str, list[float]] = {name: [] for name in cases}
    gc.freeze()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for _ in range(chosen.rounds):
            for name, run in cases.items():
                found[name].append(runner.run(run(chosen.requests)))
    for name, values in found.items():
        print(f"{name:<10} {min(values):8.0f} ns least  {statistics.median(values):8.0f} ns median of {len(values)}")


if __name__ == "__main__":
    main()
