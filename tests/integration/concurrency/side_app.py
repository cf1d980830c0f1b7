"""A service that computes in processes, calls others, and can be made to wait for itself."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

from seawall import Service
from seawall.concurrency import KeyedLocks, Processes
from seawall.problems import Unavailable
from seawall.resilience import Backoff, Breaker, Bulkhead, Resilience, Retry
from support import computing

service = Service("side", timeout="20s")
locks: KeyedLocks[str] = KeyedLocks()
other = Resilience()
payments = service.resilience.pipeline(
    "payments", Retry(idempotent=True, attempts=2, backoff=Backoff(first="1ms"), budget=None), Breaker(minimum_calls=4)
)
shipping = other.pipeline("shipping", Breaker(), Bulkhead(limit=1))


@service.resource
async def processes() -> AsyncIterator[Processes]:
    async with Processes(int(os.environ.get("PROCESSES", "1"))) as made:
        yield made


@service.resource
def registry() -> Resilience:
    return other


@service.get("/compute")
async def compute(folder: str, seconds: float, processes: Processes) -> int:
    return await processes.run(computing.sleep, folder, seconds)


@service.get("/short", timeout="500ms")
async def short(folder: str, seconds: float, processes: Processes) -> int:
    return await processes.run(computing.sleep, folder, seconds)


@service.get("/both")
async def both(first: str, second: str) -> str:
    async with locks.hold(first):
        await asyncio.sleep(0.2)
        async with locks.hold(second):
            return "both"


@service.get("/pay")
@payments
async def pay() -> str:
    raise Unavailable(f"down, says {os.getpid()}")


@service.get("/ship")
@shipping
async def ship() -> str:
    return "shipped"
