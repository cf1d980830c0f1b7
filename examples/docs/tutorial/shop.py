"""A small shop: the service of the tutorial."""

# region: imports
from collections import Counter
from collections.abc import AsyncIterator
from typing import Annotated

from msgspec import Meta, Struct

from seawall import Check, Conflict, FieldError, NotFound, Query, Reply, Service, pointer

# endregion
# region: types
Sku = Annotated[str, Meta(pattern="^[a-z]{3,20}$", description="The product's code.")]
Quantity = Annotated[int, Meta(ge=1, le=100)]


class Line(Struct):
    """So many of one product."""

    sku: Sku
    quantity: Quantity


class NewOrder(Struct):
    """An order as a customer sends it."""

    customer: Annotated[str, Meta(min_length=1, max_length=80)]
    lines: Annotated[list[Line], Meta(min_length=1, max_length=20)]


class Order(Struct):
    """An order as the shop knows it."""

    id: int
    customer: str
    lines: list[Line]


# endregion


# region: problems
class OutOfStock(Conflict):
    """The stock does not suffice."""

    type = "urn:problem-type:shop:out-of-stock"
    title = "Out of stock"


class NoSuchOrder(NotFound):
    """There is no order with that number."""

    type = "urn:problem-type:shop:no-such-order"
    title = "No such order"


# endregion


# region: shop
class Shop:
    """Keeps stock and orders, in memory."""

    def __init__(self, stock: dict[str, int]) -> None:
        self.stock = stock
        self.orders: dict[int, Order] = {}

    async def place(self, new: NewOrder) -> Order:
        """Take what is ordered out of the stock."""
        wanted = Counter[str]()
        for line in new.lines:
            wanted[line.sku] += line.quantity
        for sku, quantity in wanted.items():
            if self.stock[sku] < quantity:
                raise OutOfStock(f"There are {self.stock[sku]} of {sku!r} left.", sku=sku)
        for sku, quantity in wanted.items():
            self.stock[sku] -= quantity
        order = Order(len(self.orders) + 1, new.customer, new.lines)
        self.orders[order.id] = order
        return order

    async def read(self, number: int) -> Order:
        """Return one order."""
        if number not in self.orders:
            raise NoSuchOrder(f"There is no order {number}.")
        return self.orders[number]

    async def find(self, customer: str | None, limit: int) -> list[Order]:
        """Return the newest orders first."""
        found = [order for order in self.orders.values() if customer in (None, order.customer)]
        return found[::-1][:limit]


# endregion


# region: service
service = Service("shop", timeout=2)


@service.resource
async def shop() -> AsyncIterator[Shop]:
    """Open the shop when the service starts, and close it when the service stops."""
    yield Shop({"tea": 10, "mug": 3})


# endregion


# region: check
async def known_products(order: NewOrder, shop: Shop) -> list[FieldError]:
    """Every line must name a product the shop has."""
    return [
        FieldError("There is no such product.", pointer("lines", number, "sku"))
        for number, line in enumerate(order.lines)
        if line.sku not in shop.stock
    ]


# endregion

# region: operations
orders = service.group("/orders", tags=["orders"])


@orders.post("/", status=201, problems=[OutOfStock])
async def place_order(order: Annotated[NewOrder, Check(known_products)], shop: Shop) -> Reply[Order]:
    """Place an order."""
    placed = await shop.place(order)
    return Reply(placed, location=f"/orders/{placed.id}")


@orders.get("/{number}", problems=[NoSuchOrder])
async def read_order(number: int, shop: Shop) -> Order:
    """Return one order."""
    return await shop.read(number)


@orders.get("/", timeout="500ms")
async def find_orders(
    shop: Shop,
    customer: str | None = None,
    limit: Annotated[int, Meta(ge=1, le=50), Query()] = 10,
) -> list[Order]:
    """Return the newest orders, of one customer or of all."""
    return await shop.find(customer, limit)


# endregion
