"""A service of which there can be asked too much: it computes, or waits for what serves few at a time."""

import asyncio
import random
import time

from seawall import Service

service = Service("overloaded")
SECONDS = 0.01
LIGHT = 0.0003
SLOTS = 20
BACKEND_SECONDS = (0.1, 0.3)
backend = asyncio.Semaphore(SLOTS)
chance = random.Random(7)


def compute(seconds: float) -> None:
    """Use a processor for *seconds*."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


@service.get("/work", timeout=10)
async def work() -> str:
    """Compute for a while."""
    compute(SECONDS)
    return "done"


@service.get("/vital", timeout=10, priority="critical")
async def vital() -> str:
    """Do the same, and be important."""
    compute(SECONDS)
    return "done"


@service.get("/light", timeout=10)
async def light() -> str:
    """Compute a little, twice, as what asks a database does."""
    compute(LIGHT / 2)
    await asyncio.sleep(0)
    compute(LIGHT / 2)
    return "done"


async def ask() -> str:
    """Wait for a place in the backend, and for its answer."""
    async with backend:
        await asyncio.sleep(chance.uniform(*BACKEND_SECONDS))
    return "done"


@service.get("/ask", timeout=5)
async def normal() -> str:
    """Ask the backend."""
    return await ask()


@service.get("/ask/vital", timeout=5, priority="critical")
async def critical() -> str:
    """Ask the backend something important."""
    return await ask()


@service.get("/ask/later", timeout=5, priority="sheddable")
async def sheddable() -> str:
    """Ask the backend something that can wait."""
    return await ask()


@service.get("/slots", timeout=10, concurrency=5)
async def slots() -> str:
    """Wait for something that serves five at a time."""
    await asyncio.sleep(0.05)
    return "done"
