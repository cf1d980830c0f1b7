"""Litestar with msgspec Structs, which it decodes and encodes natively."""

from typing import Annotated

from litestar import Litestar, get, post
from litestar.params import Parameter

from benchmarks.contenders.orders import (
    ROUTES,
    Item,
    NewOrder,
    OrderView,
    PlacedOrder,
    place_order,
    view_order,
)


@get("/orders/{order_id:int}")
async def read_order(
    order_id: int, limit: Annotated[int, Parameter(ge=1, le=100)] = 10, q: str | None = None
) -> OrderView:
    return view_order(order_id, limit, q)


@post("/orders", status_code=201)
async def create_order(data: NewOrder) -> PlacedOrder:
    return place_order(data)


def item_reader(route: int):
    @get(f"/r{route}/items/{{item_id:int}}", name=f"read_item_{route}")
    async def read_item(item_id: int) -> Item:
        return Item(route, item_id)

    return read_item


app = Litestar(
    route_handlers=[read_order, create_order, *(item_reader(n) for n in range(ROUTES))],
    openapi_config=None,
)
