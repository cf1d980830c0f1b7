"""A service that holds everything a call can hold, and tells how much of it is held."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal, cast

from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import QueuePool
from starlette.responses import StreamingResponse

from seawall import Service, fan_out

POLICY = cast('Literal["cancel", "finish"]', os.environ.get("FAULTS_ON_DISCONNECT", "cancel"))
SECONDS = float(os.environ.get("FAULTS_SECONDS", "0.05"))
"""How long everything takes."""
POOL = 5

service = Service("abandoned", on_disconnect=POLICY)
lock, permits = asyncio.Lock(), asyncio.Semaphore(3)
held = {"permits": 0}


@service.resource
async def engine() -> AsyncIterator[AsyncEngine]:
    made = create_async_engine(
        os.environ["FAULTS_DATABASE"],
        pool_size=POOL,
        max_overflow=0,
        connect_args={"server_settings": {"application_name": os.environ["FAULTS_NAME"]}},
    )
    async with made.begin() as connection:
        await connection.execute(text("CREATE TABLE IF NOT EXISTS halves (id serial, pair int)"))
    try:
        async with contextlib.AsyncExitStack() as all_of_them:  # the pool is full from the start: a steady baseline
            for _ in range(POOL):
                await all_of_them.enter_async_context(made.connect())
        yield made
    finally:
        await made.dispose()


@service.resource(scope="call")
async def session(engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
    """Give a transaction: committed after a success, rolled back after anything else."""
    async with AsyncSession(engine) as made, made.begin():
        yield made


@service.get("/query")
async def query(session: AsyncSession) -> None:
    """Be in the middle of a statement."""
    await session.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": SECONDS})


class Pair(Struct):
    """What is written in two halves."""

    number: int
    note: str = ""


@service.post("/pair")
async def pair(body: Pair, session: AsyncSession) -> None:
    """Be in the middle of a transaction."""
    for _ in range(2):
        await session.execute(text("INSERT INTO halves (pair) VALUES (:pair)"), {"pair": body.number})
        await asyncio.sleep(SECONDS / 2)


@service.get("/locks")
async def locks(session: AsyncSession) -> None:
    """Hold a lock here and one in the database."""
    async with lock:
        await session.execute(text("SELECT pg_advisory_xact_lock(22)"))
        await asyncio.sleep(SECONDS / 10)


@service.get("/permit")
async def permit() -> None:
    """Hold one of three permits."""
    async with permits:
        held["permits"] += 1
        try:
            await asyncio.sleep(SECONDS)
        finally:
            try:  # giving back takes a moment too, and the client may go away in it
                await asyncio.sleep(0.001)
            finally:
                held["permits"] -= 1


@service.get("/parts")
async def parts() -> dict[str, None]:
    """Have tasks of its own."""
    return await fan_out(dict, a=asyncio.sleep(SECONDS), b=asyncio.sleep(SECONDS), c=asyncio.sleep(SECONDS / 2))


@service.get("/within", timeout=30)
async def within() -> None:
    """Call another operation."""
    await service.call("query")


@service.get("/stream")
async def stream() -> StreamingResponse:
    """Answer piece by piece."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b"x" * 10_000
            await asyncio.sleep(SECONDS / 10)

    return StreamingResponse(pieces())


@service.get("/tasks")
async def tasks() -> list[str]:
    """Tell what is running, for whoever wonders why something is held."""
    return [chain(task) for task in asyncio.all_tasks()]


def chain(task: asyncio.Task[object]) -> str:
    """Return where *task* waits, from the outside in."""
    found, awaited = [f"{task.get_name()} cancelling={task.cancelling()}"], cast("Any", task.get_coro())
    while (frame := getattr(awaited, "cr_frame", None) or getattr(awaited, "ag_frame", None)) is not None:
        found.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} {frame.f_code.co_name}")
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "ag_await", None)
    return " > ".join([*found, str(awaited)[:80]])


class Held(Struct):
    """What is held at the moment."""

    tasks: int
    sockets: int
    connections: int
    permits: int
    locked: bool


@service.get("/held")
async def show(engine: AsyncEngine) -> Held:
    """Tell what is held."""
    sockets = 0
    for each in Path("/proc/self/fd").iterdir():  # noqa: ASYNC240 - no disk is behind it
        with contextlib.suppress(OSError):
            sockets += str(each.readlink()).startswith("socket:")
    return Held(
        len(asyncio.all_tasks()),
        sockets,
        cast("QueuePool", engine.pool).checkedout(),
        held["permits"] + 3 - permits._value,
        lock.locked(),
    )
