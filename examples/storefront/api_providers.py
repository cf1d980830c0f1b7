"""What the store does with the help of others, over HTTP: being paid, delivering, and prices in other money."""

from __future__ import annotations

from typing import Annotated

from seawall import Query, Unavailable
from seawall.client import BadGateway
from storefront.currency import ConvertedPrice, Currencies, CurrencyWanted
from storefront.identity import owns_order
from storefront.outside import ProviderSettings
from storefront.payments import NewPayment, Payment, Till
from storefront.problems import NoSuchOrder, NoSuchProduct, NotPayable, NotShippable, NotTraded
from storefront.products import Products
from storefront.providers.contracts import CardDeclined, Exchange
from storefront.service import api, service
from storefront.shipping import Delivery, DeliveryCost, Dispatch
from storefront.types import Id

__all__ = ["pay_order", "read_delivery_cost", "read_price", "ship_order"]

service.resource(Till)
service.resource(Dispatch)


@service.resource
def currencies(exchange: Exchange) -> Currencies:
    """Keep rates in the service's cache."""
    return Currencies(exchange, service.cache, ProviderSettings.load().rates_for)


@api.post(
    "/orders/{order_id}/payment",
    tags=["Orders"],
    allow=owns_order,
    max_body="4 KiB",
    timeout=5,
    on_disconnect="finish",
    problems=[NoSuchOrder, NotPayable, CardDeclined, BadGateway, Unavailable],
)
async def pay_order(order_id: Id, payment: NewPayment, till: Till) -> Payment:
    """Pay an order. Paying again by the same card changes nothing, so it may be asked for until there is an answer.

    Raises:
        NotPayable: It is paid by another card, on its way, or cancelled.
        CardDeclined: The bank says no.

    Example:
        {"card": "card-visa"}
    """
    return await till.pay(order_id, payment.card)


@api.post(
    "/orders/{order_id}/shipment",
    tags=["Orders"],
    roles={"staff"},
    timeout=5,
    on_disconnect="finish",
    problems=[NoSuchOrder, NotShippable, BadGateway, Unavailable],
)
async def ship_order(order_id: Id, dispatch: Dispatch) -> Delivery:
    """Hand a paid order to the carrier. A second time changes nothing.

    Raises:
        NotShippable: It is not paid, or cancelled.
    """
    return await dispatch.ship(order_id)


@api.get("/orders/{order_id}/delivery-cost", tags=["Orders"], allow=owns_order, timeout=5, problems=[NoSuchOrder])
async def read_delivery_cost(order_id: Id, dispatch: Dispatch) -> DeliveryCost:
    """Return what the delivery of an order costs: what the carrier says, or an estimate where it cannot be asked."""
    return await dispatch.cost(order_id)


@api.get(
    "/products/{product_id}/price",
    public=True,
    tags=["Products"],
    timeout=5,
    problems=[NoSuchProduct, NotTraded, BadGateway, Unavailable],
)
async def read_price(
    product_id: Id, wanted: Annotated[CurrencyWanted, Query()], products: Products, currencies: Currencies
) -> ConvertedPrice:
    """Return what a product costs in other money, by the rates of the moment that `as_of` names.

    Raises:
        NotTraded: Nobody trades that currency, or the one the product is sold in.
    """
    return await currencies.price(await products.get(product_id), wanted.currency)
