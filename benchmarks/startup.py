"""Measure import and start-up with 1,000 operations: `python benchmarks/startup.py`."""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that it also runs by its path

from benchmarks.harness import report, setup
from benchmarks.harness.contenders import CONTENDERS, Contender
from benchmarks.harness.paths import LATEST, PYTHON, ROOT
from benchmarks.harness.servers import StartError, serving

REPEATS = 7
OPERATIONS = 1_000
TIME_LIMIT = 120  # seconds for one fresh process

# What a user imports first; the name is used, so that a lazy module cannot look quicker than it is.
IMPORTS = {
    "seawall": ("seawall", "Service"),
    "starlette": ("starlette.applications", "Starlette"),
    "fastapi": ("fastapi", "FastAPI"),
    "litestar": ("litestar", "Litestar"),
    "blacksheep": ("blacksheep", "Application"),
    "falcon": ("falcon.asgi", "App"),
}
BARS = {"import": 0.150, "build": 1.0}  # seconds, for seawall


def import_seconds(contender: Contender) -> float:
    """Return the seconds one fresh process needs to import a framework."""
    module, name = IMPORTS[contender.name]
    script = (
        f"import time; begun = time.perf_counter()\nfrom {module} import {name}\nprint(time.perf_counter() - begun)"
    )
    return _seconds([str(PYTHON), "-c", script])


def build_seconds(contender: Contender) -> float:
    """Return the seconds one fresh process needs to declare and compile 1,000 operations."""
    framework = IMPORTS[contender.name][0]
    return _seconds([str(PYTHON), "-m", "benchmarks.harness.build_once", contender.target, framework])


def ready_seconds(contender: Contender) -> float:
    """Return the seconds from the start of a server with 1,000 operations until its port is served."""
    with serving(contender, cpu=None, routes=OPERATIONS) as server:
        return server.ready_seconds


def _seconds(command: list[str]) -> float:
    environment = {**os.environ, "BENCH_ROUTES": str(OPERATIONS)}
    run = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=TIME_LIMIT, check=False
    )
    if run.returncode != 0:
        raise StartError(run.stderr.replace(f"{ROOT}/", "").strip()[-2000:])
    return float(run.stdout.splitlines()[-1])


MEASURES: dict[str, Callable[[Contender], float]] = {
    "import": import_seconds,
    "build": build_seconds,
    "ready": ready_seconds,
}


def measure(contenders: list[Contender], console: Console) -> tuple[dict[str, dict[str, list[float]]], dict[str, str]]:
    """Measure all, interleaved; return the samples in seconds, and why a contender dropped out."""
    samples: dict[str, dict[str, list[float]]] = {contender.name: {} for contender in contenders}
    failed: dict[str, str] = {}
    for _ in range(REPEATS):
        for contender in contenders:
            if contender.name in failed:
                continue
            for what, seconds in MEASURES.items():
                try:
                    samples[contender.name].setdefault(what, []).append(seconds(contender))
                except StartError as problem:
                    failed[contender.name] = str(problem)
                    console.print(f"[red]failed[/] {contender.name} ({what}):", end=" ")
                    console.print(str(problem), markup=False, highlight=False)
                    break
    return {name: runs for name, runs in samples.items() if name not in failed}, failed


def show(samples: dict[str, dict[str, list[float]]], console: Console) -> None:
    title = f"Start-up with {OPERATIONS:,} operations: milliseconds, median (min to max) of {REPEATS} processes"
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("contender")
    for column in ("import", "build operations", "process start to served port"):
        table.add_column(column, justify="right")
    for name, measures in samples.items():
        cells = (
            f"{median(runs) * 1000:,.0f} ({min(runs) * 1000:,.0f} to {max(runs) * 1000:,.0f})"
            for runs in measures.values()
        )
        table.add_row(name, *cells, style="bold cyan" if name == "seawall" else None)
    console.print(table)
    for what, most in BARS.items():
        runs = samples.get("seawall", {}).get(what)
        if runs:
            verdict = "[green]met[/]" if median(runs) <= most else "[red]missed[/]"
            console.print(f"bar: seawall {what} ≤ {most * 1000:,.0f} ms: {median(runs) * 1000:,.0f} ms, {verdict}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="startup.py", description="Measure import and start-up in fresh processes.")
    parser.add_argument("--only", help=f"some of {','.join(IMPORTS)}", default=",".join(IMPORTS))
    names = set(parser.parse_args().only.split(","))
    if names - set(IMPORTS):
        parser.error(f"--only takes some of {', '.join(IMPORTS)}")
    console = report.console()
    ready, _ = setup.prepare(names)
    samples, failed = measure([each for each in CONTENDERS if each in ready], console)
    show(samples, console)
    results: dict[str, Any] = report.read_latest()
    results["startup"] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "operations": OPERATIONS,
        "seconds": {
            name: {what: {"median": median(runs), "samples": runs} for what, runs in measures.items()}
            for name, measures in samples.items()
        },
        "failed": failed,
    }
    report.write_latest(results)
    console.print(f"added to {LATEST.relative_to(ROOT)}", highlight=False)
    return 1 if failed else 0


def _end(*_: object) -> None:
    raise SystemExit(143)  # unwinds the blocks that end the servers


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nInterrupted; the servers have been ended and no results written.", file=sys.stderr)
        sys.exit(130)
