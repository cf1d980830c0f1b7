"""The server of the demonstration: a process of its own, started, waited for, and ended."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from seawall.auth import new_secret
from seawall.clock import Clock

__all__ = ["Server", "ServerFailed", "environment", "serving"]

_LISTENING = re.compile(r"listening on (http://[0-9A-Za-z.:\[\]]+)")
_USUAL_PORT = 8000
_POLL = 0.05


class ServerFailed(Exception):
    """The server did not start, or did not end as it should; the message has the end of its log."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    address: str
    process: asyncio.subprocess.Process
    log: Path

    def tail(self, lines: int = 20) -> str:
        """Return the end of its log."""
        return _tail(self.log, lines)


@asynccontextmanager
async def serving(
    target: str,
    log: Path,
    environ: Mapping[str, str],
    clock: Clock,
    *,
    start: float = 30.0,
    stop: float = 20.0,
    port: int | None = None,
) -> AsyncIterator[Server]:
    """Serve *target* while the block runs.

    Args:
        target: The service, as ``module:attribute``.
        log: The file its log goes to.
        environ: Its environment.
        clock: Measures the waiting.
        start: Seconds it may take to start.
        stop: Seconds it may take to end once it was asked to.
        port: Where it listens, 0 for any that is free; 8000 by default, if it is free.

    Raises:
        ServerFailed: It did not start, or did not end with 0, in time.
    """
    if port is None:
        port = _USUAL_PORT if _is_free(_USUAL_PORT) else 0
    command = [sys.executable, "-m", "seawall", "run", target, "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        # A session of its own: Ctrl-C in the terminal is for the demonstration, which then ends the server.
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environ,
            start_new_session=True,
        )
    try:
        yield Server(await _address(process, log, clock, start), process, log)
    finally:
        status = await _end(process, stop)
    if status != 0:
        raise ServerFailed(f"The server ended with {status}. Its log ends:\n{_tail(log)}")


async def _address(process: asyncio.subprocess.Process, log: Path, clock: Clock, patience: float) -> str:
    until = clock.monotonic() + patience
    while clock.monotonic() < until:
        if process.returncode is not None:
            raise ServerFailed(f"The server ended with {process.returncode} at once. Its log ends:\n{_tail(log)}")
        if found := _LISTENING.search(_tail(log)):
            return found[1]
        await clock.sleep(_POLL)
    raise ServerFailed(f"The server did not start within {patience:g} seconds. Its log ends:\n{_tail(log)}")


async def _end(process: asyncio.subprocess.Process, patience: float) -> int:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(patience):
            return await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        return await process.wait()


def _is_free(port: int) -> bool:
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _tail(log: Path, lines: int = 20) -> str:
    return "\n".join(log.read_text("utf-8", "replace").splitlines()[-lines:]) or "(nothing)"


def environment(url: str) -> dict[str, str]:
    """Return this process's environment, with what the server needs to find the shop and its database at *url*."""
    examples = str(Path(__file__).parents[1])
    paths = [examples, *filter(None, [os.environ.get("PYTHONPATH")])]
    made = {name: os.environ.get(name) or new_secret() for name in ("STOREFRONT_SECRET", "STOREFRONT_STAFF_PASSWORD")}
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "STOREFRONT_DATABASE_URL": url, **made}
