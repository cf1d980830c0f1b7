"""Making up a shop: the same seed makes the same shop, to the byte, on every machine."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from storefront.dataset import CustomerRow, Dataset, LineRow, OrderRow, ProductRow
from storefront.types import OrderStatus
from storefront.words import CATEGORIES, FEATURES, FIRST_NAMES, LAST_NAMES, SERIES

__all__ = ["UNTIL", "generate"]

T = TypeVar("T")

UNTIL = datetime(2026, 1, 1, tzinfo=UTC)
"""The day before which everything in the made-up shop happened."""

_HISTORY = timedelta(days=730)  # how long orders have been coming in
_BUILD_UP = timedelta(days=365)  # before that: products and customers come, nobody orders
_CURRENCY = "USD"


def generate(
    chance: random.Random,
    *,
    customers: int = 500,
    products: int = 3_000,
    orders: int = 10_000,
    until: datetime = UNTIL,
) -> Dataset:
    """Make up a shop.

    Args:
        chance: A seeded generator. Only its ``random()`` is used: that it returns the same numbers for the
            same seed is promised for every Python version, of its other methods it is not.
        customers: How many customers, at least 1.
        products: How many products, at least 5.
        orders: How many orders, of 1 to 5 lines each.
        until: The moment before which everything happened.

    Raises:
        ValueError: There are fewer than that.
    """
    if customers < 1 or products < 5 or orders < 0:
        raise ValueError("a made-up shop needs at least 1 customer, 5 products and 0 orders")
    opened = until - _HISTORY - _BUILD_UP - timedelta(days=1)
    people = tuple(_customer(chance, n, opened + _BUILD_UP * n / customers) for n in range(customers))
    things = tuple(_product(chance, n, opened + _BUILD_UP * n / products) for n in range(products))
    sales = (
        _order(chance, n, until - _HISTORY * (1 - n / orders), customers=people, products=things, until=until)
        for n in range(orders)
    )
    return Dataset(people, things, tuple(sales))


def _customer(chance: random.Random, number: int, near: datetime) -> CustomerRow:
    first, last = _pick(chance, FIRST_NAMES), _pick(chance, LAST_NAMES)
    plain = unicodedata.normalize("NFKD", f"{first}.{last}").encode("ascii", "ignore").decode("ascii")
    email = f"{plain.replace(chr(39), '').lower()}.{number + 1}@example.com"
    return CustomerRow(email, f"{first} {last}", near + timedelta(seconds=int(chance.random() * 3_600)))


def _product(chance: random.Random, number: int, near: datetime) -> ProductRow:
    kind = CATEGORIES[number % len(CATEGORIES)]
    series, material, noun = _pick(chance, SERIES), _pick(chance, kind.materials), _pick(chance, kind.nouns)
    # Most things are cheap, a few are dear.
    price = kind.cheapest + int((kind.dearest - kind.cheapest) * _low(chance))
    price = price // 100 * 100 + _pick(chance, (0, 50, 90, 95))
    in_stock = chance.random() >= 0.04
    return ProductRow(
        sku=f"{kind.code}-{number + 1:05}",
        name=f"{series} {noun} in {material}",
        description=f"{noun} of the {series} series, in {material.lower()}. {_pick(chance, FEATURES)}",
        category=kind.category,
        price=max(price, kind.cheapest),
        currency=_CURRENCY,
        stock=1 + int(chance.random() * 250) if in_stock else 0,
        created_at=_delivery(near),
    )


def _order(
    chance: random.Random,
    number: int,
    near: datetime,
    *,
    until: datetime,
    customers: Sequence[CustomerRow],
    products: Sequence[ProductRow],
) -> OrderRow:
    chosen: dict[str, ProductRow] = {}
    for _ in range(1 + int(chance.random() * 5)):
        # A few products are sold often, most of them now and then.
        product = products[int(_low(chance) * len(products))]
        chosen[product.sku] = product
    placed_at = min(near + timedelta(seconds=int(chance.random() * 60)), until)
    return OrderRow(
        reference=f"SEED-{number + 1:06}",
        email=_pick(chance, customers).email,
        status=_status(chance, until - placed_at),
        placed_at=placed_at,
        currency=_CURRENCY,
        lines=tuple(
            LineRow(sku, _pick(chance, (1, 1, 1, 1, 2, 2, 3, 4)), product.price) for sku, product in chosen.items()
        ),
    )


def _status(chance: random.Random, age: timedelta) -> OrderStatus:
    if chance.random() < 0.05:
        return OrderStatus.CANCELLED
    if age > timedelta(days=10):
        return OrderStatus.DELIVERED
    if age > timedelta(days=4):
        return OrderStatus.SHIPPED
    return _pick(chance, (OrderStatus.PLACED, OrderStatus.PAID))


def _delivery(near: datetime) -> datetime:
    """Return the Monday morning before *near*: deliveries come once a week, so many products are equally new."""
    return (near - timedelta(days=near.weekday())).replace(hour=6, minute=0, second=0, microsecond=0)


def _low(chance: random.Random) -> float:
    """Return a number in [0, 1), small ones more often."""
    number = chance.random()
    return number * number


def _pick(chance: random.Random, items: Sequence[T]) -> T:
    return items[int(chance.random() * len(items))]
