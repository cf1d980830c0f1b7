"""Delivering orders: what it costs, and having it done."""

from __future__ import annotations

import msgspec
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from seawall.clock import Clock
from seawall.resilience import Fallback, Resilience
from storefront.database import Database
from storefront.moments import now
from storefront.orders import Orders
from storefront.problems import NotShippable
from storefront.providers.contracts import Carrier, NewShipment
from storefront.tables import orders, shipments
from storefront.types import Cents, Currency, Id, Moment, Order, OrderStatus

__all__ = ["Delivery", "DeliveryCost", "Dispatch"]


class Delivery(msgspec.Struct, frozen=True):
    """An order on its way."""

    order_id: Id
    shipment_id: str
    shipped_at: Moment


class DeliveryCost(msgspec.Struct, frozen=True):
    """What delivery costs, in cents; *estimated* where the carrier could not be asked."""

    price: Cents
    currency: Currency
    days: int
    estimated: bool


# What is charged where the carrier cannot be asked: a little more than usual, so that the shop does not lose by it.
_FLAT = DeliveryCost(price=990, currency="USD", days=5, estimated=True)


class Dispatch:
    """Hands orders to the carrier."""

    def __init__(
        self, database: Database, clock: Clock, orders: Orders, carrier: Carrier, resilience: Resilience
    ) -> None:
        self._database = database
        self._clock = clock
        self._orders = orders
        self._carrier = carrier
        # region: fallback
        self._quote = resilience.pipeline("delivery costs", Fallback(value=_FLAT))(self._ask)
        # endregion

    async def cost(self, order_id: int) -> DeliveryCost:
        """Return what the delivery of an order costs, or an estimate while the carrier cannot be asked.

        Raises:
            NoSuchOrder: There is none with that id.
        """
        return await self._quote(_pieces(await self._orders.get(order_id)))

    async def ship(self, order_id: int) -> Delivery:
        """Have a paid order delivered; a second time changes nothing.

        Raises:
            NoSuchOrder: There is none with that id.
            NotShippable: It is not paid, or cancelled.
            Problem: The carrier cannot be reached; the order is as it was.
        """
        order = await self._orders.get(order_id)
        async with self._database.read() as connection:
            known = await _shipped(connection, order_id)
        if known is not None:
            return known
        if order.status is not OrderStatus.PAID:
            raise NotShippable(f"Order {order_id} is {order.status}.")
        reference = f"order-{order.id}-{order.placed_at:%Y%m%d%H%M%S%f}"
        shipment = await self._carrier.ship(NewShipment(reference, _pieces(order)), idempotency_key=reference)
        delivery = Delivery(order.id, shipment.id, now(self._clock))
        ship = update(orders).where(orders.c.id == order.id, orders.c.status == OrderStatus.PAID)
        async with self._database.write() as connection:
            if (await connection.execute(ship.values(status=OrderStatus.SHIPPED))).rowcount:
                await connection.execute(
                    insert(shipments).values(order_id=order.id, shipment_id=shipment.id, shipped_at=delivery.shipped_at)
                )
                return delivery
            known = await _shipped(connection, order.id)
        if known is not None:
            return known  # the same call, made twice at once
        await self._carrier.cancel(shipment.id)
        raise NotShippable(f"Order {order.id} was cancelled meanwhile.")

    async def _ask(self, pieces: int) -> DeliveryCost:
        quote = await self._carrier.quote(pieces)
        return DeliveryCost(quote.price, quote.currency, quote.days, estimated=False)


def _pieces(order: Order) -> int:
    return sum(line.quantity for line in order.lines)


async def _shipped(connection: AsyncConnection, order_id: int) -> Delivery | None:
    row = (await connection.execute(select(shipments).where(shipments.c.order_id == order_id))).one_or_none()
    return None if row is None else Delivery(row.order_id, row.shipment_id, row.shipped_at)
