"""Starts one contender, waits until it answers, and ends it by its pid whatever happens."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.contenders import HOST, Contender
from benchmarks.harness.paths import ROOT

START_LIMIT = 30.0  # seconds
STOP_LIMIT = 5.0  # seconds
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class StartError(Exception):
    """The contender ended or stayed silent; the message carries what it wrote."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running contender, and the seconds from the start of its process until it took a connection.

    Its `output` is the file that it writes to, or None where that is /dev/null; `folder` lasts as long as the process.
    """

    contender: Contender
    port: int
    pid: int
    ready_seconds: float
    folder: Path
    output: int | None = None

    def said(self) -> str:
        """Return what it has written so far, without moving the place at which it goes on writing."""
        if self.output is None:
            return ""
        return os.pread(self.output, os.fstat(self.output).st_size, 0).decode(errors="replace")

    def cpu_seconds(self) -> float:
        """Return the processor time of the server and its threads so far (children, if any, not counted)."""
        with open(f"/proc/{self.pid}/stat") as stat:  # noqa: PTH123 - a pseudo file
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def pinned(cpu: int | None) -> list[str]:
    """Return the prefix that ties a command to one core; nothing where that cannot be done."""
    if cpu is None or shutil.which("taskset") is None:
        return []
    return ["taskset", "-c", str(cpu)]


def pinning() -> tuple[int | None, int | None]:
    """Return the cores for server and load: the first two this process may use, or no pinning at all."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) < 2 or shutil.which("taskset") is None:
        return None, None
    return cores[0], cores[1]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def serving(
    contender: Contender,
    *,
    cpu: int | None,
    routes: int = 0,
    variables: Iterable[tuple[str, str]] = (),
    quiet: bool = False,
) -> Iterator[Server]:
    """Serve a contender for as long as the block lasts.

    Args:
        contender: The contender.
        cpu: The core it is tied to.
        routes: How many extra routes it has.
        variables: What it gets in its environment, besides its own.
        quiet: Whether what it writes goes to /dev/null, so that no disk is measured.

    Raises:
        StartError: It ended, or did not accept a connection within 30 seconds.
    """
    port = _free_port()
    environment = {**os.environ, **contender.environment, "BENCH_ROUTES": str(routes), **dict(variables)}
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as output:
        begun = time.perf_counter()
        process = subprocess.Popen(
            [*pinned(cpu), *contender.command(port)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if quiet else output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches the harness alone, which then ends the server
        )
        try:
            problem = _wait(process, port)
            if problem is not None:
                output.seek(0)
                said = output.read().decode(errors="replace").replace(f"{ROOT}/", "").strip()
                raise StartError(f"{problem}\n{said[-2000:]}".strip())
            took = time.perf_counter() - begun
            yield Server(contender, port, process.pid, took, Path(folder), None if quiet else output.fileno())
        finally:
            _stop(process)


def _wait(process: subprocess.Popen[bytes], port: int) -> str | None:
    """Wait until the port is served; return what went wrong, or None."""
    limit = time.monotonic() + START_LIMIT
    while time.monotonic() < limit:
        if process.poll() is not None:
            return f"it ended with exit status {process.returncode} instead of serving"
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return None
        time.sleep(0.005)
    return f"it did not accept a connection within {START_LIMIT:g} seconds"


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server; when it does not listen, with whatever it started in its own process group."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # not yet reaped, so the number is still its own
            process.wait()
