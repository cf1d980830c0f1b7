"""Errands that need the providers: paying, delivering, prices in other money, the dashboard."""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import Any, Protocol

import httpx

from seawall.clock import Clock
from storefront.tally import Tally

__all__ = ["Shopper", "settle"]

PROVIDER_DOWN = (502, 503, 504)
"""What a customer may be told while a provider is not well; nothing has been lost by then, and it is quick."""


class _Asks(Protocol):
    _tally: Tally
    _chance: random.Random

    async def ask(
        self, kind: str, method: str, url: str, expect: Collection[int], **options: Any
    ) -> httpx.Response | None: ...

    async def place(self, order: dict[str, Any]) -> httpx.Response | None: ...

    def _customer(self) -> int: ...


class Shopper:
    """Somebody who buys what is ordered."""

    async def buy(self: _Asks) -> None:
        """Order, see what delivery costs, pay; now and then by a card that is declined first, or twice."""
        line = {"product_id": 1 + int(self._chance.random() * 300), "quantity": 1}
        made = await self.place({"customer_id": self._customer(), "lines": [line]})
        if made is None or made.status_code != 201:
            return
        place = made.headers["Location"]
        cost = await self.ask("delivery cost", "GET", f"{place}/delivery-cost", [200])
        if cost is not None:
            self._tally.notes["cost estimated" if cost.json()["estimated"] else "cost asked"] += 1
        if self._chance.random() < 0.05:
            declined = {"card": f"declined-{self._chance.getrandbits(32)}"}
            await self.ask("declined card", "POST", f"{place}/payment", [409, *PROVIDER_DOWN], json=declined)
        payment = f"{place}/payment"
        paid = await self.ask("pay", "POST", payment, [200, *PROVIDER_DOWN], json=_CARD)
        if paid is None or paid.status_code != 200:
            self._tally.unsettled.append(payment)
            return
        self._tally.notes["paid"] += 1
        if self._chance.random() < 0.1:
            again = await self.ask("pay again", "POST", payment, [200], json=_CARD)
            if again is not None and again.json() != paid.json():
                self._tally.complain("pay again", f"{payment}: another payment than before")
        if self._chance.random() < 0.3:
            await self.ask("ship", "POST", f"{place}/shipment", [200, *PROVIDER_DOWN])

    async def compare(self: _Asks) -> None:
        """Look what something costs in other money."""
        product = 1 + int(self._chance.random() * 300)
        currency = self._chance.choice(("EUR", "GBP", "JPY"))
        # 404: a clerk may have retired it
        await self.ask("other money", "GET", f"/products/{product}/price?currency={currency}", [200, 404])

    async def look(self: _Asks) -> None:
        """Look at the shop in numbers: all of its own, and of the providers' what can be had."""
        shown = await self.ask("dashboard", "GET", "/dashboard", [200])
        if shown is not None:
            self._tally.notes["dashboard partly" if shown.json()["missing"] else "dashboard whole"] += 1


_PERSISTENCE = 20  # how often somebody asks again
_CARD = {"card": "card-visa"}


async def settle(http: httpx.AsyncClient, tally: Tally, clock: Clock) -> None:
    """Ask again for the payments that met a fault, as their customers would: after the time the answer names."""
    for payment in tally.unsettled:
        answer = await http.post(payment, json=_CARD)
        for _ in range(_PERSISTENCE):
            if answer.status_code not in PROVIDER_DOWN:
                break
            await clock.sleep(float(answer.headers.get("retry-after", "0.5")))
            answer = await http.post(payment, json=_CARD)
        if answer.status_code != 200:
            tally.complain("pay", f"{payment}: asked again, {answer.status_code} {answer.text[:200]}")
        else:
            tally.notes["settled"] += 1
