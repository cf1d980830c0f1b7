"""Orders, over HTTP."""

from __future__ import annotations

from typing import Annotated

from seawall import Check, FieldError, Query, Reply
from seawall.data import Session
from storefront.identity import may_order, may_search, owns_order
from storefront.orders import Orders
from storefront.problems import InvalidCursor, NoSuchOrder, NoSuchUser, NotCancellable, OutOfStock
from storefront.service import api
from storefront.shelf import Shelf
from storefront.types import Id, NewOrder, Order, OrderSearch, Page
from storefront.users import Users

__all__ = ["orders_api"]

orders_api = api.group("/orders", tags=["Orders"], max_body="32 KiB", duplicate_keys="refuse")


async def customer_exists(search: OrderSearch, users: Users) -> FieldError | None:
    """Find a customer nobody knows: an empty page would hide the slip of the pen."""
    if search.customer_id is None:
        return None
    try:
        await users.get(search.customer_id)
    except NoSuchUser as problem:
        return FieldError(str(problem), parameter="customer_id", location="query")
    return None


@orders_api.post("/", status=201, allow=may_order, problems=[OutOfStock], idempotent=True)
async def create_order(order: NewOrder, orders: Orders, session: Session, shelf: Shelf) -> Reply[Order]:
    """Place an order: all of its lines, or nothing.

    The stock is taken at once, and the prices are those of this moment. However often it is sent with one
    `Idempotency-Key`, it is one order: the order and the answer are committed together.

    Raises:
        OutOfStock: There is less of a product than was ordered; `errors` says of which.

    Example:
        {"customer_id": 1, "lines": [{"product_id": 1, "quantity": 2}, {"product_id": 2, "quantity": 1}]}
    """
    made = await orders.create(order, await session.connection())
    shelf.changed(line.product_id for line in order.lines)
    return Reply(made, location=f"/orders/{made.id}")


@orders_api.get("/{order_id}", allow=owns_order, problems=[NoSuchOrder])
async def read_order(order_id: Id, orders: Orders) -> Order:
    """Return an order."""
    return await orders.get(order_id)


@orders_api.get("/", allow=may_search, problems=[InvalidCursor])
async def search_orders(search: Annotated[OrderSearch, Query(), Check(customer_exists)], orders: Orders) -> Page[Order]:
    """Return the orders that are asked for, a page at a time.

    The next page is asked for with `cursor` set to `next` of the page before, and the same filters and sort.
    """
    return await orders.search(search)


@orders_api.post("/{order_id}/cancellation", allow=owns_order, problems=[NoSuchOrder, NotCancellable])
async def cancel_order(order_id: Id, orders: Orders, shelf: Shelf) -> Order:
    """Cancel an order that was not shipped yet, and give its stock back.

    Raises:
        NotCancellable: The order is on its way, there already, or cancelled before.
    """
    cancelled = await orders.cancel(order_id)
    shelf.changed(line.product_id for line in cancelled.lines)
    return cancelled
