"""Reading the Chinook sample database: a digital music shop, as one JSON object of arrays.

Tracks become products, with the genre as category, customers become users, and invoices become delivered
orders. A row that cannot become one is skipped, with the reason, and never half taken over.
"""

from __future__ import annotations

import codecs
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeAlias, TypeVar

import msgspec

from storefront.dataset import CustomerRow, Dataset, OrderRow, ProductRow
from storefront.types import OrderStatus

__all__ = ["Chinook", "ChinookError", "Skipped", "read_chinook"]

Row = TypeVar("Row", bound=msgspec.Struct)
_Customers: TypeAlias = Mapping[int, CustomerRow]
_Products: TypeAlias = Mapping[int, ProductRow]

_STOCK = 1_000  # a download does not run out, but a product of the shop has a stock
_CURRENCY = "USD"
_OPENED = datetime(2020, 1, 1, tzinfo=UTC)  # Chinook does not say when; its first invoice is of 2021


class ChinookError(ValueError):
    """The file is not the Chinook database in JSON."""


class Skipped(msgspec.Struct, frozen=True):
    """A row that was not taken over, such as ``invoice 7``, and why."""

    row: str
    reason: str


class Chinook(msgspec.Struct, frozen=True):
    """What the file holds: the rows taken over, and those that were not."""

    dataset: Dataset
    skipped: tuple[Skipped, ...]


class _Genre(msgspec.Struct, rename="pascal"):
    genre_id: int
    name: str


class _Artist(msgspec.Struct, rename="pascal"):
    artist_id: int
    name: str


class _Album(msgspec.Struct, rename="pascal"):
    album_id: int
    title: str
    artist_id: int


class _Track(msgspec.Struct, rename="pascal"):
    track_id: int
    name: str
    album_id: int | None
    genre_id: int | None
    unit_price: Decimal


class _Customer(msgspec.Struct, rename="pascal"):
    customer_id: int
    first_name: str
    last_name: str
    email: str


class _Invoice(msgspec.Struct, rename="pascal"):
    invoice_id: int
    customer_id: int
    invoice_date: datetime
    total: Decimal


class _Line(msgspec.Struct, rename="pascal"):
    invoice_id: int
    track_id: int
    unit_price: Decimal
    quantity: int


class _File(msgspec.Struct, rename="pascal"):
    genre: list[_Genre]
    artist: list[_Artist]
    album: list[_Album]
    track: list[_Track]
    customer: list[_Customer]
    invoice: list[_Invoice]
    invoice_line: list[_Line]


def read_chinook(content: bytes) -> Chinook:
    """Read the Chinook database from the bytes of its JSON file, with or without a byte order mark.

    Raises:
        ChinookError: It is not JSON, or a table or column is missing or of another type.
    """
    try:
        file = msgspec.json.decode(content.removeprefix(codecs.BOM_UTF8), type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ChinookError(f"not the Chinook database in JSON: {error}") from None
    return _Reader(file).read()


class _Reader:
    """Turns the rows of the file into rows of the shop, and remembers those that cannot be."""

    def __init__(self, file: _File) -> None:
        self._file = file
        self._skipped: list[Skipped] = []

    def read(self) -> Chinook:
        customers = self._customers()
        products = self._products()
        orders = self._orders(customers, products)
        dataset = Dataset(tuple(customers.values()), tuple(products.values()), orders)
        return Chinook(dataset, tuple(self._skipped))

    def _customers(self) -> dict[int, CustomerRow]:
        found: dict[int, CustomerRow] = {}
        addresses: set[str] = set()
        for row in self._file.customer:
            email = row.email.lower()
            customer = self._take(
                f"customer {row.customer_id}",
                CustomerRow,
                {"email": email, "name": f"{row.first_name} {row.last_name}".strip(), "created_at": _OPENED},
            )
            if customer is not None and email in addresses:
                self._skip(f"customer {row.customer_id}", "another customer has the same address")
            elif customer is not None:
                addresses.add(email)
                found[row.customer_id] = customer
        return found

    def _products(self) -> dict[int, ProductRow]:
        genres = {row.genre_id: row.name for row in self._file.genre}
        artists = {row.artist_id: row.name for row in self._file.artist}
        albums = {row.album_id: f"{artists.get(row.artist_id, 'Unknown')} · {row.title}" for row in self._file.album}
        found: dict[int, ProductRow] = {}
        for row in self._file.track:
            values = {
                "sku": f"CHINOOK-T{row.track_id}",
                "name": row.name,
                "description": albums.get(row.album_id or 0, ""),
                "category": genres.get(row.genre_id or 0, "Uncategorised"),
                "price": _cents(row.unit_price),
                "currency": _CURRENCY,
                "stock": _STOCK,
                "created_at": _OPENED,
            }
            product = self._take(f"track {row.track_id}", ProductRow, values)
            if product is not None and row.track_id in found:
                self._skip(f"track {row.track_id}", "another track has the same id")
            elif product is not None:
                found[row.track_id] = product
        return found

    def _orders(self, customers: _Customers, products: _Products) -> tuple[OrderRow, ...]:
        lines: dict[int, list[_Line]] = defaultdict(list)
        for line in self._file.invoice_line:
            lines[line.invoice_id].append(line)
        found: dict[int, OrderRow] = {}
        for row in self._file.invoice:
            reason = _objection(row, lines[row.invoice_id], customers, products)
            if reason is None and row.invoice_id in found:
                reason = "another invoice has the same id"
            if reason is not None:
                self._skip(f"invoice {row.invoice_id}", reason)
                continue
            values = {
                "reference": f"CHINOOK-I{row.invoice_id}",
                "email": customers[row.customer_id].email,
                "status": OrderStatus.DELIVERED,
                "placed_at": row.invoice_date.replace(tzinfo=row.invoice_date.tzinfo or UTC),
                "currency": _CURRENCY,
                "lines": [_line(line, products[line.track_id]) for line in lines[row.invoice_id]],
            }
            order = self._take(f"invoice {row.invoice_id}", OrderRow, values)
            if order is not None:
                found[row.invoice_id] = order
        return tuple(found.values())

    def _take(self, name: str, kind: type[Row], values: dict[str, Any]) -> Row | None:
        """Return *values* as a row of the shop, or None when one of them is nothing the shop would accept."""
        try:
            return msgspec.convert(values, kind)
        except msgspec.ValidationError as error:
            self._skip(name, str(error))
            return None

    def _skip(self, name: str, reason: str) -> None:
        self._skipped.append(Skipped(name, reason))


def _line(line: _Line, product: ProductRow) -> dict[str, Any]:
    return {"sku": product.sku, "quantity": line.quantity, "unit_price": _cents(line.unit_price)}


def _objection(invoice: _Invoice, lines: list[_Line], customers: _Customers, products: _Products) -> str | None:
    """Return why an invoice cannot become an order, or None when it can."""
    if invoice.customer_id not in customers:
        return f"customer {invoice.customer_id} was not taken over"
    if not lines:
        return "it has no lines"
    tracks = [line.track_id for line in lines]
    missing = sorted(set(tracks) - products.keys())
    if missing:
        return f"track {missing[0]} was not taken over"
    if len(set(tracks)) < len(tracks):
        return "it has two lines for one track"
    total = sum(line.unit_price * line.quantity for line in lines)
    if total != invoice.total:
        return f"its lines add up to {total}, its total is {invoice.total}"
    return None


def _cents(amount: Decimal) -> int | Decimal:
    """Return *amount* in cents; not as a whole number when it is none, which no price then accepts."""
    cents = amount * 100
    return int(cents) if cents == cents.to_integral_value() else cents
