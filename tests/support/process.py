"""A served process under test: started, watched, signalled, read."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

PATIENCE = 60.0
"""Seconds after which a process that should have done something is taken to hang."""


class Watched:
    """A running Python module; what it writes is read as it comes."""

    def __init__(
        self, module: str, *arguments: str, folder: Path, environment: Mapping[str, str], fds: Sequence[int] = ()
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=folder,
            env=dict(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=fds,
        )
        self.output = ""
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.process.stdout, selectors.EVENT_READ)
        self._seen = 0

    def until(self, pattern: str) -> re.Match[str]:
        """Read until *pattern* has come after what was found before."""
        end = time.monotonic() + PATIENCE
        while True:
            found = re.compile(pattern).search(self.output, self._seen)
            if found:
                self._seen = found.end()
                return found
            assert time.monotonic() < end, f"{pattern!r} did not come:\n{self.output}"
            if self._selector.select(0.1):
                chunk = os.read(self.process.stdout.fileno(), 65536).decode()
                assert chunk, f"it ended before {pattern!r} came:\n{self.output}"
                self.output += chunk

    def tell(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        """Wait for the end; return the exit status."""
        rest, _ = self.process.communicate(timeout=PATIENCE)
        self.output += rest.decode()
        return self.process.returncode

    def end(self, number: int = signal.SIGTERM) -> int:
        self.tell(number)
        return self.ended()

    def close(self) -> None:
        """Leave nothing behind."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        self._selector.close()


class Served(Watched):
    """``seawall run`` in a process of its own."""

    def __init__(
        self, target: str, folder: Path, *, fds: Sequence[int] = (), module: str = "seawall", **variables: str
    ) -> None:
        where = [f"--fd={fd}" for fd in fds] or ["--port=0"]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SEAWALL_")}
        super().__init__(module, "run", target, *where, folder=folder, environment={**kept, **variables}, fds=fds)

    def address(self) -> tuple[str, int]:
        """Wait until it listens; return where."""
        host, _, port = self.until(r"listening on http://([\w.]+:\d+)")[1].rpartition(":")
        return host, int(port)


@contextlib.contextmanager
def served(target: str, folder: Path, **options: object) -> Iterator[Served]:
    each = Served(target, folder, **options)
    try:
        yield each
    finally:
        each.close()


class Wire:
    """A raw connection: what is sent is what is given, answers are read by their length."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=PATIENCE)
        self._read = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, path: str, *fields: str, method: str = "GET", body: bytes = b"") -> None:
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *fields]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode() + body)

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Read one answer; status 0 if the connection ended before it came."""
        while b"\r\n\r\n" not in self._read:
            if not self._more():
                return 0, {}, b""
        head, _, rest = self._read.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(fields.get("content-length", "0"))
        self._read = rest
        while len(self._read) < length:
            if not self._more():
                return 0, fields, self._read
        body, self._read = self._read[:length], self._read[length:]
        return int(status.split()[1]), fields, body

    def get(self, path: str, *fields: str) -> tuple[int, dict[str, str], bytes]:
        self.send(path, *fields)
        return self.answer()

    def is_closed(self) -> bool:
        """Wait for the other side to close; False if it says something instead."""
        return not self._more()

    def _more(self) -> bool:
        try:
            chunk = self.socket.recv(65536)
        except ConnectionResetError:
            return False
        self._read += chunk
        return bool(chunk)
