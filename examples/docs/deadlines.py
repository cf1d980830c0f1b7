"""Deadlines, and several things at once under one of them."""

from __future__ import annotations

import asyncio

from msgspec import Struct

from seawall import Call, NotFound, Service, fan_out

service = Service("deadlines", timeout=2)


# region: timeout
@service.get("/slow", timeout="50ms")
async def slow() -> str:
    """Take longer than allowed."""
    await asyncio.sleep(3600)
    return "never"


@service.get("/patient", timeout=None)
async def patient() -> str:
    """Take as long as it takes."""
    return "done"


# endregion


# region: left
@service.get("/left")
async def time_left(call: Call) -> bool:
    """Look how long there is."""
    return call.deadline is not None and call.deadline - service.clock.monotonic() <= 2


# endregion


# region: fan_out
class Dashboard(Struct):
    """Three answers in one."""

    users: int
    orders: int
    products: int


async def count(number: int, seconds: float = 0) -> int:
    """Stand for a question to another service."""
    await asyncio.sleep(seconds)
    return number


async def missing() -> int:
    """Stand for a service that has no answer."""
    raise NotFound("There are no products.")


@service.get("/dashboard", timeout=1)
async def dashboard() -> Dashboard:
    """Ask three services at once."""
    return await fan_out(Dashboard, users=count(3), orders=count(14), products=count(15))


@service.get("/broken", timeout=1)
async def broken() -> Dashboard:
    """Cancel the others when one fails."""
    return await fan_out(Dashboard, users=count(3, 3600), orders=count(14), products=missing())


@service.get("/late", timeout="50ms")
async def late() -> Dashboard:
    """Let the deadline reach all of them."""
    return await fan_out(Dashboard, users=count(3, 3600), orders=count(14, 3600), products=count(15))


# endregion
