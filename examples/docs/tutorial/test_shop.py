"""Tests of the shop, as the tutorial writes them."""

from collections.abc import AsyncIterator

import httpx
import pytest
from shop import Shop, service

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """Seawall runs on asyncio."""
    return "asyncio"


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """A client of the service, which has one mug to sell."""
    with service.override(Shop, Shop({"mug": 1})):
        transport = httpx.ASGITransport(service)
        async with service.running(), httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            yield client


async def test_the_last_mug_is_sold_once(client: httpx.AsyncClient) -> None:
    """The second customer is told that there is none left."""
    order = {"customer": "Ann", "lines": [{"sku": "mug", "quantity": 1}]}

    first = await client.post("/orders", json=order)
    second = await client.post("/orders", json=order)

    assert first.status_code == 201
    assert (await client.get(first.headers["location"])).json()["customer"] == "Ann"
    assert second.status_code == 409
    assert second.json()["type"] == "urn:problem-type:shop:out-of-stock"


async def test_a_wrong_order_is_refused_with_every_place(client: httpx.AsyncClient) -> None:
    """All that is wrong is said at once."""
    wrong = {"customer": "", "lines": [{"sku": "mug", "quantity": 0}]}

    answer = await client.post("/orders", json=wrong)

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/customer", "/lines/0/quantity"]
