"""What callers send and get.

Prices and totals are whole numbers of the currency's minor unit (cents): sums are exact, in the database
as in every client's language.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Generic, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

T = TypeVar("T")

# No control characters: PostgreSQL stores no NUL, and nobody's name has a tab in it. The look-ahead is
# there because Python's "$" also matches before a newline at the end.
_LINE = r"^[^\x00-\x1f\x7f]*$(?!\n)"
_VISIBLE_LINE = r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$(?!\n)"
_TEXT = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$(?!\n)"
_EMAIL = r"^[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f.]+(\.[^@\s\x00-\x1f\x7f.]+)+$(?!\n)"

MAX_ID = 2**31 - 1

Id = Annotated[int, Meta(ge=1, le=MAX_ID, description="Identifies it for as long as the shop exists.")]
Cents = Annotated[int, Meta(ge=0, le=100_000_000, description="An amount in the currency's minor unit (cents).")]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}$(?!\n)", description="ISO 4217 code.", examples=["USD"])]
Email = Annotated[str, Meta(max_length=254, pattern=_EMAIL, examples=["ada@example.com"])]
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=_VISIBLE_LINE)]
Category = Annotated[str, Meta(min_length=1, max_length=80, pattern=_VISIBLE_LINE, examples=["Lighting"])]
Description = Annotated[str, Meta(max_length=2_000, pattern=_TEXT)]
Sku = Annotated[
    str,
    Meta(
        max_length=40,
        pattern=r"^[A-Z0-9]+(-[A-Z0-9]+)*$(?!\n)",
        description="The shop's own article number (stock keeping unit).",
        examples=["LMP-0042"],
    ),
]
Stock = Annotated[int, Meta(ge=0, le=1_000_000, description="How many can be sold now.")]
Quantity = Annotated[int, Meta(ge=1, le=1_000)]
Moment = Annotated[datetime, Meta(tz=True, examples=["2026-01-31T12:00:00Z"])]
Limit = Annotated[int, Meta(ge=1, le=100, description="How many items a page has at most.")]
CursorText = Annotated[
    str, Meta(min_length=1, max_length=2_000, description="`next` of the page before, sent back as it came.")
]


class User(msgspec.Struct, frozen=True):
    """A customer of the shop."""

    id: Id
    email: Email
    name: Name
    created_at: Moment


class NewUser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who wants to become a customer. Addresses that differ in case only are the same address."""

    email: Email
    name: Name
    password: Annotated[str, Meta(min_length=8, max_length=200, description="To log in with.")] | None = None


class Product(msgspec.Struct, frozen=True):
    """Something the shop sells."""

    id: Id
    sku: Sku
    name: Name
    description: Description
    category: Category
    price: Cents
    currency: Currency
    stock: Stock
    created_at: Moment


class NewProduct(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something the shop is to sell."""

    sku: Sku
    name: Name
    category: Category
    price: Cents
    description: Description = ""
    currency: Currency = "USD"
    stock: Stock = 0


class ProductPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to change about a product; what is left out stays as it is."""

    name: Name | UnsetType = UNSET
    category: Category | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    price: Cents | UnsetType = UNSET
    stock: Stock | UnsetType = UNSET

    def __post_init__(self) -> None:
        if not self.changes():
            raise ValueError(f"nothing to change: send at least one of {', '.join(self.__struct_fields__)}")

    def changes(self) -> dict[str, str | int]:
        """Return the fields that were sent, by name."""
        values = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: value for name, value in values.items() if value is not UNSET}


class NewProducts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Products to add at once."""

    products: Annotated[list[NewProduct], Meta(min_length=1, max_length=100)]


class Created(msgspec.Struct, frozen=True, tag_field="result", tag="created"):
    """One of several products was added."""

    status: Literal[201]
    location: Annotated[str, Meta(description="Where the product is, relative to this service.")]
    product: Product


class Refused(msgspec.Struct, frozen=True, tag_field="result", tag="refused"):
    """One of several products was not added; the members are those of a problem (RFC 9457)."""

    status: int
    type: str
    title: str
    detail: str


class BatchResult(msgspec.Struct, frozen=True):
    """What became of each product of a batch, in the order they were sent."""

    created: int
    refused: int
    results: list[Created | Refused]


class Item(msgspec.Struct, frozen=True):
    """A product as it was told before prices were whole numbers of cents."""

    id: Id
    title: Name
    price: Annotated[str, Meta(description="With two decimals, and its currency.", examples=["129.00 USD"])]


class OrderStatus(StrEnum):
    """How far an order has come. Until it is shipped it can be cancelled."""

    PLACED = "placed"
    PAID = "paid"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"


class OrderLine(msgspec.Struct, frozen=True):
    """One product of an order, at the price it had when the order was placed."""

    product_id: Id
    quantity: Quantity
    unit_price: Cents


class Order(msgspec.Struct, frozen=True):
    """What a customer ordered. *reference* is the number it has in the system it was imported from."""

    id: Id
    customer_id: Id
    status: OrderStatus
    placed_at: Moment
    currency: Currency
    total: int
    lines: list[OrderLine]
    reference: str | None = None


class NewOrderLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A product and how many of it."""

    product_id: Id
    quantity: Quantity


class NewOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a customer wants to order: each product once, all in one currency."""

    customer_id: Id
    lines: Annotated[list[NewOrderLine], Meta(min_length=1, max_length=100)]

    def __post_init__(self) -> None:
        first: dict[int, int] = {}
        for index, line in enumerate(self.lines):
            if line.product_id in first:
                raise ValueError(
                    f"lines {first[line.product_id]} and {index} both order product {line.product_id}; "
                    "make them one line"
                )
            first[line.product_id] = index


class PageRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which part of a long list is wanted."""

    cursor: CursorText | None = None
    limit: Limit = 20


class UserSearch(PageRequest, frozen=True, kw_only=True):
    """Which users are wanted, in which order."""

    sort: Literal["newest", "oldest"] = "newest"


class ProductSearch(PageRequest, frozen=True, kw_only=True):
    """Which products are wanted, in which order. Retired products are not found.

    Every word of *q* must occur in the product's name, description or SKU, in any case.
    """

    q: Annotated[str, Meta(max_length=100, pattern=_LINE)] | None = None
    category: Category | None = None
    min_price: Cents | None = None
    max_price: Cents | None = None
    in_stock: bool | None = None
    sort: Literal["name", "-name", "price", "-price", "newest", "oldest"] = "newest"

    def __post_init__(self) -> None:
        if self.min_price is not None and self.max_price is not None and self.min_price > self.max_price:
            raise ValueError(f"min_price ({self.min_price}) is more than max_price ({self.max_price})")


class OrderSearch(PageRequest, frozen=True, kw_only=True):
    """Which orders are wanted: those placed at or after *placed_from* and before *placed_before*."""

    customer_id: Id | None = None
    status: OrderStatus | None = None
    placed_from: Moment | None = None
    placed_before: Moment | None = None
    sort: Literal["newest", "oldest"] = "newest"

    def __post_init__(self) -> None:
        start = None if self.placed_from is None else _utc("placed_from", self.placed_from)
        end = None if self.placed_before is None else _utc("placed_before", self.placed_before)
        if start is not None and end is not None and start >= end:
            raise ValueError("placed_from must be earlier than placed_before")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A part of a long list; *next* asks for the part after it and is null on the last one."""

    items: list[T]
    next: CursorText | None


class UserStats(msgspec.Struct, frozen=True):
    """The shop's customers in numbers."""

    total: int
    with_orders: int


class Revenue(msgspec.Struct, frozen=True):
    """What the orders of one currency add up to, cancelled ones left out."""

    currency: Currency
    orders: int
    total: int
    average: int


class OrderStats(msgspec.Struct, frozen=True):
    """The shop's orders in numbers."""

    total: int
    by_status: dict[OrderStatus, int]
    revenue: list[Revenue]


class ProductStats(msgspec.Struct, frozen=True):
    """The shop's range in numbers; *by_category* counts what is sold now."""

    total: int
    active: int
    out_of_stock: int
    by_category: dict[str, int]


def _utc(field: str, moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # the first and last hours of the calendar exist in some time zones only
        raise ValueError(f"{field} is outside the years 1 to 9999 in UTC") from None
