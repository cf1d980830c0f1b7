"""Paying and delivering against a real database, with what happens at the same time, and in between."""

from __future__ import annotations

import asyncio

import pytest

from seawall.clock import SystemClock
from seawall.resilience import Resilience
from storefront.payments import Payment, Till
from storefront.problems import NotPayable, NotShippable
from storefront.providers.payments import BuiltInPayments
from storefront.providers.shipping import BuiltInCarrier
from storefront.shipping import Dispatch
from storefront.types import NewOrder, NewOrderLine, OrderStatus

pytestmark = pytest.mark.anyio


class SlowBank(BuiltInPayments):
    """Lets something else happen before and after it takes money."""

    def __init__(self):
        super().__init__()
        self.meanwhile = asyncio.sleep

    async def charge(self, charge, *, idempotency_key=""):
        made = await super().charge(charge, idempotency_key=idempotency_key)
        await self.meanwhile(0.01)
        return made


class SlowCarrier(BuiltInCarrier):
    def __init__(self):
        super().__init__()
        self.meanwhile = asyncio.sleep

    async def ship(self, shipment, *, idempotency_key=""):
        made = await super().ship(shipment, idempotency_key=idempotency_key)
        await self.meanwhile(0.01)
        return made


@pytest.fixture
def bank():
    return SlowBank()


@pytest.fixture
def till(database, clock, orders, bank):
    return Till(database, clock, orders, bank)


@pytest.fixture
async def order(orders, customer, add):
    lamp = await add("A-1")
    return await orders.create(NewOrder(customer_id=customer.id, lines=[NewOrderLine(lamp.id, 2)]))


async def test_the_same_card_many_times_at_once_pays_once(till, bank, order, orders):
    paid = await asyncio.gather(*[till.pay(order.id, "card-1") for _ in range(5)])
    assert len({payment.charge_id for payment in paid}) == 1
    assert await till.pay(order.id, "card-1") == paid[0]
    assert (await orders.get(order.id)).status is OrderStatus.PAID
    stats = await bank.stats()
    assert (stats.charges, stats.refunds) == (1, 0)


async def test_of_two_cards_at_once_one_pays_and_the_other_gets_its_money_back(till, bank, order):
    both_charged = asyncio.Barrier(2)  # however slow the machine; a pause may be too short
    bank.meanwhile = lambda _: both_charged.wait()
    ended = await asyncio.gather(*[till.pay(order.id, card) for card in ("card-1", "card-2")], return_exceptions=True)
    assert {type(each) for each in ended} == {Payment, NotPayable}
    stats = await bank.stats()
    assert (stats.charges, stats.refunds, stats.references) == (2, 1, 1)


async def test_an_order_that_is_cancelled_while_it_is_paid_gets_its_money_back(till, bank, order, orders):
    async def cancel(_):
        await orders.cancel(order.id)

    bank.meanwhile = cancel
    with pytest.raises(NotPayable, match="given back"):
        await till.pay(order.id, "card-1")
    stats = await bank.stats()
    assert (stats.charges, stats.refunds) == (1, 1)
    assert (await orders.get(order.id)).status is OrderStatus.CANCELLED


async def test_an_order_that_is_cancelled_while_it_is_handed_over_is_not_delivered(
    till, order, orders, database, clock
):
    async def cancel(_):
        await orders.cancel(order.id)

    carrier = SlowCarrier()
    dispatch = Dispatch(database, clock, orders, carrier, Resilience(SystemClock(), hooks=()))
    await till.pay(order.id, "card-1")
    carrier.meanwhile = cancel
    with pytest.raises(NotShippable):
        await dispatch.ship(order.id)
    stats = await carrier.stats()
    assert (stats.shipments, stats.cancelled) == (1, 1)


async def test_an_order_is_handed_over_once(till, order, orders, database, clock):
    carrier = SlowCarrier()
    dispatch = Dispatch(database, clock, orders, carrier, Resilience(SystemClock(), hooks=()))
    with pytest.raises(NotShippable):
        await dispatch.ship(order.id)
    await till.pay(order.id, "card-1")
    sent = await asyncio.gather(*[dispatch.ship(order.id) for _ in range(5)])
    assert len({delivery.shipment_id for delivery in sent}) == 1
    assert (await carrier.stats()).shipments == 1
    assert (await orders.get(order.id)).status is OrderStatus.SHIPPED
