"""Processes that are replaced while clients send: by their parent, by their supervisor, by death."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import time
from pathlib import Path

from support.load import Load
from support.process import Served

__all__ = ["APPS", "Group", "kill_under_load", "roll", "roll_under_load"]

APPS = Path(__file__).parents[1] / "integration" / "lifecycle"


class Group(Served):
    """A supervisor and its workers."""

    def __init__(self, folder: Path, behaviour="", workers=2, *, module="seawall", drain="on", fds=(), **settings):
        self.behaviour = folder / "behaviour"
        self.behaviour.write_text(behaviour)
        variables = {f"SEAWALL_{name.upper()}": str(value) for name, value in settings.items()}
        variables |= {"APP_BEHAVIOUR": str(self.behaviour), "APP_DRAIN": drain, "SEAWALL_LOG_FORMAT": "json"}
        super().__init__(
            "workers_app:service", APPS, fds=fds, module=module, SEAWALL_SERVER_WORKERS=str(workers), **variables
        )

    def status(self):
        """Ask the supervisor how the workers are."""
        self.tell(signal.SIGUSR1)
        return json.loads(self.until(r'\{[^\n]*"message":"status: [^\n]*\}')[0])["workers"]

    def pids(self):
        return [each["pid"] for each in self.status()]

    def last(self):
        return json.loads(self.output.splitlines()[-1])


async def roll(times: int, module: str, rate: int = 200, **settings: str) -> tuple[Load, list[int]]:
    """Restart the service *times* under load; return what the clients saw and the exit statuses."""
    variables = {f"SEAWALL_{name.upper()}": value for name, value in settings.items()}
    statuses: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listening, contextlib.ExitStack() as stack:

        async def start() -> Served:
            each = Served("lifecycle_app:service", APPS, fds=[listening.fileno()], module=module, **variables)
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


async def kill_under_load(each, rate=200):
    """Kill one of two workers under load; return what the clients saw, its pid, and the seconds until both serve."""
    address = await asyncio.to_thread(each.address)
    load, stop = Load(address, rate, path="/who"), asyncio.Event()
    running = asyncio.create_task(load.run(stop))
    await asyncio.sleep(0.5)
    victim = (await asyncio.to_thread(each.pids))[0]
    began = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    await asyncio.to_thread(each.until, r"worker 0 is ready")
    seconds = time.monotonic() - began
    await asyncio.sleep(0.3)
    stop.set()
    await running
    return load, victim, seconds


async def roll_under_load(each, address, times, rate=200):
    """Send SIGHUP *times*, one when the roll before is over; return what the clients saw."""
    load, stop = Load(address, rate, path="/who"), asyncio.Event()
    running = asyncio.create_task(load.run(stop))
    await asyncio.sleep(0.3)
    for _ in range(times):
        each.tell(signal.SIGHUP)
        await asyncio.to_thread(each.until, "replaced 2 workers")
    stop.set()
    await running
    return load
