"""The carrier: ``seawall run storefront.providers.shipping:service``."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from seawall import Service
from storefront.providers.contracts import Cancelled, NewShipment, NoSuchShipment, Quote, Shipment, ShippingStats
from storefront.providers.faults import faulty

__all__ = ["BuiltInCarrier", "Depot", "service"]


class Depot:
    """What is delivered, and what that costs."""

    def __init__(self) -> None:
        self._shipments: dict[str, Shipment] = {}
        self._cancelled: set[str] = set()

    async def quote(self, pieces: int) -> Quote:
        """Return what it costs to deliver so many pieces."""
        return Quote(price=390 + 60 * pieces, currency="USD", days=2 if pieces <= 5 else 3)

    async def ship(self, shipment: NewShipment) -> Shipment:
        """Have something delivered, as often as it is asked for."""
        made = Shipment(f"sh-{len(self._shipments) + 1}", shipment.reference, shipment.pieces)
        self._shipments[made.id] = made
        return made

    async def cancel(self, shipment_id: str) -> Cancelled:
        """Have it not delivered after all; a second time changes nothing.

        Raises:
            NoSuchShipment: Nothing is delivered under that id.
        """
        if shipment_id not in self._shipments:
            raise NoSuchShipment(f"There is no shipment {shipment_id}.")
        self._cancelled.add(shipment_id)
        return Cancelled(shipment_id)

    async def stats(self) -> ShippingStats:
        """Count."""
        return ShippingStats(len(self._shipments), len(self._cancelled))


class BuiltInCarrier(Depot):
    """The carrier within the store, where no other is configured; keys are remembered as the service does."""

    def __init__(self) -> None:
        super().__init__()
        self._by_key: dict[str, Shipment] = {}

    async def ship(self, shipment: NewShipment, *, idempotency_key: str = "") -> Shipment:
        """Have something delivered; the same key has it delivered once."""
        made = self._by_key.get(idempotency_key)
        if made is None:
            made = await super().ship(shipment)
            self._by_key[idempotency_key] = made
        return made


service = Service("shipping", title="Shipping", timeout=10)
api = service.group(tags=["Shipping"], guards=[faulty(service)])
service.resource(Depot)


@api.get("/quotes")
async def read_quote(pieces: Annotated[int, Meta(ge=1, le=1_000_000)], depot: Depot) -> Quote:
    """Return what it costs to deliver so many pieces."""
    return await depot.quote(pieces)


@api.post("/shipments", status=201, idempotent=True)
async def create_shipment(shipment: NewShipment, depot: Depot) -> Shipment:
    """Have something delivered; the same `Idempotency-Key` has it delivered once."""
    return await depot.ship(shipment)


@api.delete("/shipments/{shipment_id}", problems=[NoSuchShipment])
async def cancel_shipment(shipment_id: str, depot: Depot) -> Cancelled:
    """Have it not delivered after all; a second time changes nothing."""
    return await depot.cancel(shipment_id)


@api.get("/stats")
async def read_stats(depot: Depot) -> ShippingStats:
    """Return the day in numbers."""
    return await depot.stats()
