"""What a kept answer costs beside the operation itself: `python benchmarks/response_cache.py` prints a table.

Microseconds of CPU time per call, in this process, without sockets: the plans for ASGI and for the wire carrier are
driven by one request that is the same each time. Rounds of all rows follow each other and the best of each counts. The
operation does nothing but return a small value, which is the least a hit can save.
"""

import argparse
import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that it also runs by its path

from seawall import Service
from seawall.settings import Settings
from seawall.settings.own import LogSettings
from seawall.settings.telemetry import TelemetrySettings

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


async def measure(calls: int, rounds: int) -> dict[str, float]:
    """Return the best round of each row."""
    made = service()
    built = made.build()
    built.use_wire()
    runs = {plan.name: plan.run for plan in built.wires}
    best: dict[str, float] = {}
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
        options.json.write_text(json.dumps({name: round(took, 3) for name, took in best.items()}, indent=2) + "\n")


if __name__ == "__main__":
    main()
