"""Scenario 16: clients that send their heads or bodies, or read their answers, as slowly as they can.

They are closed by their timeout, come back at once, and in the meantime everybody else is served as before. In the
suite it runs small and short; ``make faults`` runs it as it stands there: 2,000 of them, for 60 s, with the default
limits. With the protection off they stay for as long as they like.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.process import Served, Wire, served

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
FULL = os.environ.get("SEAWALL_FAULTS") == "full"
EACH = 2000 // 3 if FULL else 40
SECONDS = 60.0 if FULL else 5.0
LARGE = 2_000_000
"""Bytes of an answer: more than the system holds for a connection."""
RATE = 200 if FULL else 50
"""Requests a second of everybody else."""
LIMITS = {} if FULL else {"head_timeout": "1s", "body_timeout": "1s", "write_timeout": "1s"}
NONE = {"head_timeout": "1d", "body_timeout": "1d", "write_timeout": "1d"}

HEAD = b"GET /quick HTTP/1.1\r\nHost: localhost\r\nX-A: "
BODY = b"POST /orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n"
STREAM = b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n"
KINDS = {"heads": HEAD, "bodies": BODY, "readers": STREAM}


@dataclass
class Crowd:
    """Slow clients, each of which comes back when it is closed."""

    address: tuple[str, int]
    closed: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    open: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    chance: random.Random = field(default_factory=lambda: random.Random(20261125))

    async def client(self, kind: str, until: float) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self.chance.uniform(0, SECONDS / 6))
        while loop.time() < until:
            with socket.socket() as own:
                own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                own.setblocking(False)
                try:
                    await loop.sock_connect(own, self.address)
                    await loop.sock_sendall(own, KINDS[kind])
                    self.open[kind] += 1
                except OSError:
                    continue
                await self.drip(kind, own, until)
                self.open[kind] -= 1

    async def drip(self, kind: str, own: socket.socket, until: float) -> None:
        """Send, or read, one byte a second until it is closed."""
        loop = asyncio.get_running_loop()
        while loop.time() < until:
            await asyncio.sleep(1.0 if FULL else 0.2)
            try:
                if own.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    break
                if kind == "readers":
                    if not own.recv(1):
                        break
                else:
                    own.send(b" ")
                    try:
                        if not own.recv(4096):
                            break
                    except BlockingIOError:
                        pass
            except BlockingIOError:
                continue
            except OSError:
                break
        else:
            return
        self.closed[kind] += 1


async def others(address: tuple[str, int], seconds: float) -> list[float]:
    """Let everybody else send for that long; return how long each request took, in seconds."""
    arguments = [str(argument) for argument in (*address, seconds, RATE)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(HERE / "everybody_else.py"), *arguments, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(output)


def memory(process: Served) -> float:
    """Return the MiB of memory the process has resident."""
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def percentile(took: list[float], share: float) -> float:
    return sorted(took)[min(len(took) - 1, int(len(took) * share))]


@contextlib.contextmanager
def app(carrier: str, limits: dict[str, str]) -> Iterator[Served]:
    """Serve with *limits*; the system holds little for a connection, as it does for clients that are far away."""
    variables = {f"SEAWALL_HTTP_{name.upper()}": value for name, value in limits.items()}
    variables |= {"SEAWALL_SERVER_CARRIER": carrier, "SEAWALL_SERVER_KEEP_ALIVE": "2m"}  # everybody else stays
    variables |= {"SEAWALL_ADMISSION_ENABLED": "no"}  # what a loaded machine does to it is not what is asked here
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)  # connections inherit it
        fds = [listening.fileno()]
        with served("slow_app:service", HERE, fds=fds, **variables) as each:
            yield each


async def besiege(address: tuple[str, int], process: Served) -> tuple[Crowd, list[float], float]:
    """Let the crowd come for its time; return it, how long everybody else waited, and the most memory."""
    loop = asyncio.get_running_loop()
    crowd, until, most = Crowd(address), loop.time() + SECONDS, 0.0
    async with asyncio.TaskGroup() as group:
        for kind in KINDS:
            for _ in range(EACH):
                group.create_task(crowd.client(kind, until))
        served_others = group.create_task(others(address, SECONDS))
        while loop.time() < until:
            await asyncio.sleep(0.25)
            most = max(most, memory(process))
    return crowd, served_others.result(), most


@pytest.mark.parametrize("carrier", ["wire", "asgi"])
async def test_slow_clients_are_closed_and_everybody_else_is_served(carrier):
    with app(carrier, LIMITS) as each:
        address = each.address()
        baseline = await others(address, SECONDS / 4)
        before = memory(each)
        crowd, during, most = await besiege(address, each)
        p99 = percentile(baseline, 0.99), percentile(during, 0.99)
        print(
            f"{carrier}: {EACH} of each kind for {SECONDS:g} s; closed {crowd.closed}; everybody else's p99 "
            f"{p99[0] * 1000:.1f} ms before, {p99[1] * 1000:.1f} ms during; memory {before:.0f} MiB before, "
            f"{most:.0f} MiB at most"
        )
        assert all(closed >= EACH for closed in crowd.closed.values()), crowd.closed
        assert len(during) > RATE * SECONDS * 0.5
        assert most - before < 100
        assert each.end() == 0


async def test_without_the_protection_they_stay():
    with app("wire", NONE) as each:
        crowd, _, _ = await besiege(each.address(), each)
        assert crowd.closed == dict.fromkeys(KINDS, 0)


@pytest.mark.parametrize("carrier", ["wire", "asgi"])
def test_answers_nobody_reads_end(carrier):
    with app(carrier, {"write_timeout": "1s"}) as each:
        address = each.address()
        with Wire(address) as whole, Wire(address) as stream, Wire(address) as other:
            whole.send("/large")
            stream.send("/stream")
            time.sleep(3)
            assert received(whole) < LARGE
            received(stream)  # without an end of the connection it would have none
            assert other.get("/quick")[0] == 200
        assert each.end() == 0


def test_without_the_timeout_an_answer_nobody_reads_is_kept():
    with app("wire", NONE) as each, Wire(each.address()) as client:
        client.send("/large", "Connection: close")
        time.sleep(3)
        assert received(client) > LARGE


def received(client: Wire) -> int:
    """Read until the end; return how many bytes came."""
    total = 0
    with contextlib.suppress(ConnectionResetError):
        while chunk := client.socket.recv(1 << 20):
            total += len(chunk)
    return total
