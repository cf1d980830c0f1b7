"""Orders are placed once however often they are sent, and product pages are kept until the product changes."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from sqlalchemy import func, select

from seawall.clock import SystemClock

pytestmark = pytest.mark.anyio


@pytest.fixture
async def shop(url, seed, tmp_path, log_in):
    """A client of a server process, known as staff; and how many orders there are, counted beside it."""
    from storefront.database import Database
    from storefront.process import environment, serving
    from storefront.tables import orders

    await seed(url)
    environ = environment(url)
    database = Database(url)

    async def count():
        async with database.read() as connection:
            return await connection.scalar(select(func.count()).select_from(orders))

    async with (
        serving("storefront.app:service", tmp_path / "server.log", environ, SystemClock()) as server,
        httpx.AsyncClient(base_url=server.address, trust_env=False, timeout=30) as http,
    ):
        http.headers.update(await log_in(server.address, environ))
        yield http, count
    await database.close()


async def test_orders_are_placed_once_and_pages_follow_them(shop):
    http, count = shop
    new = {"sku": "ONE-1", "name": "Lamp", "category": "Lighting", "price": 1, "stock": 50}
    product = (await http.post("/products", json=new)).json()["id"]
    page = f"/products/{product}"
    order = {"customer_id": 1, "lines": [{"product_id": product, "quantity": 1}]}
    before = await count()

    async def buy(key, body=order):
        return await http.post("/orders", json=body, headers={"idempotency-key": key} if key else {})

    # Twenty at once with one key: one order, one answer.
    answers = await asyncio.gather(*(buy("a") for _ in range(20)))
    while 409 in {answer.status_code for answer in answers}:  # those that came while it was placed come again
        answers = await asyncio.gather(*(buy("a") for _ in range(20)))
    assert {(answer.status_code, answer.content, answer.headers["location"]) for answer in answers} == {
        (201, answers[0].content, answers[0].headers["location"])
    }
    assert (await buy("a")).headers["idempotency-replayed"] == "true"
    assert await count() == before + 1
    # The page is kept, and follows the stock at once.
    assert (await http.get(page)).json()["stock"] == 49
    kept = await http.get(page)
    assert kept.headers["cache-status"].startswith("seawall; hit")
    known = {"if-none-match": kept.headers["etag"]}
    assert (await http.get(page, headers=known)).status_code == 304
    assert (await buy("b")).status_code == 201
    changed = await http.get(page, headers=known)
    assert (changed.status_code, changed.json()["stock"]) == (200, 48)
    assert (await http.post(f"{(await buy('b')).headers['location']}/cancellation")).status_code == 200
    assert (await http.get(page)).json()["stock"] == 49
    assert (await http.patch(page, json={"price": 2})).status_code == 200
    assert (await http.get(f"/items/{product}")).json()["price"] == "0.02 USD"
    # What is refused, and what is not kept.
    assert (await buy(None)).status_code == 400
    other = {"customer_id": 2, "lines": order["lines"]}
    assert (await buy("a", other)).status_code == 422
    assert (await buy("c", order | {"lines": []})).status_code == 422
    assert (await buy("c")).status_code == 201, "what was wrong in its form was not kept under its key"
    short = {"customer_id": 1, "lines": [{"product_id": product, "quantity": 99}]}
    refused, again = await buy("d", short), await buy("d", short)
    assert (refused.status_code, again.status_code) == (409, 409)
    assert refused.content == again.content
    assert again.headers["idempotency-replayed"] == "true"
    assert await count() == before + 3
    # A batch, with a key and without.
    batch = {"products": [new | {"sku": "ONE-2"}]}
    first, second = [
        await http.post("/product-batches", json=batch, headers={"idempotency-key": "e"}) for _ in range(2)
    ]
    assert first.json() == second.json()
    assert second.json()["created"] == 1
    assert (await http.post("/product-batches", json=batch)).json()["refused"] == 1
    await http.delete(page)
    assert (await http.get(page)).status_code == 404
    metrics = (await http.get("/metrics")).text
    outcomes = {
        line.partition('outcome="')[2].partition('"')[0]: float(line.rpartition(" ")[2])
        for line in metrics.splitlines()
        if line.startswith("seawall_idempotency_calls_total{") and 'operation="create_order"' in line
    }
    assert outcomes["stored"] == 4
    assert outcomes["mismatch"] == 1
    assert outcomes["released"] == 1
    assert outcomes["replayed"] >= 21
