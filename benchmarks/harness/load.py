"""Drives wrk against one server and reads its result."""

import json
import resource
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.harness.contenders import HOST
from benchmarks.harness.paths import BENCHMARKS
from benchmarks.harness.servers import Server, pinned
from benchmarks.harness.workloads import Workload

SCRIPT = BENCHMARKS / "harness" / "load.lua"
WARM_UP = 2  # seconds
SLICE = 1  # second; the least that wrk measures


class LoadError(Exception):
    """The load did not run, or not every request was answered with success."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured run. Latencies are in microseconds; CPU is the share of one core used while measuring.

    `refused` is the share of the answers that were 4xx: some, where a workload is about that.
    """

    requests_per_second: float
    p50: int
    p99: int
    max: int
    requests: int
    server_cpu: float
    load_cpu: float
    refused: float = 0.0

    def raw(self) -> dict[str, float]:
        return asdict(self)


def warm_up(server: Server, workload: Workload, *, connections: int, cpu: int | None) -> None:
    """Load a server for a moment before anything is measured.

    Raises:
        LoadError: wrk ended badly, or an answer was not a success.
    """
    _wrk(server, _records(server, workload), WARM_UP, connections, cpu, workload.refused[1])


def measure(server: Server, workload: Workload, *, connections: int, cpu: int | None) -> Sample:
    """Load a server for a second.

    Raises:
        LoadError: wrk ended badly, or an answer was not a success.
    """
    records = _records(server, workload)
    least, most = workload.refused
    server_before, load_before = server.cpu_seconds(), _children_cpu()
    result = _wrk(server, records, SLICE, connections, cpu, most)
    elapsed = result["microseconds"] / 1_000_000
    refused = result["refused"] / result["requests"]
    if refused < least:
        raise LoadError(f"{refused:.0%} of {result['requests']} requests were refused, instead of {least:.0%} or more")
    return Sample(
        requests_per_second=round(result["requests"] / elapsed, 1),
        p50=result["p50"],
        p99=result["p99"],
        max=result["max"],
        requests=result["requests"],
        server_cpu=round((server.cpu_seconds() - server_before) / elapsed, 3),
        load_cpu=round((_children_cpu() - load_before) / elapsed, 3),
        refused=round(refused, 3),
    )


def _records(server: Server, workload: Workload) -> Path:
    """Return the file with the requests as they are sent to *server*; the first call writes it."""
    records = server.folder / workload.name
    if not records.exists():
        host = f"{HOST}:{server.port}"
        records.write_bytes(b"".join(request.wire(host) + b"\0" for request in workload.requests))
    return records


def _wrk(
    server: Server, records: object, seconds: int, connections: int, cpu: int | None, most_refused: float
) -> dict[str, int]:
    command = [
        *pinned(cpu),
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds}s",
        "--timeout",
        "5s",
        "-s",
        str(SCRIPT),
    ]
    command += [f"http://{HOST}:{server.port}/", "--", str(records)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=False)
    line = next((line for line in run.stdout.splitlines() if line.startswith("RESULT ")), None)
    if run.returncode != 0 or line is None:
        raise LoadError(f"wrk ended with exit status {run.returncode}: {(run.stderr or run.stdout).strip()[-500:]}")
    result = json.loads(line.removeprefix("RESULT "))
    failures = {kind: result[kind] for kind in ("connect", "read", "write", "timeout") if result[kind]}
    if result["refused"] > most_refused * result["requests"]:
        failures["refused"] = result["refused"]
    if failures or not result["requests"]:
        raise LoadError(f"{result['requests']} requests were answered, with failures: {failures}")
    return result


def _children_cpu() -> float:
    """Return the processor time of all children that have ended: between two calls in a run, wrk alone."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
