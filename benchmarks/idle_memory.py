"""Memory of a connection that rests: RSS of the server with 2,000 kept connections, each after one request or several.

Run it with ``python benchmarks/idle_memory.py``; ``REQUESTS=5`` makes five on each. It compares ``seawall run`` on both
carriers with plain uvicorn and an application that does nothing, all on the same event loop and parser, and
prints one JSON line for each.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONNECTIONS = int(os.environ.get("CONNECTIONS", "2000"))
REQUESTS = int(os.environ.get("REQUESTS", "1"))
"""Requests on each connection before it rests."""
WAVE = 250
"""Connections between two pauses, in which the server gives back what it keeps for connections that are busy."""
PAUSE = 2.5
REQUEST = b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"
WARM = 200
"""Connections before the first measurement, so that what is made once is made."""
RAW = """
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"7")]})
    await send({"type": "http.response.body", "body": b'"hello"'})
"""
SEAWALL = """
from seawall import Service
service = Service("idle")

@service.get("/hello")
async def hello() -> str:
    return "hello"
"""
SERVE = [sys.executable, "-m"]
SERVERS = {
    "uvicorn": ([*SERVE, "uvicorn", "raw:app", "--no-access-log", "--timeout-keep-alive", "600"], {}),
    "seawall wire": ([*SERVE, "seawall", "run", "idle"], {"SEAWALL_SERVER_CARRIER": "wire"}),
    "seawall asgi": ([*SERVE, "seawall", "run", "idle"], {"SEAWALL_SERVER_CARRIER": "asgi"}),
}


def resident(pid: int) -> int:
    """Return the bytes of memory the process has resident."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


def ask(connection: socket.socket) -> None:
    connection.sendall(REQUEST)
    received = b""
    while not received.endswith(b'"hello"'):
        received += connection.recv(4096)


def measure(name: str, command: list[str], variables: dict[str, str], folder: str) -> dict[str, object]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    path = os.pathsep.join(filter(None, (folder, os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "SEAWALL_SERVER_KEEP_ALIVE": "600", "PYTHONPATH": path, **variables}
    process = subprocess.Popen(
        [*command, "--port", str(port)],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with contextlib.ExitStack() as stack:

            def connect() -> None:
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
                for _ in range(REQUESTS):
                    ask(connection)

            for _ in range(100):
                with contextlib.suppress(OSError):
                    connect()
                    break
                time.sleep(0.1)
            for _ in range(WARM):
                connect()
            time.sleep(PAUSE)
            before = resident(process.pid)
            for number in range(CONNECTIONS):
                if number % WAVE == 0:
                    time.sleep(PAUSE)
                connect()
            time.sleep(PAUSE)
            after = resident(process.pid)
    finally:
        process.terminate()
        process.wait(20)
    return {
        "server": name,
        "connections": CONNECTIONS,
        "requests": REQUESTS,
        "bytes_per_connection": round((after - before) / CONNECTIONS),
        "resident_mib": round(after / 1024**2, 1),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "raw.py").write_text(RAW)
        Path(folder, "idle.py").write_text(SEAWALL)
        for name, (command, variables) in SERVERS.items():
            print(json.dumps(measure(name, command, variables, folder)), flush=True)


if __name__ == "__main__":
    main()
