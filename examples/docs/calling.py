"""Calls to another service: declared, guarded, known by a token."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Protocol

from msgspec import Struct

from seawall import Conflict, Service
from seawall.client import Client, ClientCredentials, Destinations, Header, RemoteProblem, get, post
from seawall.resilience import Breaker, Bulkhead, Resilience, Retry, Timeout
from seawall.settings import AppSettings


# region: interface
class NewCharge(Struct):
    """What is to be charged."""

    order: int
    amount: int


class Charge(Struct):
    """What was charged."""

    id: str
    amount: int


class CardDeclined(Conflict):
    """The provider knows this problem by its type."""

    type = "urn:problem-type:payments:card-declined"
    title = "The card was declined"


class Payments(Protocol):
    """What the provider offers."""

    @get("/charges/{charge_id}")
    async def read(self, charge_id: str, expand: list[str] | None = None) -> Charge:
        """Return one charge."""
        ...

    @post("/charges", key=True, raises=[CardDeclined])
    async def charge(self, charge: NewCharge, tenant: Annotated[str, Header("X-Tenant")]) -> Charge:
        """Charge a card; made again under the same Idempotency-Key where no answer came."""
        ...


# endregion


# region: client
class Shop(AppSettings, table="shop", env_prefix="SHOP_"):
    """Where others are."""

    payments_url: str = "https://payments.example"
    token_url: str = "https://login.example/oauth/token"  # noqa: S105 - an address
    client_id: str = "shop"
    client_secret: str = "not set"  # noqa: S105 - none


service = Service("shop")
resilience = Resilience()
policies = resilience.pipeline("payments", Retry(), Breaker(), Timeout("2s"), Bulkhead(limit=20))


@service.resource
async def payments() -> AsyncIterator[Payments]:
    """Keep connections to the provider, and a token for it, as long as the service runs."""
    shop = Shop.load()
    async with (
        ClientCredentials(shop.token_url, shop.client_id, shop.client_secret, scope="charges") as auth,
        service.client("payments", shop.payments_url, policies, auth=auth) as client,
    ):
        yield client.bind(Payments)


@service.post("/orders/{order_id}/pay", timeout=5)
async def pay(order_id: int, amount: int, payments: Payments) -> Charge:
    """Pay an order."""
    return await payments.charge(NewCharge(order_id, amount), tenant="shop")


# endregion


# region: errors
async def find(payments: Payments, charge_id: str) -> Charge | None:
    """Return a charge, or None where the provider knows none."""
    try:
        return await payments.read(charge_id)
    except RemoteProblem as problem:
        if problem.answer_status == 404:
            return None
        raise


# endregion


# region: streams
async def copy(client: Client, source: str, target: str) -> None:
    """Pass a file on as it comes."""
    async with client.stream("GET", source) as stream:
        await client.request("PUT", target, aiter(stream))


# endregion


# region: untrusted
def pictures() -> Client:
    """Return a client for URLs that users gave."""
    return Client("pictures", "https://pictures.invalid", destinations=Destinations())


async def fetch(client: Client, url: str) -> bytes:
    """Fetch what a user's URL leads to, unless it leads inside."""
    return (await client.request("GET", url)).body


# endregion
