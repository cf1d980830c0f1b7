"""Scenario 15 in small: rolling restarts under an open-loop load on kept connections lose no request.

The test holds the listening socket, as systemd or a parent process would; every new process takes it over, and the old
one is told to end. With the protection off, connections are closed while a request is on its way.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path

import pytest

from support.load import Load
from support.process import Served

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent


async def roll(times: int, module: str, rate: int = 200, **settings: str) -> tuple[Load, list[int]]:
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
        load, stop = Load(listening.getsockname(), rate), asyncio.Event()
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


@pytest.mark.parametrize("carrier", ["wire", "asgi"])
async def test_no_request_is_lost_in_ten_rolling_restarts(carrier):
    load, statuses = await roll(10, "seawall", server_carrier=carrier)
    assert load.failures == []
    assert statuses == [0] * 11
    assert load.answered > 500
    assert load.opened >= 10, "the clients have moved on each time"


async def test_without_the_protection_requests_are_lost():
    load, _ = await roll(4, "unprotected", server_drain_grace="0")
    assert load.failures != []
    assert load.answered > 0
