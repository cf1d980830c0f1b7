"""What customers order. Stock is taken with the order and given back when it is cancelled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from typing import TypeVar

from sqlalchemy import BigInteger, bindparam, cast, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from seawall.clock import Clock
from seawall.problems import FieldError, InvalidInput, pointer
from storefront.cursor import AnyRow, AnySelect, Ordering, fetch_page
from storefront.database import Database
from storefront.moments import now
from storefront.problems import NoSuchOrder, NotCancellable, OutOfStock
from storefront.tables import order_lines, orders, products, users
from storefront.types import (
    Moment,
    NewOrder,
    NewOrderLine,
    Order,
    OrderLine,
    OrderSearch,
    OrderStats,
    OrderStatus,
    Page,
    Revenue,
)

__all__ = ["Orders"]

L = TypeVar("L", OrderLine, NewOrderLine)

_CANCELLABLE = (OrderStatus.PLACED, OrderStatus.PAID)
_ORDERINGS = {
    "newest": Ordering(orders.c.placed_at, orders.c.id, Moment, descending=True),
    "oldest": Ordering(orders.c.placed_at, orders.c.id, Moment),
}


class Orders:
    """Places, cancels, reads, finds and counts orders."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create(self, new: NewOrder, within: AsyncConnection | None = None) -> Order:
        """Place an order: all of its lines, or nothing.

        Args:
            new: The order.
            within: The transaction it is a part of; one of its own by default.

        Raises:
            InvalidInput: The customer or a product does not exist, a product is no longer sold, or the
                products' prices are in several currencies; ``errors`` says which.
            OutOfStock: There is less of a product than ordered; ``errors`` says of which.
        """
        async with self._database.write() if within is None else nullcontext(within) as connection:
            await _check(connection, new)
            prices, currency = await _take_stock(connection, new.lines)
            lines = [OrderLine(line.product_id, line.quantity, prices[line.product_id]) for line in new.lines]
            order = {
                "customer_id": new.customer_id,
                "status": OrderStatus.PLACED,
                "placed_at": now(self._clock),
                "currency": currency,
                "total": sum(line.quantity * line.unit_price for line in lines),
            }
            row = (await connection.execute(insert(orders).values(order).returning(orders))).one()
            await connection.execute(insert(order_lines), _line_rows(row.id, lines))
        return _order(row, lines)

    async def cancel(self, order_id: int) -> Order:
        """Cancel an order that was not shipped yet, give its stock back, and return it.

        Raises:
            NoSuchOrder: There is none with that id.
            NotCancellable: It is shipped, delivered or cancelled already.
        """
        # The condition is in the statement that changes it: of two who cancel at once, one gives stock back.
        cancel = update(orders).where(orders.c.id == order_id, orders.c.status.in_(_CANCELLABLE))
        async with self._database.write() as connection:
            row = (
                await connection.execute(cancel.values(status=OrderStatus.CANCELLED).returning(orders))
            ).one_or_none()
            if row is None:
                row = await _find(connection, order_id)
                raise NotCancellable(f"Order {order_id} is {row.status}; it can be cancelled until it is shipped.")
            lines = (await _lines(connection, [order_id]))[order_id]
            give = update(products).where(products.c.id == bindparam("product"))
            await connection.execute(
                give.values(stock=products.c.stock + bindparam("quantity")),
                [{"product": line.product_id, "quantity": line.quantity} for line in _in_lock_order(lines)],
            )
        return _order(row, lines)

    async def get(self, order_id: int) -> Order:
        """Return the order with that id.

        Raises:
            NoSuchOrder: There is none.
        """
        async with self._database.read() as connection:
            row = await _find(connection, order_id)
            lines = await _lines(connection, [order_id])
        return _order(row, lines[order_id])

    async def search(self, search: OrderSearch) -> Page[Order]:
        """Return a page of the orders that *search* finds.

        Raises:
            InvalidCursor: The cursor was not given out for this search.
        """
        async with self._database.read() as connection:
            rows, following = await fetch_page(connection, _found(search), _ORDERINGS[search.sort], search)
            lines = await _lines(connection, [row.id for row in rows])
        return Page([_order(row, lines[row.id]) for row in rows], following)

    async def stats(self) -> OrderStats:
        """Count the orders and add up what they brought."""
        total = cast(func.sum(orders.c.total), BigInteger)
        statement = select(orders.c.status, orders.c.currency, func.count(), total)
        async with self._database.read() as connection:
            rows = (await connection.execute(statement.group_by(orders.c.status, orders.c.currency))).all()
        by_status = dict.fromkeys(OrderStatus, 0)
        sums: dict[str, tuple[int, int]] = {}
        for status, currency, count, amount in rows:
            by_status[OrderStatus(status)] += count
            if status != OrderStatus.CANCELLED:
                before = sums.get(currency, (0, 0))
                sums[currency] = (before[0] + count, before[1] + amount)
        revenue = [
            Revenue(currency, count, amount, amount // count) for currency, (count, amount) in sorted(sums.items())
        ]
        return OrderStats(total=sum(by_status.values()), by_status=by_status, revenue=revenue)


async def _check(connection: AsyncConnection, new: NewOrder) -> None:
    """Find everything that is wrong with an order before any of it is done."""
    wanted = [line.product_id for line in new.lines]
    columns = select(products.c.id, products.c.active, products.c.currency)
    found = {row.id: row for row in await connection.execute(columns.where(products.c.id.in_(wanted)))}
    customer = await connection.scalar(select(users.c.id).where(users.c.id == new.customer_id))
    errors = []
    if customer is None:
        errors.append(FieldError(detail=f"There is no user {new.customer_id}.", pointer="/customer_id"))
    currency = None
    for index, product_id in enumerate(wanted):
        product = found.get(product_id)
        if product is None:
            detail = f"There is no product {product_id}."
        elif not product.active:
            detail = f"Product {product_id} is no longer sold."
        elif product.currency != (currency := currency or product.currency):
            detail = f"Product {product_id} is sold in {product.currency}, others here in {currency}."
        else:
            continue
        errors.append(FieldError(detail=detail, pointer=pointer("lines", index, "product_id")))
    if errors:
        raise InvalidInput("The order cannot be placed as it is.", errors=errors)


async def _take_stock(connection: AsyncConnection, lines: Sequence[NewOrderLine]) -> tuple[dict[int, int], str]:
    """Take what *lines* order, and return the prices by product and their currency.

    Looking and taking are one statement, so that no two orders ever get the same piece. When a line cannot
    be had, the others are still tried, to name all that are missing; the transaction undoes them.
    """
    prices: dict[int, int] = {}
    currency = ""
    errors = []
    positions = {line.product_id: index for index, line in enumerate(lines)}
    for line in _in_lock_order(lines):
        of_product = products.c.id == line.product_id
        take = update(products).where(of_product, products.c.active, products.c.stock >= line.quantity)
        take = take.values(stock=products.c.stock - line.quantity)
        row = (await connection.execute(take.returning(products.c.price, products.c.currency))).one_or_none()
        if row is not None:
            prices[line.product_id], currency = row.price, row.currency
            continue
        left = await connection.scalar(select(products.c.stock).where(of_product, products.c.active)) or 0
        where = pointer("lines", positions[line.product_id], "quantity")
        errors.append(FieldError(detail=f"{line.quantity} ordered, {left} left.", pointer=where))
    if errors:
        missing = ", ".join(sorted(error.pointer or "" for error in errors))
        raise OutOfStock(f"There is not enough of what was ordered: see {missing}.", errors=errors)
    return prices, currency


def _in_lock_order(lines: Iterable[L]) -> list[L]:
    # Two orders that lock the same products in different orders would each wait for the other for ever.
    return sorted(lines, key=lambda line: line.product_id)


async def _find(connection: AsyncConnection, order_id: int) -> AnyRow:
    row = (await connection.execute(select(orders).where(orders.c.id == order_id))).one_or_none()
    if row is None:
        raise NoSuchOrder(f"There is no order {order_id}.")
    return row


async def _lines(connection: AsyncConnection, order_ids: Sequence[int]) -> dict[int, list[OrderLine]]:
    """Return the lines of several orders, by order: one query for a whole page."""
    lines: dict[int, list[OrderLine]] = defaultdict(list)
    statement = select(order_lines).where(order_lines.c.order_id.in_(order_ids))
    for row in await connection.execute(statement.order_by(order_lines.c.order_id, order_lines.c.position)):
        lines[row.order_id].append(OrderLine(row.product_id, row.quantity, row.unit_price))
    return lines


def _found(search: OrderSearch) -> AnySelect:
    statement: AnySelect = select(orders)
    if search.customer_id is not None:
        statement = statement.where(orders.c.customer_id == search.customer_id)
    if search.status is not None:
        statement = statement.where(orders.c.status == search.status)
    if search.placed_from is not None:
        statement = statement.where(orders.c.placed_at >= search.placed_from)
    if search.placed_before is not None:
        statement = statement.where(orders.c.placed_at < search.placed_before)
    return statement


def _line_rows(order_id: int, lines: Iterable[OrderLine]) -> list[dict[str, int]]:
    return [
        {
            "order_id": order_id,
            "position": position,
            "product_id": line.product_id,
            "quantity": line.quantity,
            "unit_price": line.unit_price,
        }
        for position, line in enumerate(lines)
    ]


def _order(row: AnyRow, lines: list[OrderLine]) -> Order:
    return Order(
        id=row.id,
        customer_id=row.customer_id,
        status=OrderStatus(row.status),
        placed_at=row.placed_at,
        currency=row.currency,
        total=row.total,
        lines=lines,
        reference=row.reference,
    )
