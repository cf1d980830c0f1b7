"""Rates of exchange: ``seawall run storefront.providers.currency:service``."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from seawall import NotFound, Service
from seawall.clock import Clock
from storefront.providers.contracts import Rates
from storefront.providers.faults import faulty

__all__ = ["Market", "service"]

_PAR = {"USD": 1.0, "EUR": 0.92, "GBP": 0.79, "JPY": 151.0, "CHF": 0.88, "SEK": 10.5}
_SWING = 0.005  # up and down, within a few minutes


class Market:
    """What money is worth, which changes all the time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def rates(self, base: str) -> Rates:
        """Return the rates of now.

        Raises:
            NotFound: Nobody trades that.
        """
        if base not in _PAR:
            raise NotFound(f"There are no rates of {base}.")
        now = self._clock.time()
        worth = {
            name: par if name == "USD" else par * (1 + _SWING * math.sin(now / 60 + number))
            for number, (name, par) in enumerate(_PAR.items())
        }
        return Rates(
            base,
            datetime.fromtimestamp(now, UTC),
            {name: round(value / worth[base], 6) for name, value in worth.items()},
        )


service = Service("currency", title="Rates of exchange", timeout=10)
api = service.group(tags=["Rates"], guards=[faulty(service)])
service.resource(Market)


@api.get("/rates/{base}", problems=[NotFound])
async def read_rates(base: str, market: Market) -> Rates:
    """Return what one unit of a currency is worth in others."""
    return await market.rates(base)
