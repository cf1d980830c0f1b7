"""A service that misbehaves where it is asked to, to be looked into."""

from __future__ import annotations

import asyncio
import time

from seawall import Service

service = Service("profiled")
lock = asyncio.Lock()
kept: list[bytearray] = []


def spin(seconds: float) -> int:
    end, turns = time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        turns += 1
    return turns


@service.get("/burn")
async def burn(seconds: float, pieces: int = 1) -> str:
    for _ in range(pieces):
        spin(seconds / pieces)
        await asyncio.sleep(0)
    return "burnt"


@service.get("/block")
async def block(seconds: float) -> str:
    time.sleep(seconds)  # noqa: ASYNC251 - blocks here
    return "blocked"


@service.get("/sleep")
async def sleep(seconds: float) -> str:
    async with lock:
        await asyncio.gather(part(seconds), part(seconds))
    return "slept"


async def part(seconds: float) -> None:
    await asyncio.sleep(seconds)


@service.get("/leak")
async def leak(size: int) -> int:
    kept.append(bytearray(size))
    return len(kept)
