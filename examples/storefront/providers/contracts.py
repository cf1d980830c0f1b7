"""What the providers offer, as the store declares it: the types that go over the wire, and the calls."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Protocol

import msgspec
from msgspec import Meta

from seawall import Conflict, NotFound
from seawall.client import delete, get, post

__all__ = [
    "Cancelled",
    "Card",
    "CardDeclined",
    "Carrier",
    "Charge",
    "Exchange",
    "NewCharge",
    "NewShipment",
    "NoSuchCharge",
    "NoSuchShipment",
    "PaymentStats",
    "Payments",
    "Quote",
    "Rates",
    "Refund",
    "Shipment",
    "ShippingStats",
]

Reference = Annotated[str, Meta(min_length=1, max_length=80, pattern=r"^[0-9A-Za-z-]+\Z")]
Amount = Annotated[int, Meta(ge=0, le=2**53 - 1)]
CurrencyCode = Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z", examples=["USD"])]
Card = Annotated[str, Meta(min_length=1, max_length=80, pattern=r"^[0-9A-Za-z-]+\Z", examples=["card-visa"])]


class CardDeclined(Conflict):
    """409: the bank says no."""

    type = "urn:problem-type:payments:card-declined"
    title = "The card was declined"


class NoSuchCharge(NotFound):
    """404: there is no charge with this id."""

    type = "urn:problem-type:payments:no-such-charge"
    title = "No such charge"


class NoSuchShipment(NotFound):
    """404: there is no shipment with this id."""

    type = "urn:problem-type:shipping:no-such-shipment"
    title = "No such shipment"


class NewCharge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be paid, and by which card."""

    reference: Reference
    amount: Amount
    currency: CurrencyCode
    card: Card


class Charge(msgspec.Struct, frozen=True):
    """What was paid."""

    id: str
    reference: str
    amount: int
    currency: str


class Refund(msgspec.Struct, frozen=True):
    """What was paid back."""

    charge_id: str
    amount: int


class PaymentStats(msgspec.Struct, frozen=True):
    """The provider's books in numbers; *references* counts what was paid for, *declined* what was not."""

    charges: int
    references: int
    refunds: int
    declined: int


class NewShipment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be collected and delivered."""

    reference: Reference
    pieces: Annotated[int, Meta(ge=1, le=1_000_000)]


class Shipment(msgspec.Struct, frozen=True):
    """What is on its way."""

    id: str
    reference: str
    pieces: int


class Cancelled(msgspec.Struct, frozen=True):
    """What is not on its way any more."""

    id: str


class Quote(msgspec.Struct, frozen=True):
    """What delivery costs, in cents, and how many days it takes."""

    price: int
    currency: str
    days: int


class ShippingStats(msgspec.Struct, frozen=True):
    """The carrier's day in numbers."""

    shipments: int
    cancelled: int


class Rates(msgspec.Struct, frozen=True):
    """What one unit of *base* is worth in others, as of a moment."""

    base: str
    as_of: datetime
    rates: dict[str, float]


# region: payments
class Payments(Protocol):
    """The payment provider."""

    @post("/charges", raises=[CardDeclined])
    async def charge(self, charge: NewCharge, *, idempotency_key: str) -> Charge:
        """Take money; the same key takes it once."""
        ...

    @post("/charges/{charge_id}/refund", idempotent=True, raises=[NoSuchCharge])
    async def refund(self, charge_id: str) -> Refund:
        """Give it back; a second time changes nothing."""
        ...

    @get("/stats")
    async def stats(self) -> PaymentStats:
        """Return the books in numbers."""
        ...


# endregion


class Carrier(Protocol):
    """The carrier."""

    @get("/quotes")
    async def quote(self, pieces: int) -> Quote:
        """Return what it costs to deliver so many pieces."""
        ...

    @post("/shipments")
    async def ship(self, shipment: NewShipment, *, idempotency_key: str) -> Shipment:
        """Have something delivered; the same key has it delivered once."""
        ...

    @delete("/shipments/{shipment_id}", raises=[NoSuchShipment])
    async def cancel(self, shipment_id: str) -> Cancelled:
        """Have it not delivered after all; a second time changes nothing."""
        ...

    @get("/stats")
    async def stats(self) -> ShippingStats:
        """Return the day in numbers."""
        ...


class Exchange(Protocol):
    """Whoever knows the rates of exchange."""

    @get("/rates/{base}")
    async def rates(self, base: str) -> Rates:
        """Return the rates of now."""
        ...
