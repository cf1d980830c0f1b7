"""Paying for orders: money is taken once, and given back where the order was no longer to be paid."""

from __future__ import annotations

import msgspec
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from seawall.clock import Clock
from storefront.database import Database
from storefront.moments import now
from storefront.orders import Orders
from storefront.problems import NotPayable
from storefront.providers.contracts import Card, Charge, NewCharge, Payments
from storefront.tables import orders, payments
from storefront.types import Currency, Id, Moment, Order, OrderStatus

__all__ = ["NewPayment", "Payment", "Till"]


class NewPayment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """By which card an order is paid."""

    card: Card


class Payment(msgspec.Struct, frozen=True):
    """What was paid for an order."""

    order_id: Id
    charge_id: str
    amount: int
    currency: Currency
    card: str
    paid_at: Moment


class Till:
    """Takes money for orders."""

    def __init__(self, database: Database, clock: Clock, orders: Orders, provider: Payments) -> None:
        self._database = database
        self._clock = clock
        self._orders = orders
        self._provider = provider

    async def pay(self, order_id: int, card: str) -> Payment:
        """Take the money for an order by *card*; paying again by the same card changes nothing.

        Whatever becomes of this process in between, the same call made again ends in the same payment: the key under
        which the provider is asked is that of the order and the card.

        Raises:
            NoSuchOrder: There is none with that id.
            NotPayable: It is paid by another card, on its way, or cancelled.
            CardDeclined: The bank says no.
            Problem: The provider cannot be reached; the order is as it was.
        """
        order = await self._orders.get(order_id)
        async with self._database.read() as connection:
            known = await _paid(connection, order_id)
        if known is not None and known.card == card:
            return known
        if order.status is not OrderStatus.PLACED:
            raise NotPayable(f"Order {order_id} is {order.status}.")
        # region: charge
        reference = f"order-{order.id}-{order.placed_at:%Y%m%d%H%M%S%f}"
        charge = await self._provider.charge(
            NewCharge(reference, order.total, order.currency, card), idempotency_key=f"{reference}-{card}"
        )
        # endregion
        return await self._book(order, card, charge)

    async def _book(self, order: Order, card: str, charge: Charge) -> Payment:
        payment = Payment(order.id, charge.id, charge.amount, charge.currency, card, now(self._clock))
        # The condition is in the statement that changes it: of two cards at once, one pays.
        pay = update(orders).where(orders.c.id == order.id, orders.c.status == OrderStatus.PLACED)
        async with self._database.write() as connection:
            if (await connection.execute(pay.values(status=OrderStatus.PAID))).rowcount:
                await connection.execute(
                    insert(payments).values(
                        order_id=order.id, charge_id=charge.id, amount=charge.amount,
                        currency=charge.currency, card=card, paid_at=payment.paid_at,
                    )
                )  # fmt: skip
                return payment
            known = await _paid(connection, order.id)
        if known is not None and known.card == card:
            return known  # the same call, made twice at once, and one charge
        await self._provider.refund(charge.id)
        raise NotPayable(f"Order {order.id} was paid or cancelled meanwhile; the money has been given back.")


async def _paid(connection: AsyncConnection, order_id: int) -> Payment | None:
    row = (await connection.execute(select(payments).where(payments.c.order_id == order_id))).one_or_none()
    return None if row is None else Payment(**row._mapping)  # noqa: SLF001 - the row as a mapping
