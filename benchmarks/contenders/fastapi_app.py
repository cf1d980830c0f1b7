"""FastAPI as its documentation teaches it: Pydantic models in and out, `Query` and `Field` constraints."""

from typing import Annotated, Literal

from fastapi import FastAPI, Query
from pydantic import BaseModel, ConfigDict, Field

from benchmarks.contenders.orders import ROUTES

app = FastAPI()


class OrderView(BaseModel):
    order_id: int
    limit: int
    q: str | None
    status: str
    currency: str
    total: float


class Line(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sku: str = Field(min_length=1, max_length=32)
    quantity: int = Field(ge=1, le=999)
    unit_price: float = Field(ge=0)
    gift: bool = False


class NewOrder(BaseModel):
    model_config = ConfigDict(extra="forbid")

    customer_id: int = Field(gt=0)
    reference: str = Field(min_length=1, max_length=64)
    currency: Literal["EUR", "USD", "GBP"]
    note: str | None = Field(default=None, max_length=200)
    lines: list[Line] = Field(min_length=1, max_length=50)


class PlacedOrder(BaseModel):
    id: int
    customer_id: int
    reference: str
    currency: str
    total: float
    lines: list[Line]


class Item(BaseModel):
    route: int
    item_id: int


@app.get("/orders/{order_id}")
async def read_order(order_id: int, limit: Annotated[int, Query(ge=1, le=100)] = 10, q: str | None = None) -> OrderView:
    return OrderView(order_id=order_id, limit=limit, q=q, status="paid", currency="EUR", total=order_id * 1.25)


@app.post("/orders", status_code=201)
async def create_order(order: NewOrder) -> PlacedOrder:
    return PlacedOrder(
        id=order.customer_id * 1000 + len(order.lines),
        customer_id=order.customer_id,
        reference=order.reference,
        currency=order.currency,
        total=round(sum(line.quantity * line.unit_price for line in order.lines), 2),
        lines=order.lines,
    )


def item_reader(route: int):
    async def read_item(item_id: int) -> Item:
        return Item(route=route, item_id=item_id)

    return read_item


for number in range(ROUTES):
    app.get(f"/r{number}/items/{{item_id}}", name=f"read_item_{number}")(item_reader(number))
