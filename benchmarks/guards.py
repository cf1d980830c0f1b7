"""What each guard costs: `python benchmarks/guards.py` prints a table of microseconds of CPU time per call.

The plan compiled for the wire carrier is driven in this process, without a socket or a server, by one request that is
the same each time. Every row is one service that differs from the first by what it names; rounds of all rows follow
each other, and the best round of each counts, so that a busy machine disturbs the comparison less. A further guard is
one more row in `ROWS`. The last rows are calls that a guard refuses: what the whole call costs, the answer included.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that it also runs by its path

from rich.console import Console
from rich.table import Table

from seawall import Service
from seawall.auth import BearerTokens, Grant, KeyRing, TokenService, secret_key
from seawall.limit import Rate
from seawall.settings import AdmissionSettings, LimitSettings, Settings
from seawall.settings.own import LogSettings
from seawall.settings.telemetry import TelemetrySettings
from seawall.telemetry import logs

CALLS = 20_000
ROUNDS = 7
BASE_NAME = "plan without them (request id included)"
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
    expected: int = 200

    def write(self, status: int, fields: bytes, body: bytes) -> None:
        if status != self.expected:
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
        over: The row it is compared with.
        admission: Whether the service's gate stands in front of it.
        fields: Whether answers have the ``RateLimit`` fields.
        token: Whether calls bring an access token: the same, or one that was never seen before.
        status: What calls are answered with.
        prepare: Does something to the service once it is compiled.
    """

    name: str
    access: bool = False
    metrics: bool = False
    ratio: float | None = None
    options: Mapping[str, Any] = field(default_factory=lambda: {"timeout": None})
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    over: str = BASE_NAME
    admission: bool = False
    fields: bool = True
    token: Literal["", "same", "new"] = ""
    status: int = 200
    prepare: Callable[[Service], object] = lambda service: None

    def service(self) -> Service:
        tracing = {} if self.ratio is None else {"otlp_endpoint": "http://127.0.0.1:9", "trace_ratio": self.ratio}
        settings = Settings(
            admission=AdmissionSettings(enabled=self.admission, queue=0),
            limit=LimitSettings(fields=self.fields),
            log=LogSettings(access=self.access),
            telemetry=TelemetrySettings(metrics="loopback" if self.metrics else "never", **tracing),
        )
        service = Service("guards", settings=settings)

        @service.get("/orders/{order_id}", **self.options)
        async def read_order(order_id: int) -> dict[str, int]:
            return {"id": order_id, "quantity": 3}

        return service

    def requests(self) -> Iterator[dict[bytes, bytes]]:
        """Yield the header fields of one call after the other."""
        while True:
            fields = {**HEADERS, **self.headers}
            if self.token:
                fields[b"authorization"] = b"Bearer " + ISSUER.access_token(GRANT).encode()
            yield fields
            while self.token != "new":
                # As a server hands them over: other bytes with every call, whose hash is not known yet.
                yield {name: bytes(bytearray(value)) for name, value in fields.items()}


KEY = secret_key("0123456789abcdef0123456789abcdef")
ISSUER = TokenService(KEY, issuer="https://issuer.example", audience="shop")
GRANT = Grant(subject="ann", roles=frozenset({"customer"}), scopes=frozenset({"read", "write"}))


def tokens() -> BearerTokens:
    """Return a scheme with a cache of its own."""
    return BearerTokens(KeyRing([KEY]), issuer="https://issuer.example", audience="shop")


def full(service: Service) -> None:
    """Leave no room at the gate."""
    gate = service.admission.gate
    gate.in_flight = gate.limit


def options(**more: Any) -> dict[str, Any]:
    """Return policy options of an operation without a time limit."""
    return {"timeout": None, **more}


PARENT = {b"traceparent": b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"}
KNOWN = "bearer token (HS256), seen before"
ALL = {"access": True, "metrics": True, "ratio": 0.0, "admission": True}
STACK: dict[str, Any] = {
    **ALL,
    "token": "same",
    "options": {"timeout": 30, "auth": tokens(), "roles": {"customer"}, "rate": "1000000/second"},
}
ROWS = (
    Row(BASE_NAME),
    Row("request id that the caller sent", headers={b"x-request-id": b"4bf92f3577b34da6a3ce929d0e0e4736"}),
    Row("deadline", options={"timeout": 30}),
    Row("admission", options={"timeout": 30}, admission=True, over="deadline"),
    Row("rate, in memory", options=options(rate=Rate("1000000/second", key="address")), fields=False),
    Row("rate, with RateLimit fields", options=options(rate=Rate("1000000/second", key="address"))),
    Row(KNOWN, token="same", options=options(auth=tokens())),
    Row("bearer token (HS256), new", token="new", options=options(auth=tokens())),
    Row("role", token="same", options=options(auth=tokens(), roles={"customer"}), over=KNOWN),
    Row("metrics", metrics=True),
    Row("access line, encoded and written", access=True),
    Row("tracing, not recorded", ratio=0.0),
    Row("tracing, not recorded, caller's trace read", ratio=0.0, headers=PARENT),
    Row("all of these", **STACK),
    Row("refused: no token (401)", **{**STACK, "token": "", "status": 401}),
    Row("refused: not a token (401)", **{**STACK, "token": "", "status": 401}, headers={b"authorization": b"Bearer x"}),
    Row("refused: rate (429)", **{**STACK, "options": {**STACK["options"], "rate": "1/day"}, "status": 429}),
    Row(
        "refused: admission (503)",
        **STACK,
        status=503,
        prepare=full,
    ),
)


async def drive(run: Callable[[Any], Any], row: Row, calls: int) -> float:
    """Return the microseconds of CPU time one call takes, threads that write included."""
    request = Request({}, asyncio.current_task(), expected=row.status)
    sent = [fields for fields, _ in zip(row.requests(), range(calls), strict=False)]
    began = time.process_time()
    for fields in sent:
        request.headers = fields
        await run(request)
    await asyncio.sleep(0)
    took = time.process_time() - began
    if request.answers != calls:
        raise AssertionError(f"{request.answers} answers to {calls} calls")
    return took / calls * 1e6


async def measure(rows: Sequence[Row], calls: int, rounds: int) -> dict[str, float]:
    """Return the best round of each row, in microseconds."""
    plans = []
    for row in rows:
        service = row.service()
        built = service.build()
        built.use_wire()
        (plan,) = [each for each in built.wires if each.name == "read_order"]
        row.prepare(service)
        plans.append((row, plan.run))
        if row.options.get("rate") == "1/day":  # the one call that is let through
            await drive(plan.run, replace(row, status=200), 1)
    best = {row.name: float("inf") for row in rows}
    for _ in range(rounds):
        for row, run in plans:
            best[row.name] = min(best[row.name], await drive(run, row, calls))
            logs.flush()
            await asyncio.sleep(0.06)
    return best


def show(rows: Sequence[Row], best: Mapping[str, float]) -> None:
    """Print the table."""
    base = best[BASE_NAME]
    table = Table("guard", "µs a call", "of the plan", title="What guards cost (CPU time, in process, wire carrier)")
    for row in rows:
        took = best[row.name]
        if row.name == BASE_NAME or row.status != 200:
            table.add_row(row.name, f"{took:.2f}", "")
        else:
            more = took - best[row.over]
            table.add_row(row.name, f"+{more:.2f}", f"{more / base:+.0%}")
    Console().print(table)


def chosen(only: str) -> Sequence[Row]:
    """Return the rows whose names begin with *only*, and those they are compared with."""
    names = {row.name for row in ROWS if row.name.startswith(only)}
    names |= {BASE_NAME} | {row.over for row in ROWS if row.name in names}
    return [row for row in ROWS if row.name in names]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Print what each guard costs, in microseconds of CPU time per call.")
    parser.add_argument("--calls", type=int, default=CALLS, help="calls in a round")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds, of which the best counts")
    parser.add_argument(
        "--only", default="", help="rows whose names begin with this, besides those they are compared with"
    )
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    options = parser.parse_args()
    with Path("/dev/null").open("w") as nowhere:
        logs.configure("info", "json", nowhere)
        rows = chosen(options.only)
        best = asyncio.run(measure(rows, options.calls, options.rounds))
        logs.flush()
    if options.json:
        print(json.dumps({name: round(took, 3) for name, took in best.items()}))
    else:
        show(rows, best)


if __name__ == "__main__":
    main()
