"""Seawall: typed functions, and nothing else."""

from typing import Annotated

from msgspec import Meta

from benchmarks.contenders.orders import (
    ROUTES,
    Item,
    NewOrder,
    OrderView,
    PlacedOrder,
    place_order,
    view_order,
)
from seawall import Service

service = Service("benchmark")


@service.get("/orders/{order_id}")
async def read_order(order_id: int, limit: Annotated[int, Meta(ge=1, le=100)] = 10, q: str | None = None) -> OrderView:
    """Return one order."""
    return view_order(order_id, limit, q)


@service.post("/orders", status=201)
async def create_order(order: NewOrder) -> PlacedOrder:
    """Place an order."""
    return place_order(order)


def item_reader(route: int):
    async def read_item(item_id: int) -> Item:
        """Return one item of one route."""
        return Item(route, item_id)

    read_item.__name__ = read_item.__qualname__ = f"read_item_{route}"  # operations are named after functions
    return read_item


for number in range(ROUTES):
    service.get(f"/r{number}/items/{{item_id}}")(item_reader(number))
