"""Servers by fork: what they serve is imported once, so that tests which kill many do not wait for imports.

Run as a script it is the process that forks: a line it reads is a server to start, a line it writes the id of one.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Child", "Nursery", "nursery"]

PATIENCE = 60.0


@dataclass
class Child:
    """A running server.

    Args:
        port: Where it listens, on 127.0.0.1.
        pid: Its process.
        log: Where its log goes.
    """

    port: int
    pid: int
    log: Path

    def end(self, number: int) -> None:
        """Send it a signal, and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)
        self.wait()

    def wait(self) -> None:
        """Wait until it is gone."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                os.kill(self.pid, 0)
            except ProcessLookupError:
                return
            time.sleep(0.01)
        raise AssertionError(f"server {self.pid} does not end:\n{self.log.read_text(errors='replace')}")


class Nursery:
    """The process that forks."""

    def __init__(self, app: str, folder: Path, logs: Path) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SEAWALL_")}
        environment |= {"SEAWALL_LOG_FORMAT": "json", "PYTHONUNBUFFERED": "1"}
        self._process = subprocess.Popen(
            [sys.executable, __file__, app],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._logs = logs
        self._number = 0

    @contextlib.contextmanager
    def serving(self, **settings: str) -> Iterator[Child]:
        """Serve while the block runs; a server that was killed meanwhile is no error.

        Args:
            settings: Variables of its environment.
        """
        child = self.start(**settings)
        try:
            yield child
        finally:
            child.end(signal.SIGTERM)

    def start(self, **settings: str) -> Child:
        """Start a server, and return once it listens."""
        self._number += 1
        log = self._logs / f"server{self._number}.log"
        log.touch()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([str(log), settings]) + "\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            for line in log.read_text(errors="replace").splitlines():
                if "listening on" in line:
                    return Child(int(json.loads(line)["message"].rpartition(":")[2]), pid, log)
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                break
            time.sleep(0.01)
        raise AssertionError(f"the server did not start:\n{log.read_text(errors='replace')}")

    def close(self) -> None:
        """End the process that forks; its servers have ended."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE)
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextlib.contextmanager
def nursery(app: str, folder: Path, logs: Path) -> Iterator[Nursery]:
    """Start the process that forks servers of *app* (``module:attribute`` in *folder*), logging into *logs*."""
    made = Nursery(app, folder, logs)
    try:
        yield made
    finally:
        made.close()


def fork(app: str) -> None:
    """Fork a server for each line of the standard input."""
    sys.path.insert(0, ".")
    __import__(app.partition(":")[0])
    import seawall.assembly
    import seawall.server
    from seawall.cli import main

    assert seawall.assembly, seawall.server
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how they ended
    for line in sys.stdin:
        log, settings = json.loads(line)
        pid = os.fork()
        if pid:
            print(pid, flush=True)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.environ.update(settings)
        output = os.open(log, os.O_WRONLY | os.O_APPEND)
        for number in (1, 2):
            os.dup2(output, number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.argv = ["seawall", "run", app, "--port", "0"]
        main()
        os._exit(0)


if __name__ == "__main__":
    fork(sys.argv[1])
