"""How much at once: priorities, bulkheads, and what is going on."""

from __future__ import annotations

import asyncio

from seawall import Service

service = Service("admitting")


# region: priority
@service.post("/payments", status=201, priority="critical")
async def pay() -> None:
    """Take a payment: refused last."""


@service.get("/suggestions", priority="sheddable")
async def suggest() -> list[str]:
    """Suggest something: refused first."""
    return []


# endregion


# region: bulkhead
@service.get("/thumbnails/{name}", concurrency=1)
async def thumbnail(name: str) -> str:
    """Use a tool of which one can run at a time."""
    await asyncio.sleep(0.3)
    return name


@service.get("/stock", concurrency="adaptive")
async def stock() -> int:
    """Ask a system that takes nobody knows how many calls at once."""
    return 7


# endregion


# region: state
@service.get("/internal/load", priority="health")
async def load() -> dict[str, int]:
    """Say how much is going on; never refused."""
    state = service.admission.state()
    gate = state.operations["thumbnail"]
    return {"limit": gate.limit, "running": gate.in_flight, "waiting": gate.waiting}


# endregion
