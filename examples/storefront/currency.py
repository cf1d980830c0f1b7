"""Prices in other money: rates are cached, asked for twice where they are slow, and old ones are better than none."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import msgspec

from seawall.cache import Cache, Keep
from seawall.problems import FieldError
from storefront.problems import NotTraded
from storefront.providers.contracts import Exchange, Rates
from storefront.types import Currency, Id, Moment, Product

__all__ = ["ConvertedPrice", "Currencies", "CurrencyWanted"]

_BASE = "USD"
_KEY = "rates of exchange"


class CurrencyWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """In which money."""

    currency: Currency


class ConvertedPrice(msgspec.Struct, frozen=True):
    """A price in other money, in cents, by the rate of a moment."""

    product_id: Id
    price: int
    currency: Currency
    rate: float
    as_of: Moment


class Currencies:
    """Knows what money is worth.

    Args:
        exchange: Whom to ask.
        cache: Where rates are kept.
        fresh: Seconds they are fresh. For as long again they are given out while new ones are fetched, and for an hour
            where nobody can tell newer ones.
    """

    def __init__(self, exchange: Exchange, cache: Cache, fresh: float) -> None:
        self._exchange = exchange
        self._cache = cache
        # region: keep
        self._keep = Keep(fresh, stale_while_revalidate=fresh, stale_if_error="1h")
        # endregion

    async def rates(self) -> Rates:
        """Return the rates, as of the moment they name.

        Raises:
            Problem: Nobody can tell them, and none are known.
        """
        return await self._cache.get_or_load(_KEY, self._load, self._keep)

    async def price(self, product: Product, currency: str) -> ConvertedPrice:
        """Return what *product* costs in *currency*.

        Raises:
            NotTraded: Nobody trades that currency, or the one the product is sold in.
        """
        rates = await self.rates()
        wanted, given = rates.rates.get(currency), rates.rates.get(product.currency)
        if given is None:
            raise NotTraded(f"There is no rate of {product.currency}, in which product {product.id} is sold.")
        if wanted is None:
            detail = f"There is no rate of {currency}."
            raise NotTraded(detail, errors=[FieldError(detail, parameter="currency", location="query")])
        amount = Decimal(product.price) * Decimal(str(wanted)) / Decimal(str(given))
        return ConvertedPrice(
            product.id, int(amount.to_integral_value(ROUND_HALF_EVEN)), currency, wanted / given, rates.as_of
        )

    async def _load(self) -> Rates:
        return await self._exchange.rates(_BASE)
