"""One of three services in a row, A, B and C. It tells a ledger outside what it begins, and how much it holds.

What is protected is there as it is meant to be (``on``) and with the protection off (``off``).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

from msgspec import Struct
from starlette.responses import StreamingResponse

from seawall import Problem, Service, Unavailable
from seawall.client import Client
from seawall.resilience import (
    Backoff,
    Bulkhead,
    BulkheadEngine,
    Hedge,
    HedgeEngine,
    Resilience,
    Retry,
    RetryEngine,
    Timeout,
)
from seawall.settings import ClientSettings

NAME, NEXT = os.environ["HOP_NAME"], os.environ.get("HOP_NEXT", "")
LEDGER = ("127.0.0.1", int(os.environ["HOP_LEDGER"]))
STEP, STEPS, LONG = 0.02, 3, 100
AGAIN = Backoff(first="5ms", longest="10ms")
Mode = Literal["on", "off", "told"]

service = Service("hop", timeout=None)
outside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def note(what: str) -> None:
    """Tell the ledger."""
    outside.sendto(f"{NAME} {what}".encode(), LEDGER)


class Following:
    """The next service, and the ways to it."""

    def __init__(self) -> None:
        self.resilience = Resilience(service.clock, service.random)
        self.plain: dict[str, Client] = {}
        self.retried: dict[str, Client] = {}
        # told: the layers tell each other of their attempts, and nothing else keeps those from multiplying.
        for mode in ("on", "off", "told") if NEXT else ():
            retry = Retry(attempts=3, backoff=AGAIN) if mode == "on" else Retry(attempts=3, backoff=AGAIN, budget=None)
            propagate = () if mode == "off" else None
            self.plain[mode] = service.client(f"plain {mode}", NEXT, propagate=propagate)
            pipeline = self.resilience.pipeline(mode, retry)
            self.retried[mode] = service.client(f"retried {mode}", NEXT, pipeline, propagate=propagate)
        held = self.resilience.pipeline(
            "held",
            Timeout("2m"),
            Retry(backoff=AGAIN),
            Hedge(after="30ms"),
            Bulkhead(limit=8, queue=500, patience="1m"),
        )
        # Connections that nobody uses do not stay, so that those that are held can be counted.
        self.held = service.client(
            "held", NEXT or "http://nowhere.invalid", held, settings=ClientSettings(keep_alive=0.2)
        )

    async def close(self) -> None:
        for client in (*self.plain.values(), *self.retried.values(), self.held):
            await client.close()


@service.resource
async def following() -> AsyncIterator[Following]:
    made = Following()
    try:
        yield made
    finally:
        await made.close()


# Scenario 23. To its end whatever its caller does: here the deadline alone must stop it.
@service.get("/work/{mode}/{run}", on_disconnect="finish")
async def work(mode: Mode, run: int, following: Following) -> int:
    """Work a little, then let the next one do the rest; the last one works on and on."""
    for _ in range(STEPS if NEXT else LONG):
        note(f"step {run}")
        await asyncio.sleep(STEP)
    return (await following.plain[mode].request("GET", f"/work/{mode}/{run}")).status if NEXT else 200


# Scenario 3.
@service.get("/chain/{mode}")
async def chain(mode: Mode, following: Following) -> int:
    """Ask the next one, again if need be; the last one is down."""
    if not NEXT:
        note("asked")
        raise Unavailable
    try:
        return (await following.retried[mode].request("GET", f"/chain/{mode}")).status
    except Problem:
        if mode != "off":
            raise
        raise Unavailable from None  # which does not say that it has been retried


# Scenario 22.
@service.get("/ask/{milliseconds}")
async def ask(milliseconds: int, following: Following) -> bytes:
    """Ask the next one for something that takes a while."""
    return (await following.held.request("GET", f"/wait/{milliseconds}")).body


@service.get("/ask-on/{milliseconds}", on_disconnect="finish")
async def ask_on(milliseconds: int, following: Following) -> bytes:
    """Ask, whoever is still there."""
    return (await following.held.request("GET", f"/wait/{milliseconds}")).body


@service.get("/pieces/{milliseconds}")
async def pieces(milliseconds: int, following: Following) -> int:
    """Take what comes piece by piece."""
    size = 0
    async with following.held.stream("GET", f"/pieces-of/{milliseconds}") as stream:
        async for piece in stream:
            size += len(piece)
    return size


@service.get("/wait/{milliseconds}")
async def wait(milliseconds: int) -> None:
    """Take a while."""
    await asyncio.sleep(milliseconds / 1000)


@service.get("/pieces-of/{milliseconds}")
async def pieces_of(milliseconds: int) -> StreamingResponse:
    """Answer piece by piece."""

    async def made() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b"x" * 10_000
            await asyncio.sleep(milliseconds / 10_000)

    return StreamingResponse(made())


class Held(Struct):
    """What is held at the moment."""

    tasks: int
    sockets: int
    permits: int = 0
    waiting: int = 0
    under_way: int = 0
    extra: int = 0
    connections: int = 0


@service.get("/held")
async def show(following: Following) -> Held:
    """Tell what is held."""
    sockets = 0
    for each in Path("/proc/self/fd").iterdir():  # noqa: ASYNC240 - no disk is behind it
        with contextlib.suppress(OSError):
            sockets += str(each.readlink()).startswith("socket:")
    held = Held(len(asyncio.all_tasks()), sockets)
    for engine in following.resilience.engines:
        if isinstance(engine, BulkheadEngine):
            held.permits, held.waiting = engine.running, engine.waiting
        if isinstance(engine, RetryEngine | HedgeEngine) and engine.name == "held":
            held.under_way += engine.budget.active
            held.extra += engine.budget.extra
    session = following.held._made._session if following.held._made is not None else None
    held.connections = len(session.connector._acquired) if session is not None else 0
    return held
