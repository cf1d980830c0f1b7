"""A service that computes, and does nothing else: calls wait for the event loop, and few run at once."""

import asyncio
import time

from seawall import Service

service = Service("computing")
SECONDS = 0.01


@service.get("/work", timeout=10)
async def work() -> str:
    """Compute for a while."""
    end = time.process_time() + SECONDS
    while time.process_time() < end:
        pass
    return "done"


@service.get("/vital", timeout=10, priority="critical")
async def vital() -> str:
    """Do the same, and be important."""
    return await work()


@service.get("/slots", timeout=10, concurrency=5)
async def slots() -> str:
    """Wait for something that serves five at a time."""
    await asyncio.sleep(0.05)
    return "done"
