"""What each guard costs: `python benchmarks/guards.py` prints a table of microseconds of CPU time per call.

The plan compiled for the wire carrier is driven in this process, without a socket or a server, by one request that is
the same each time. Every row is one service that differs from the first by what it names; rounds of all rows follow
each other, and the best round of each counts, so that a busy machine disturbs the comparison less. A further guard is
one more row in `ROWS`.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that it also runs by its path

from rich.console import Console
from rich.table import Table

from seawall import Service
from seawall.settings import Settings
from seawall.settings.own import LogSettings
from seawall.settings.telemetry import TelemetrySettings
from seawall.telemetry import logs

CALLS = 20_000
ROUNDS = 7
HEADERS = {
    b"host": b"127.0.0.1:8000",
    b"accept": b"application/json",
    b"user-agent": b"benchmark/1.0",
}


@dataclass(slots=True)
class Request:
    """A request as the server's protocol class hands it over, and an answer that goes nowhere."""

    headers: dict[bytes, bytes]
    task: Any = None
    call: Any = None
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    path: str = "/orders/7"
    parts: list[str] = field(default_factory=lambda: ["", "orders", "7"])
    raw_query: bytes = b""
    scheme: str = "http"
    body: bytes = b""
    peer: tuple[str, int] = ("127.0.0.1", 50000)
    paused: bool = False
    answers: int = 0

    def write(self, status: int, fields: bytes, body: bytes) -> None:
        if status != 200:
            raise AssertionError(f"answered {status}: {body!r}")
        self.answers += 1

    def fail(self) -> None:
        raise AssertionError("the plan could not answer")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Args:
        name: What it adds to the first.
        access: Whether there are access lines.
        metrics: Whether calls are counted.
        ratio: How many calls are traced; None for no tracing at all.
        options: Policy options of the operation.
        headers: Header fields besides the usual.
        prepare: Does something to the service before it is compiled.
    """

    name: str
    access: bool = False
    metrics: bool = False
    ratio: float | None = None
    options: Mapping[str, Any] = field(default_factory=lambda: {"timeout": None})
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    prepare: Callable[[Service], None] = lambda service: None

    def service(self) -> Service:
        tracing = {} if self.ratio is None else {"otlp_endpoint": "http://127.0.0.1:9", "trace_ratio": self.ratio}
        settings = Settings(
            log=LogSettings(access=self.access),
            telemetry=TelemetrySettings(metrics="loopback" if self.metrics else "never", **tracing),
        )
        service = Service("guards", settings=settings)
        self.prepare(service)

        @service.get("/orders/{order_id}", **self.options)
        async def read_order(order_id: int) -> dict[str, int]:
            return {"id": order_id, "quantity": 3}

        return service


PARENT = {b"traceparent": b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"}
BASE = Row("plan without them (request id included)")
ALL = Row("all of these", access=True, metrics=True, ratio=0.0, options={"timeout": 30})
ROWS = (
    BASE,
    Row("deadline", options={"timeout": 30}),
    Row("metrics", metrics=True),
    Row("access line, encoded and written", access=True),
    Row("tracing, not recorded", ratio=0.0),
    Row("tracing, not recorded, caller's trace read", ratio=0.0, headers=PARENT),
    ALL,
)


async def drive(run: Callable[[Any], Any], headers: Mapping[bytes, bytes], calls: int) -> float:
    """Return the microseconds of CPU time one call takes, threads that write included."""
    request = Request({**HEADERS, **headers}, asyncio.current_task())
    request.fields = list(request.headers.items())
    began = time.process_time()
    for _ in range(calls):
        await run(request)
    await asyncio.sleep(0)
    took = time.process_time() - began
    if request.answers != calls:
        raise AssertionError(f"{request.answers} answers to {calls} calls")
    return took / calls * 1e6


async def measure(calls: int, rounds: int) -> dict[str, float]:
    """Return the best round of each row, in microseconds."""
    plans = []
    for row in ROWS:
        built = row.service().build()
        built.use_wire()
        (plan,) = [each for each in built.wires if each.name == "read_order"]
        plans.append((row, plan.run))
    best = {row.name: float("inf") for row in ROWS}
    for _ in range(rounds):
        for row, run in plans:
            best[row.name] = min(best[row.name], await drive(run, row.headers, calls))
            logs.flush()
            await asyncio.sleep(0.06)
    return best


def show(best: Mapping[str, float]) -> None:
    """Print the table."""
    base = best[BASE.name]
    table = Table("guard", "µs a call", "of the plan", title="What guards cost (CPU time, in process, wire carrier)")
    for name, took in best.items():
        if name == BASE.name:
            table.add_row(name, f"{took:.2f}", "")
        else:
            table.add_row(name, f"+{took - base:.2f}", f"{(took - base) / base:+.0%}")
    Console().print(table)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Print what each guard costs, in microseconds of CPU time per call.")
    parser.add_argument("--calls", type=int, default=CALLS, help="calls in a round")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds, of which the best counts")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    options = parser.parse_args()
    with Path("/dev/null").open("w") as nowhere:
        logs.configure("info", "json", nowhere)
        best = asyncio.run(measure(options.calls, options.rounds))
        logs.flush()
    if options.json:
        print(json.dumps({name: round(took, 3) for name, took in best.items()}))
    else:
        show(best)


if __name__ == "__main__":
    main()
