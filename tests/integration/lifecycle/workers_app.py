"""A service served by several workers; a file says how the next one that starts behaves."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

from seawall import Service

if os.environ.get("APP_DRAIN") == "off":
    import unprotected  # noqa: F401 - takes the drain out

BEHAVIOUR = Path(os.environ["APP_BEHAVIOUR"]).read_text()
if "exits at import" in BEHAVIOUR:
    os._exit(3)
if "fails at import" in BEHAVIOUR:
    raise RuntimeError("this code is broken")

service = Service("workers")


class Store:
    """A resource."""


@service.resource(start_timeout=0.5 if "never starts" in BEHAVIOUR else 30)
async def store() -> AsyncIterator[Store]:
    if "never starts" in BEHAVIOUR:
        await asyncio.Event().wait()
    yield Store()


@service.get("/who")
async def who(store: Store) -> int:
    return os.getpid()


@service.get("/code")
async def code() -> str:
    return BEHAVIOUR


@service.get("/place")
async def place() -> list[int]:
    return [service.host.slot, service.host.slots]


@service.get("/shared")
async def shared(add: int = 0) -> int:
    memory = service.host.arena.region("test", 8).memory
    memory[:8] = (int.from_bytes(memory[:8], "little") + add).to_bytes(8, "little")
    return int.from_bytes(memory[:8], "little")


@service.get("/slow", timeout=None)
async def slow(seconds: float) -> int:
    print("in the call", flush=True)
    await asyncio.sleep(seconds)
    return os.getpid()


@service.get("/block", timeout=None)
async def block(seconds: float) -> str:
    print("in the call", flush=True)
    time.sleep(seconds)  # noqa: ASYNC251 - it shall block
    return "blocked"
