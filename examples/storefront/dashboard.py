"""The shop at a glance: what it can do without is left out, and said to be missing."""

from __future__ import annotations

from typing import Any

import msgspec

from seawall.clock import Clock
from seawall.concurrency import optional, partial, required
from seawall.problems import Problem
from storefront.currency import Currencies
from storefront.orders import Orders
from storefront.products import Products
from storefront.providers.contracts import Carrier, Payments, PaymentStats, Rates, ShippingStats
from storefront.service import api
from storefront.types import OrderStats, ProductStats, UserStats
from storefront.users import Users

__all__ = ["Dashboard", "MissingPart", "read_dashboard"]

_PATIENCE = "1s"  # how long a part of somebody else's may keep the others waiting


class MissingPart(msgspec.Struct, frozen=True):
    """A part that could not be had, and the problem (RFC 9457) there was with it."""

    part: str
    type: str
    title: str


class Dashboard(msgspec.Struct, frozen=True):
    """Everything at a glance; what providers did not tell in time is null, and *missing* says why."""

    user_stats: UserStats
    order_stats: OrderStats
    product_stats: ProductStats
    payment_stats: PaymentStats | None
    shipping_stats: ShippingStats | None
    exchange_rates: Rates | None
    missing: list[MissingPart]


@api.get("/dashboard", tags=["Dashboard"], roles={"staff", "machine"}, timeout=5)
async def read_dashboard(
    users: Users,
    orders: Orders,
    products: Products,
    payments: Payments,
    carrier: Carrier,
    currencies: Currencies,
    clock: Clock,
) -> Dashboard:
    """Return the shop in numbers, counted side by side within five seconds.

    Its own numbers are all there, or there is a problem. Those of the providers are null where they cannot be had
    within a second, and `missing` says why.
    """
    # region: parts
    shown = await partial(
        dict[str, Any],
        clock=clock,
        user_stats=required(users.stats()),
        order_stats=required(orders.stats()),
        product_stats=required(products.stats()),
        payment_stats=optional(payments.stats(), within=_PATIENCE),
        shipping_stats=optional(carrier.stats(), within=_PATIENCE),
        exchange_rates=optional(currencies.rates(), within=_PATIENCE),
    )
    return Dashboard(**shown.value, missing=[_missing(part, error) for part, error in shown.errors.items()])
    # endregion


def _missing(part: str, error: Exception) -> MissingPart:
    if isinstance(error, Problem):
        return MissingPart(part, error.type, error.title)
    return MissingPart(part, "about:blank", "Something unexpected went wrong")
