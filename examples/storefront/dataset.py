"""A shop's data on its way into the database, whatever it comes from.

Rows name each other by what identifies them outside the database (an e-mail address, a SKU, a reference),
so that loading the same data again finds what is there already.
"""

from __future__ import annotations

import hashlib
from typing import Annotated

import msgspec

from storefront.types import (
    Category,
    Cents,
    Currency,
    Description,
    Email,
    Moment,
    Name,
    OrderStatus,
    Quantity,
    Sku,
    Stock,
)

__all__ = ["CustomerRow", "Dataset", "LineRow", "OrderRow", "ProductRow"]


class CustomerRow(msgspec.Struct, frozen=True):
    """A customer, known by the address (in lower case)."""

    email: Email
    name: Name
    created_at: Moment


class ProductRow(msgspec.Struct, frozen=True):
    """A product, known by its SKU."""

    sku: Sku
    name: Name
    description: Description
    category: Category
    price: Cents
    currency: Currency
    stock: Stock
    created_at: Moment


class LineRow(msgspec.Struct, frozen=True):
    """A line of an order."""

    sku: Sku
    quantity: Quantity
    unit_price: Cents


class OrderRow(msgspec.Struct, frozen=True):
    """An order, known by its reference."""

    reference: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    email: Email
    status: OrderStatus
    placed_at: Moment
    currency: Currency
    lines: tuple[LineRow, ...]

    @property
    def total(self) -> int:
        """What the lines add up to, in cents."""
        return sum(line.quantity * line.unit_price for line in self.lines)


class Dataset(msgspec.Struct, frozen=True):
    """Customers, products and their orders."""

    customers: tuple[CustomerRow, ...]
    products: tuple[ProductRow, ...]
    orders: tuple[OrderRow, ...]

    def digest(self) -> str:
        """Return the SHA-256 of everything in it, in hexadecimal."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()
