"""A real server process, and requests to it byte by byte."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Reply", "Server", "request", "serve"]

PATIENCE = 60.0
"""Seconds a test waits for a server before it fails."""


@dataclass
class Reply:
    """One answer as it stood on the wire."""

    status: int
    headers: dict[str, str]
    body: bytes
    closed: bool = False
    """Whether the connection was closed behind it."""

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def places(self) -> set[str]:
        """Where a problem says the errors are."""
        return {
            error["pointer"] if "pointer" in error else f"{error['location']}:{error['parameter']}"
            for error in self.json().get("errors", ())
        }


@dataclass
class Server:
    """A running server.

    Args:
        port: Where it listens, on 127.0.0.1.
        process: Its process.
        log: Where its log goes.
    """

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @contextlib.contextmanager
    def connected(self) -> Iterator[socket.socket]:
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            yield connection

    def send(self, *pieces: bytes, head: bool = False, finish: bool = False) -> Reply:
        """Send *pieces*, each in a packet of its own as far as that can be had, and return the answer."""
        with self.connected() as connection:
            for piece in pieces:
                # A server may answer and close before it has read all.
                with contextlib.suppress(ConnectionError):
                    connection.sendall(piece)
                if len(pieces) > 1:
                    time.sleep(0.01)
            if finish:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_WR)
            return read_reply(connection, head=head)

    def request(self, method: str, target: str, **options: Any) -> Reply:
        """Send one request; see `request`."""
        return self.send(request(method, target, **options), head=method == "HEAD")

    def alive(self) -> bool:
        return self.process.poll() is None and self.request("GET", "/alive").body == b'"yes"'


def request(
    method: str,
    target: str | bytes,
    body: bytes | None = None,
    *,
    headers: Iterable[tuple[str, str | bytes]] = (),
    media: str | None = "application/json",
    host: str | None = "localhost",
) -> bytes:
    """Return the bytes of a request."""
    raw = target if isinstance(target, bytes) else target.encode()
    lines = [method.encode() + b" " + raw + b" HTTP/1.1"]
    if host is not None:
        lines.append(b"host: " + host.encode())
    if body is not None:
        if media is not None:
            lines.append(b"content-type: " + media.encode())
        lines.append(b"content-length: %d" % len(body))
    for name, value in headers:
        lines.append(name.encode() + b": " + (value if isinstance(value, bytes) else value.encode()))
    return b"\r\n".join([*lines, b"", b""]) + (body or b"")


def read_reply(connection: socket.socket, *, head: bool = False) -> Reply:
    """Read one answer off *connection*.

    Raises:
        ConnectionError: It was closed before the answer was complete.
    """
    data = b""
    while b"\r\n\r\n" not in data:
        data += _receive(connection, data)
    top, _, rest = data.partition(b"\r\n\r\n")
    status, *fields = top.split(b"\r\n")
    headers = {
        name.decode().lower(): value.strip().decode("latin-1")
        for name, _, value in (line.partition(b":") for line in fields)
    }
    code = int(status.split()[1])
    if head or code in (204, 304):
        body = b""
    elif "content-length" in headers:
        while len(rest) < int(headers["content-length"]):
            rest += _receive(connection, rest)
        body = rest[: int(headers["content-length"])]
    else:
        body = _chunked(connection, rest)
    closed = headers.get("connection") == "close" or _has_ended(connection)
    return Reply(code, headers, body, closed)


def _chunked(connection: socket.socket, data: bytes) -> bytes:
    body = b""
    while True:
        while b"\r\n" not in data:
            data += _receive(connection, data)
        length, _, data = data.partition(b"\r\n")
        size = int(length, 16)
        while len(data) < size + 2:
            data += _receive(connection, data)
        body, data = body + data[:size], data[size + 2 :]
        if size == 0:
            return body


def _has_ended(connection: socket.socket) -> bool:
    """Return whether the other side has closed; by `poll`, since a test run may have a thousand files open."""
    looking = select.poll()
    looking.register(connection, select.POLLIN)
    return bool(looking.poll(0))


def _receive(connection: socket.socket, so_far: bytes) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise ConnectionError(f"closed after {so_far[:200]!r}")
    return data


@contextlib.contextmanager
def serve(app: str, folder: Path, log: Path, **settings: str) -> Iterator[Server]:
    """Serve *app* of *folder* in a process of its own, on a free port.

    Args:
        app: The service, as ``module:attribute``.
        folder: Where the module is.
        log: Where its log goes.
        settings: Variables of its environment.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SEAWALL_")}
    environment |= {"SEAWALL_LOG_FORMAT": "json", "PYTHONUNBUFFERED": "1", **settings}
    command = [sys.executable, "-m", "seawall", "run", app, "--port", "0"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield Server(_port(process, log), process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        for line in log.read_text(errors="replace").splitlines():
            if "listening on" in line:
                return int(json.loads(line)["message"].rpartition(":")[2])
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise AssertionError(f"the server did not start:\n{log.read_text(errors='replace')}")
