"""What the pages on logs, metrics and traces show."""

from __future__ import annotations

import logging

import structlog

from seawall import Service
from seawall.telemetry import Secret, baggage, inject, span

service = Service("telemetry")

# region: logs
logger = logging.getLogger("shop")
events = structlog.get_logger("shop")


@service.post("/orders/{order_id}/payment", status=204)
async def pay(order_id: int) -> None:
    """Log in either way: both lines say which call they belong to."""
    logger.info("paying order %d", order_id)
    events.info("paid", order_id=order_id, card={"holder": "Ann", "token": "4711"}, pin=Secret("1234"))


# endregion

# region: counter
orders_placed = service.metrics.counter("shop_orders_placed", "Orders placed.", labels=("kind",))


@service.post("/orders", status=201)
async def place_order(order: dict[str, int]) -> int:
    """Count orders by kind, over all workers."""
    orders_placed.add(kind="gift" if "wrapping" in order else "plain")
    return len(order)


# endregion

# region: gauge
waiting: list[int] = []

service.metrics.gauge("shop_orders_waiting", "Orders that wait to be packed.", lambda: len(waiting))
# endregion


# region: spans
@service.get("/stock/{item}")
async def read_stock(item: str) -> int:
    """Record what takes time, and pass the trace on."""
    with span("look into the warehouse", item=item):
        headers: dict[str, str] = {}
        inject(headers)  # send these with the request to the warehouse
        return len(headers) + len(baggage())


# endregion
