"""Deadlines, and several things at once under one of them."""

from __future__ import annotations

import asyncio

from msgspec import Struct

from seawall import Call, NotFound, Service, fan_out
from seawall.clock import Clock

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


# region: brought
@service.get("/report", timeout=10)
async def report(call: Call, clock: Clock) -> str:
    """Do as much as there is time for."""
    left = call.remaining(clock)
    return "short" if left is not None and left < 2 else "long"


# endregion


# region: pass_on
@service.get("/stock/{sku}")
async def stock(sku: str) -> dict[str, str]:
    """Ask another service, which is told how long there is."""
    return await ask_warehouse(sku, headers=service.deadline_headers())


async def ask_warehouse(sku: str, headers: dict[str, str]) -> dict[str, str]:
    """Stand for a request to another service."""
    return {"sku": sku, "asked with": ", ".join(headers)}


# endregion


# region: finish
@service.post("/payments", on_disconnect="finish")
async def pay() -> str:
    """Go on when the client goes away: a payment that has begun is better ended than begun anew."""
    return "paid"


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
