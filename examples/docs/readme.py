"""Orders: one to place, one to read."""

from typing import Annotated

from msgspec import Meta, Struct

from seawall import NotFound, Reply, Service

service = Service("shop", timeout=2)
orders: dict[int, "Order"] = {}


class Line(Struct):
    """So many of one product."""

    sku: str
    quantity: Annotated[int, Meta(ge=1, le=100)]


class Order(Struct):
    """What somebody wants."""

    lines: Annotated[list[Line], Meta(min_length=1)]


@service.post("/orders", status=201)
async def place_order(order: Order) -> Reply[Order]:
    """Place an order."""
    orders[number := len(orders) + 1] = order
    return Reply(order, location=f"/orders/{number}")


@service.get("/orders/{number}", timeout="500ms")
async def read_order(number: int) -> Order:
    """Return one order."""
    if number not in orders:
        raise NotFound(f"There is no order {number}.")
    return orders[number]
