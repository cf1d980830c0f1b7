"""Turns samples into medians, ratios and bars, and those into tables and JSON."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.harness.catalogue import WORKLOADS
from benchmarks.harness.load import Sample
from benchmarks.harness.paths import LATEST
from benchmarks.harness.verify import Verdict
from benchmarks.harness.workloads import Workload

Samples = dict[str, dict[str, list[Sample]]]  # workload → contender → one sample per second and round
Verdicts = dict[str, dict[str, Verdict]]

DISTURBED = 0.9  # share of a core below which a loaded server must have waited for something else
LOAD_BOUND = 0.97  # share of a core from which on the load generator, not the server, may be what is measured


@dataclass(frozen=True, slots=True)
class Bar:
    """Requests/s of `contender` are at least `least` times those of `other`; both are `(workload, name)`."""

    what: str
    contender: tuple[str, str]
    other: tuple[str, str]
    least: float


def _stack_bars(method: str, workload: str) -> Iterable[Bar]:
    ours = (workload, "seawall-stack")
    yield Bar(f"stack {method}, of Gin with ordinary middleware", ours, (workload, "gin-stack"), 2.0)
    yield Bar(f"stack {method}, of the same with a token cache", ours, (workload, "gin-stack-cached"), 1.3)
    yield Bar(f"stack {method}, of FastAPI with the usual libraries", ours, (workload, "fastapi-stack"), 30.0)
    yield Bar(f"stack {method}, of plain seawall", ours, (workload, "seawall"), 0.85)
    yield Bar(f"stack {method}, of seawall with no guard at all", ours, (workload, "seawall-unguarded"), 0.85)


BARS = (
    Bar("GET, of raw ASGI", ("get", "seawall"), ("get", "raw"), 0.90),
    Bar("POST, of raw ASGI", ("post", "seawall"), ("post", "raw"), 0.90),
    Bar("GET over ASGI, of raw ASGI", ("get", "seawall-asgi"), ("get", "raw"), 0.90),
    Bar("POST over ASGI, of raw ASGI", ("post", "seawall-asgi"), ("post", "raw"), 0.90),
    Bar("GET, of Gin", ("get", "seawall"), ("get", "gin"), 0.75),
    Bar("POST, of Gin", ("post", "seawall"), ("post", "gin"), 1.20),
    Bar("GET, of FastAPI", ("get", "seawall"), ("get", "fastapi"), 3.0),
    Bar("POST, of FastAPI", ("post", "seawall"), ("post", "fastapi"), 3.0),
    Bar("GET with access lines and metrics, of GET", ("get", "seawall-recorded"), ("get", "seawall"), 0.90),
    Bar("POST with access lines and metrics, of POST", ("post", "seawall-recorded"), ("post", "seawall"), 0.90),
    Bar("1,000 routes, of 10 routes", ("routes-1000", "seawall"), ("routes-10", "seawall"), 0.95),
    *_stack_bars("GET", "stack-get"),
    *_stack_bars("POST", "stack-post"),
)


def console() -> Console:
    """Return a console wide enough for the tables also where the output is no terminal."""
    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=150)


def rate(samples: Samples, workload: str, name: str) -> float | None:
    """Return the median of requests per second, or None where nothing was measured."""
    runs = samples.get(workload, {}).get(name)
    return median(run.requests_per_second for run in runs) if runs else None


def ratio(samples: Samples, contender: tuple[str, str], other: tuple[str, str]) -> float | None:
    """Return the median of the ratios of all pairs of samples, or None where one was not measured.

    The two of a pair were measured seconds apart: a machine that is slower for a while is slower for both.
    """
    ours, theirs = (samples.get(workload, {}).get(name, []) for workload, name in (contender, other))
    pairs = zip(ours, theirs, strict=False)
    ratios = [one.requests_per_second / another.requests_per_second for one, another in pairs]
    return round(median(ratios), 3) if ratios else None


def print_tables(console: Console, samples: Samples) -> None:
    """Print one table per workload, the fastest first."""
    for workload in WORKLOADS:
        runs = samples.get(workload.name, {})
        if not runs:
            continue
        table = Table(title=f"{workload.name}: {workload.about}", title_justify="left", title_style="bold")
        table.add_column("contender", no_wrap=True)
        references = [f"x {name}" for name in workload.references]
        columns = ["requests/s", "min to max", *references, "p50 ms", "p99 ms", "CPU µs", "server CPU", "load CPU"]
        if workload.refused[1]:
            columns.append("refused")
        for column in columns:
            table.add_column(column, justify="right")
        for name in sorted(runs, key=lambda name: -(rate(samples, workload.name, name) or 0)):
            row = _row(samples, workload, name)
            table.add_row(*row, style="bold cyan" if name in {"seawall", "seawall-stack"} else None)
        console.print(table)
        bound = [name for name in runs if median(run.load_cpu for run in runs[name]) > LOAD_BOUND]
        if bound:
            console.print(f"  wrk used its whole core: {', '.join(bound)} may be faster than shown.")
        disturbed = [name for name in runs if min(run.server_cpu for run in runs[name]) < DISTURBED]
        if disturbed:
            console.print(f"  not alone on the core in every round: {', '.join(disturbed)}.")


def _row(samples: Samples, workload: Workload, name: str) -> Iterable[str]:
    runs = samples[workload.name][name]
    rates = [run.requests_per_second for run in runs]
    yield name
    yield f"{median(rates):,.0f}"
    yield f"{min(rates):,.0f} to {max(rates):,.0f}"
    for reference in workload.references:
        value = ratio(samples, (workload.name, name), (workload.name, reference))
        yield "" if value is None else f"{value:.2f}"
    yield f"{median(run.p50 for run in runs) / 1000:.2f}"
    yield f"{median(run.p99 for run in runs) / 1000:.2f}"
    yield f"{median(run.server_cpu / run.requests_per_second for run in runs) * 1e6:.1f}"
    yield f"{median(run.server_cpu for run in runs):.0%}"
    yield f"{median(run.load_cpu for run in runs):.0%}"
    if workload.refused[1]:
        yield f"{median(run.refused for run in runs):.0%}"


def print_bars(console: Console, samples: Samples) -> None:
    """Print which of the project's bars are met; those that were not measured are left out."""
    measured = [(bar, value) for bar in BARS if (value := ratio(samples, bar.contender, bar.other)) is not None]
    if not measured:
        return
    table = Table(title="Bars for seawall", title_justify="left", title_style="bold")
    for column in ("bar", "at least", "measured", ""):
        table.add_column(column, justify="left" if column in {"bar", ""} else "right")
    for bar, value in measured:
        met = value >= bar.least
        verdict = "[green]met[/]" if met else "[red]missed[/]"
        table.add_row(bar.what, f"{bar.least:.2f} x", f"{value:.2f} x", verdict)
    console.print(table)


def unequal_headers(verdicts: Verdicts) -> list[str]:
    """Return where raw and seawall send different response headers: then they do not do the same work."""
    notes = []
    for workload, seen in verdicts.items():
        if "raw" in seen and "seawall" in seen:
            raw, ours = set(seen["raw"].headers), set(seen["seawall"].headers)
            if raw != ours:
                notes.append(
                    f"{workload}: raw and seawall answer different headers; only raw: {sorted(raw - ours)}, "
                    f"only seawall: {sorted(ours - raw)}"
                )
    return notes


def document(samples: Samples, verdicts: Verdicts) -> dict[str, Any]:
    """Return the results, every raw sample included, as they are written to JSON."""
    workloads: dict[str, Any] = {}
    for workload in WORKLOADS:
        runs = samples.get(workload.name)
        if runs:
            workloads[workload.name] = {
                "about": workload.about,
                "contenders": {name: _result(samples, verdicts, workload, name) for name in runs},
            }
    bars = [
        {"bar": bar.what, "at_least": bar.least, "measured": value, "met": value >= bar.least}
        for bar in BARS
        if (value := ratio(samples, bar.contender, bar.other)) is not None
    ]
    return {"workloads": workloads, "bars": bars}


def _result(samples: Samples, verdicts: Verdicts, workload: Workload, name: str) -> dict[str, Any]:
    runs = samples[workload.name][name]
    rates = [run.requests_per_second for run in runs]
    verdict = verdicts[workload.name][name]
    ratios = {
        f"ratio_to_{reference}": ratio(samples, (workload.name, name), (workload.name, reference))
        for reference in workload.references
    }
    return {
        "requests_per_second": {"median": median(rates), "min": min(rates), "max": max(rates)},
        **ratios,
        "p50_microseconds": median(run.p50 for run in runs),
        "p99_microseconds": median(run.p99 for run in runs),
        "answer_bytes": verdict.answer_bytes,
        "response_headers": verdict.headers,
        "probes": verdict.probes,
        "samples": [run.raw() for run in runs],
    }


def read_latest() -> dict[str, Any]:
    """Return the last results, empty where there are none."""
    return json.loads(LATEST.read_text()) if LATEST.exists() else {}


def write_latest(results: dict[str, Any]) -> None:
    """Write results/latest.json."""
    LATEST.parent.mkdir(exist_ok=True)
    LATEST.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
