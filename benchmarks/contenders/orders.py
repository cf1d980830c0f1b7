"""What every msgspec-based contender serves: the types of the two workloads and the work behind them.

FastAPI (Pydantic) and the Go programs state the same rules in their own way; the harness proves that all
agree.
"""

import os
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

ROUTES = int(os.environ.get("BENCH_ROUTES", "0"))
"""How many extra routes `GET /r{n}/items/{item_id}` the application gets; 0 outside the routes workload."""

MIN_LIMIT, MAX_LIMIT, DEFAULT_LIMIT = 1, 100, 10


class OrderView(msgspec.Struct):
    order_id: int
    limit: int
    q: str | None
    status: str
    currency: str
    total: float


class Line(msgspec.Struct, forbid_unknown_fields=True):
    sku: Annotated[str, Meta(min_length=1, max_length=32)]
    quantity: Annotated[int, Meta(ge=1, le=999)]
    unit_price: Annotated[float, Meta(ge=0)]
    gift: bool = False


class NewOrder(msgspec.Struct, forbid_unknown_fields=True):
    customer_id: Annotated[int, Meta(gt=0)]
    reference: Annotated[str, Meta(min_length=1, max_length=64)]
    currency: Literal["EUR", "USD", "GBP"]
    lines: Annotated[list[Line], Meta(min_length=1, max_length=50)]
    note: Annotated[str, Meta(max_length=200)] | None = None


class PlacedOrder(msgspec.Struct):
    id: int
    customer_id: int
    reference: str
    currency: str
    total: float
    lines: list[Line]


class Item(msgspec.Struct):
    route: int
    item_id: int


def view_order(order_id: int, limit: int, q: str | None) -> OrderView:
    return OrderView(order_id, limit, q, "paid", "EUR", order_id * 1.25)


def place_order(order: NewOrder) -> PlacedOrder:
    total = 0.0
    for line in order.lines:
        total += line.quantity * line.unit_price
    return PlacedOrder(
        order.customer_id * 1000 + len(order.lines),
        order.customer_id,
        order.reference,
        order.currency,
        round(total, 2),
        order.lines,
    )
