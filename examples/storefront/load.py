"""Writing a dataset into the database, in bulk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Column, Table, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storefront.database import Database
from storefront.dataset import Dataset, OrderRow, ProductRow
from storefront.tables import derived, order_lines, orders, products, users

__all__ = ["Added", "Loaded", "OnProgress", "load"]

T = TypeVar("T")

OnProgress = Callable[[str, int, int], None]
"""Called with what is being written, how many of it are done, and how many there are."""

_CHUNK = 1_000  # rows per statement: few round trips, and far from any limit on parameters


class Added(msgspec.Struct, frozen=True):
    """How many rows were written, and how many were there already."""

    added: int
    present: int


class Loaded(msgspec.Struct, frozen=True):
    """What became of a dataset."""

    customers: Added
    products: Added
    orders: Added
    lines: Added


async def load(database: Database, dataset: Dataset, on_progress: OnProgress = lambda *_: None) -> Loaded:
    """Write *dataset*, all of it or nothing. What is there already is left as it is.

    Args:
        database: Where to, with its tables created.
        dataset: What; its orders name only customers and products that it holds.
        on_progress: Told how far it has come.
    """
    async with database.write() as connection:
        writer = _Writer(connection, on_progress)
        customer_ids, customers = await writer.write(
            "customers",
            users.c.email,
            {row.email: msgspec.structs.asdict(row) for row in dataset.customers},
        )
        product_ids, sold = await writer.write(
            "products",
            products.c.sku,
            {row.sku: _product(row) for row in dataset.products},
        )
        there = await writer.ids(orders.c.reference, [row.reference for row in dataset.orders])
        order_ids, ordered = await writer.write(
            "orders",
            orders.c.reference,
            {row.reference: _order(row, customer_ids) for row in dataset.orders},
        )
        fresh = [row for row in dataset.orders if row.reference not in there]
        lines = [line for row in fresh for line in _lines(row, order_ids[row.reference], product_ids)]
        await writer.insert("order lines", order_lines, lines)
    total = sum(len(row.lines) for row in dataset.orders)
    return Loaded(customers, sold, ordered, Added(len(lines), total - len(lines)))


class _Writer:
    """Writes rows of tables that have an id and a column that identifies a row outside the database."""

    def __init__(self, connection: AsyncConnection, on_progress: OnProgress) -> None:
        self._connection = connection
        self._on_progress = on_progress

    async def write(
        self, what: str, key: Column[Any], rows: Mapping[str, dict[str, Any]]
    ) -> tuple[dict[str, int], Added]:
        """Insert those *rows* (by key) that are not there, and return the ids of all, by key."""
        there = await self.ids(key, rows)
        missing = {value: row for value, row in rows.items() if value not in there}
        await self.insert(what, key.table, list(missing.values()))
        added = await self.ids(key, missing)
        return there | added, Added(len(added), len(there))

    async def ids(self, key: Column[Any], values: Iterable[str]) -> dict[str, int]:
        """Return the ids of the rows whose *key* is among *values*, by key."""
        found: dict[str, int] = {}
        for chunk in _chunks(values):
            statement = select(key, key.table.c.id).where(key.in_(chunk))
            found.update({row[0]: row[1] for row in await self._connection.execute(statement)})
        return found

    async def insert(self, what: str, table: Table, rows: Sequence[dict[str, Any]]) -> None:
        """Insert *rows*."""
        done = 0
        self._on_progress(what, done, len(rows))
        for chunk in _chunks(rows):
            await self._connection.execute(insert(table), chunk)
            done += len(chunk)
            self._on_progress(what, done, len(rows))


def _product(row: ProductRow) -> dict[str, Any]:
    return msgspec.structs.asdict(row) | {"active": True} | derived(row.name, row.description, row.sku)


def _order(row: OrderRow, customer_ids: Mapping[str, int]) -> dict[str, Any]:
    return {
        "reference": row.reference,
        "customer_id": customer_ids[row.email],
        "status": row.status,
        "placed_at": row.placed_at,
        "currency": row.currency,
        "total": row.total,
    }


def _lines(row: OrderRow, order_id: int, product_ids: Mapping[str, int]) -> Iterator[dict[str, int]]:
    for position, line in enumerate(row.lines):
        yield {
            "order_id": order_id,
            "position": position,
            "product_id": product_ids[line.sku],
            "quantity": line.quantity,
            "unit_price": line.unit_price,
        }


def _chunks(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk
