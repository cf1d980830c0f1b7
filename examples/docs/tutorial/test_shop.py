"""Tests of the shop, as the tutorial writes them."""

from collections.abc import AsyncIterator

import pytest
from httpx import AsyncClient
from shop import Shop, service

from seawall.testing.client import client

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """Seawall runs on asyncio."""
    return "asyncio"


@pytest.fixture
async def http() -> AsyncIterator[AsyncClient]:
    """A client of the service, which has one mug to sell."""
    with service.override(Shop, Shop({"mug": 1})):
        async with client(service) as made:
            yield made


async def test_the_last_mug_is_sold_once(http: AsyncClient) -> None:
    """The second customer is told that there is none left."""
    order = {"customer": "Ann", "lines": [{"sku": "mug", "quantity": 1}]}

    first = await http.post("/orders", json=order)
    second = await http.post("/orders", json=order)

    assert first.status_code == 201
    assert (await http.get(first.headers["location"])).json()["customer"] == "Ann"
    assert second.status_code == 409
    assert second.json()["type"] == "urn:problem-type:shop:out-of-stock"


async def test_a_wrong_order_is_refused_with_every_place(http: AsyncClient) -> None:
    """All that is wrong is said at once."""
    wrong = {"customer": "", "lines": [{"sku": "mug", "quantity": 0}]}

    answer = await http.post("/orders", json=wrong)

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/customer", "/lines/0/quantity"]
