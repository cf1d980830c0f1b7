"""What can be wrong with a request to the shop, beyond its form."""

from __future__ import annotations

from seawall.problems import Conflict, InvalidInput, NotFound

__all__ = [
    "EmailTaken",
    "InvalidCursor",
    "NoSuchOrder",
    "NoSuchProduct",
    "NoSuchUser",
    "NotCancellable",
    "NotPayable",
    "NotShippable",
    "NotTraded",
    "OutOfStock",
    "SkuTaken",
]


class NoSuchUser(NotFound):
    """404: there is no user with this id."""

    type = "urn:problem-type:storefront:no-such-user"
    title = "No such user"


class NoSuchProduct(NotFound):
    """404: there is no product with this id."""

    type = "urn:problem-type:storefront:no-such-product"
    title = "No such product"


class NoSuchOrder(NotFound):
    """404: there is no order with this id."""

    type = "urn:problem-type:storefront:no-such-order"
    title = "No such order"


class EmailTaken(Conflict):
    """409: another user has this address."""

    type = "urn:problem-type:storefront:email-taken"
    title = "Email address taken"


class SkuTaken(Conflict):
    """409: another product has this SKU."""

    type = "urn:problem-type:storefront:sku-taken"
    title = "SKU taken"


class OutOfStock(Conflict):
    """409: there is less of a product than was ordered; ``errors`` names the lines."""

    type = "urn:problem-type:storefront:out-of-stock"
    title = "Out of stock"


class NotCancellable(Conflict):
    """409: the order is on its way, there already, or cancelled before."""

    type = "urn:problem-type:storefront:not-cancellable"
    title = "Order cannot be cancelled"


class NotPayable(Conflict):
    """409: the order is paid already, or cancelled."""

    type = "urn:problem-type:storefront:not-payable"
    title = "Order cannot be paid"


class NotShippable(Conflict):
    """409: the order is not paid, or cancelled."""

    type = "urn:problem-type:storefront:not-shippable"
    title = "Order cannot be shipped"


class InvalidCursor(InvalidInput):
    """422: the cursor is not one that this search gave out."""

    type = "urn:problem-type:storefront:invalid-cursor"
    title = "Invalid cursor"


class NotTraded(Conflict):
    """409: nobody trades the currency that was asked for, or the one the product is sold in."""

    type = "urn:problem-type:storefront:not-traded"
    title = "Currency not traded"
