"""Scenario 15 in small: rolling restarts under an open-loop load on kept connections lose no request.

The test holds the listening socket, as systemd or a parent process would; every new process takes it over, and the old
one is told to end. The clients are as far away as in reality: between the moment at which one decides to use a
connection and that at which its request arrives lie some milliseconds, in which the server must not close it. With the
protection off, it does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.process import Served

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
FULL = os.environ.get("SEAWALL_TEST_FULL") == "1"
"""Whether it runs in the size of the scenario, which takes minutes."""
RATE = 500 if FULL else 200
"""Requests a second, whatever becomes of them."""
AWAY = 0.01
"""Seconds a request is on its way."""
CONNECTIONS = 8
REQUEST = b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"


@dataclass
class Load:
    """Clients that send at a fixed rate on connections they keep, and count what became of it."""

    address: tuple[str, int]
    idle: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=deque)
    answered: int = 0
    failures: list[str] = field(default_factory=list)
    opened: int = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Send until *stop*."""
        loop = asyncio.get_running_loop()
        began, sent = loop.time(), 0
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                sent += 1
                group.create_task(self.request())
                await asyncio.sleep(max(0.0, began + sent / RATE - loop.time()))
        while self.idle:
            self.idle.popleft()[1].close()
        await asyncio.sleep(0.05)  # the loop lets go of what was closed

    async def request(self) -> None:
        """Send one request on a kept connection, the one that has rested longest, or on a new one."""
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(10):
                reader, writer = await self.connection()
                await asyncio.sleep(AWAY)
                writer.write(REQUEST)
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
            if not head.startswith(b"http/1.1 200"):
                self.failures.append(repr(head))
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            self.failures.append(f"{type(error).__name__}: {error}")
            if writer is not None:
                writer.close()
            return
        self.answered += 1
        if b"connection: close" in head or len(self.idle) >= CONNECTIONS:
            writer.close()
        else:
            self.idle.append((reader, writer))

    async def connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return a connection that, as far as the client knows, is open."""
        while self.idle:
            reader, writer = self.idle.popleft()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        self.opened += 1
        return await asyncio.open_connection(*self.address)


async def roll(times: int, module: str, **settings: str) -> tuple[Load, list[int]]:
    """Restart the service *times* under load; return what the clients saw and the exit statuses."""
    variables = {f"SEAWALL_{name.upper()}": value for name, value in settings.items()}
    statuses: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listening, contextlib.ExitStack() as stack:

        async def start() -> Served:
            each = Served("lifecycle_app:service", HERE, fds=[listening.fileno()], module=module, **variables)
            stack.callback(each.close)
            await asyncio.to_thread(each.until, "listening on")
            return each

        current = await start()
        load, stop = Load(listening.getsockname()), asyncio.Event()
        running = asyncio.create_task(load.run(stop))
        for _ in range(times):
            following = await start()
            current.tell()
            statuses.append(await asyncio.to_thread(current.ended))
            current = following
        stop.set()
        await running
        statuses.append(await asyncio.to_thread(current.end))
    return load, statuses


@pytest.mark.parametrize("carrier", ["wire", "asgi", "granian"])
async def test_no_request_is_lost_in_rolling_restarts(carrier):
    how = {"server_server": "granian"} if carrier == "granian" else {"server_carrier": carrier}
    times = 50 if FULL else 5 if carrier == "granian" else 10
    load, statuses = await roll(times, "seawall", **how)
    assert load.failures == []
    assert statuses == [0] * (times + 1)
    assert load.answered > times * RATE / 4
    assert load.opened >= times, "the clients have moved on each time"


@pytest.mark.parametrize("server", ["uvicorn", "granian"])
async def test_without_the_protection_requests_are_lost(server):
    load, _ = await roll(4, "unprotected", server_drain_grace="0", server_server=server)
    assert load.failures != []
    assert load.answered > 0
