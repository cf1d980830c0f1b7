"""The service the tests of this folder run."""

from __future__ import annotations

import asyncio
import logging

import prometheus_client
from starlette.responses import StreamingResponse

from seawall import Call, Guard, Place, Service, TooManyRequests

sold = prometheus_client.Counter("shop_sold", "Things sold.")
logger = logging.getLogger("shop")


class Turnstile(Guard):
    """Refuses who says it is too many."""

    name = "turnstile"
    place = Place.ADMISSION

    async def check(self, call: Call) -> None:
        if call.header("x-busy"):
            raise TooManyRequests("Busy.")


service = Service("shop")
orders = service.metrics.counter("shop_orders", "Orders placed.", labels=("kind",))


@service.get("/orders/{order_id}", guards=[Turnstile()])
async def read_order(order_id: int) -> int:
    """Return the number."""
    if order_id == 13:
        raise RuntimeError("unlucky")
    return order_id


@service.post("/orders", status=201)
async def place_order(order: dict[str, int]) -> int:
    """Place one, and tidy up behind it."""
    sold.inc()
    orders.add(kind="plain")
    logger.info("placed", extra={"password": "hunter2", "order": order})

    async def tidy() -> None:
        logger.info("tidied")

    service.tasks.start(tidy, name="tidy")
    return 1


@service.get("/stream")
async def stream() -> StreamingResponse:
    """Answer piece by piece."""

    async def pieces():
        for _ in range(3):
            yield b"piece "
            await asyncio.sleep(0.01)

    return StreamingResponse(pieces())


@service.get("/alive")
async def alive() -> str:
    """Say yes."""
    return "yes"
