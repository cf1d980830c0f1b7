"""How the store reaches its providers, and what stands around each call to them.

Where no address is configured the provider is built in, and no process is needed. Time limits and numbers are those
of a shop whose customers wait.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from pydantic import Field

from seawall.clock import Clock
from seawall.resilience import Backoff, Breaker, Bulkhead, Hedge, Resilience, Retry, Timeout
from seawall.settings import AppSettings, Seconds
from storefront.providers.contracts import Carrier, Exchange, Payments
from storefront.providers.currency import Market
from storefront.providers.payments import BuiltInPayments
from storefront.providers.shipping import BuiltInCarrier
from storefront.service import service

__all__ = ["ProviderSettings"]


class ProviderSettings(AppSettings, table="providers", env_prefix="STOREFRONT_PROVIDERS_"):
    """Where the providers are."""

    payments: str = Field(default="", description="URL of the payment provider; empty for the built-in one.")
    shipping: str = Field(default="", description="URL of the carrier; empty for the built-in one.")
    currency: str = Field(default="", description="URL of the rates of exchange; empty for the built-in ones.")
    rates_for: Seconds = Field(default=10.0, gt=0, le=86_400, description="How long rates of exchange are fresh.")


# region: policies
# A breaker that has seen a provider fail probes it again soon: a shop that cannot sell is losing money.
_BREAKER = Breaker(window="10s", consecutive=5, open_for="1s", growth=1, probes=2)
_BACKOFF = Backoff(first="50ms", longest="500ms")

# Money is taken and parcels are sent under a key: where the answer was lost, they are asked for again.
_ORDERS = (
    Timeout("3s"),
    Retry(attempts=3, backoff=_BACKOFF),
    _BREAKER,
    Timeout("800ms"),
    Bulkhead(limit=20, queue=20, patience="300ms"),
)
# Everybody who looks at a price in other money waits for these: a second call goes out as soon as the first is slower
# than usual. They are cached, so a retry would come later than the next caller.
_CURRENCY = (_BREAKER, Timeout("500ms"), Hedge(after="p95", until_known="150ms"), Bulkhead(limit=10))


# endregion


@service.resource
def resilience(clock: Clock) -> Resilience:
    """Keep every breaker, budget and bulkhead of this process."""
    return Resilience(clock, service.random)


# region: reach
@service.resource
async def payments(resilience: Resilience) -> AsyncIterator[Payments]:
    """Reach the payment provider."""
    url = ProviderSettings.load().payments
    if not url:
        yield BuiltInPayments()
        return
    async with service.client("payments", url, resilience.pipeline("payments", *_ORDERS)) as client:
        yield client.bind(Payments)


# endregion


@service.resource
async def carrier(resilience: Resilience) -> AsyncIterator[Carrier]:
    """Reach the carrier."""
    url = ProviderSettings.load().shipping
    if not url:
        yield BuiltInCarrier()
        return
    async with service.client("shipping", url, resilience.pipeline("shipping", *_ORDERS)) as client:
        yield client.bind(Carrier)


@service.resource
async def exchange(resilience: Resilience, clock: Clock) -> AsyncIterator[Exchange]:
    """Reach the rates of exchange."""
    url = ProviderSettings.load().currency
    if not url:
        yield Market(clock)
        return
    async with service.client("currency", url, resilience.pipeline("currency", *_CURRENCY)) as client:
        yield client.bind(Exchange)
