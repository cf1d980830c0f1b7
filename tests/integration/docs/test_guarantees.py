"""What the documents promise of a running server, seen from outside."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PATIENCE = 60.0

SERVICE = """
import asyncio
from collections.abc import AsyncIterator

from seawall import Service

service = Service("promises")


class Session:
    pass


@service.resource(scope="call")
async def session() -> AsyncIterator[Session]:
    try:
        yield Session()
    except BaseException as error:
        print("session saw", type(error).__name__, flush=True)
        raise
    print("session closed", flush=True)


@service.get("/slow", timeout=10)
async def slow(session: Session) -> str:
    print("began", flush=True)
    await asyncio.sleep(0.6)
    print("ended", flush=True)
    return "done"


@service.get("/kept", on_disconnect="finish")
async def kept(session: Session) -> str:
    return await slow(session)


@service.get("/late", timeout="100ms")
async def late(session: Session) -> str:
    await asyncio.sleep(60)
    return "never"
"""


class Running:
    """A server process and what it has written so far."""

    def __init__(self, process: subprocess.Popen[str], output: Path) -> None:
        self.process = process
        self.output = output
        self.port = int(self.wait_for(r"listening on http://127\.0\.0\.1:(\d+)"))

    def wait_for(self, pattern: str) -> str:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            found = re.search(pattern, self.output.read_text())
            if found:
                return found[found.re.groups]
            time.sleep(0.02)
        raise AssertionError(f"{pattern!r} is not in {self.output.read_text()!r}")

    def connect(self) -> socket.socket:
        made = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        made.settimeout(PATIENCE)
        return made

    def ask(self, path: str) -> socket.socket:
        made = self.connect()
        made.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        return made


def answer(connection: socket.socket) -> bytes:
    with connection:
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.fixture(params=["wire", "asgi"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    (tmp_path / "promises.py").write_text(SERVICE)
    output = tmp_path / "output"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SEAWALL_")}
    with output.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "seawall", "run", "promises", "--port", "0"],
            cwd=tmp_path,
            env={**environment, "SEAWALL_SERVER_CARRIER": request.param},
            stdout=stream,
            stderr=subprocess.STDOUT,
            text=True,
        )
    try:
        yield Running(process, output)
    finally:
        process.kill()
        process.wait(PATIENCE)


def test_a_call_is_cancelled_when_the_client_goes_away(server: Running) -> None:
    connection = server.ask("/slow")
    server.wait_for("began")
    connection.close()
    server.wait_for("session saw CancelledError")
    assert "ended" not in server.output.read_text()


def test_an_operation_that_is_to_finish_does_when_the_client_goes_away(server: Running) -> None:
    connection = server.ask("/kept")
    server.wait_for("began")
    connection.close()
    server.wait_for("ended")
    server.wait_for("session closed")


def test_a_deadline_is_answered_with_504_and_resources_see_it(server: Running) -> None:
    got = answer(server.ask("/late"))
    assert got.startswith(b"HTTP/1.1 504 ")
    assert b"urn:problem-type:seawall:deadline-exceeded" in got
    server.wait_for("session saw CancelledError")


def test_running_calls_end_before_the_server_does(server: Running) -> None:
    connection = server.ask("/slow")
    server.wait_for("began")
    server.process.send_signal(signal.SIGTERM)
    assert answer(connection).startswith(b"HTTP/1.1 200 ")
    assert server.process.wait(PATIENCE) == 0
    assert "session closed" in server.output.read_text()


def test_settings_are_read_again_on_sighup(server: Running) -> None:
    folder = server.output.parent
    (folder / "seawall.toml").write_text('[operations.slow]\ntimeout = "50ms"\n')
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("settings reloaded")
    assert answer(server.ask("/slow")).startswith(b"HTTP/1.1 504 ")
    (folder / "seawall.toml").write_text('[operations.slow]\ntimeout = "soon"\n')
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("settings not reloaded")
    assert answer(server.ask("/slow")).startswith(b"HTTP/1.1 504 ")


def run(folder: Path, *words: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SEAWALL_")}
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env={**clean, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


Copied = Callable[[str], Path]


@pytest.fixture
def copied(tmp_path: Path) -> Copied:
    """Copy a folder of examples to where no configuration of this project reaches it."""
    import shutil

    from sync_docs import ROOT

    def copy(name: str) -> Path:
        return Path(shutil.copytree(ROOT / "examples" / "docs" / name, tmp_path / "copy", dirs_exist_ok=True))

    return copy


@pytest.mark.parametrize(
    ("folder", "files"),
    [("tutorial", ["test_shop.py"]), (".", ["test_with_time.py", "test_with_client.py", "test_without_leaks.py"])],
)
def test_the_tests_that_the_documents_show_pass(copied: Copied, folder: str, files: list[str]) -> None:
    done = run(copied(folder), "pytest", "-q", "-p", "no:cacheprovider", *files)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout


def test_commands_end_with_the_status_that_is_documented(copied: Copied) -> None:
    folder = copied(".")
    assert run(folder, "seawall", "routes", "hello").returncode == 0
    assert run(folder, "seawall", "routes", "helo:service").returncode == 2
    assert run(folder, "seawall", "routes", "hello.py").returncode == 2
    broken = run(folder / "impossible", "seawall", "run", "broken:service", "--port", "0")
    assert broken.returncode == 1
    assert "nothing provides 'shelf'" in broken.stderr
    assert "Traceback" not in broken.stderr
    asked = run(folder / "impossible", "seawall", "routes", "broken", environment={"SEAWALL_TRACEBACK": "1"})
    assert "Traceback" in asked.stderr
    document = run(folder, "seawall", "openapi", "documented:service", "-o", "openapi.json")
    assert document.returncode == 0
    assert (folder / "openapi.json").read_text().startswith('{\n  "openapi": "3.1')
