"""The store in a server process of its own, under the demonstration's traffic."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from seawall.clock import SystemClock

pytestmark = pytest.mark.anyio


async def test_traffic_is_answered_as_it_should_be(url, seed, tmp_path):
    from storefront.ledger import Ledger
    from storefront.process import environment, serving
    from storefront.tally import Tally
    from storefront.traffic import drive

    await seed(url)
    ledger = Ledger()
    await ledger.begin(url)
    tally, clock, log, environ = Tally(), SystemClock(), tmp_path / "server.log", environment(url)
    async with serving("storefront.app:service", log, environ, clock) as server:
        password = environ["STOREFRONT_STAFF_PASSWORD"]
        await drive(server.address, 5, tally, clock, visitors=4, seed=7, password=password, ledger=ledger)
    assert tally.complaints == []
    verdict = await ledger.close(url)
    assert verdict.wrong == ()
    assert verdict.placed > 0
    assert verdict.sent > verdict.keys
    assert tally.requests > 100
    assert {"place order", "create product", "mistakes", "walk pages"} <= set(tally.kinds)
    lines = log.read_text().splitlines()
    assert '"message":"stopped"' in lines[-1], lines[-1]
    assert not [line for line in lines if '"level":"error"' in line]


async def test_two_servers_share_a_database(url, seed, tmp_path, log_in):
    """Stock is sold once, whoever sells it."""
    from storefront.process import environment, serving

    clock, environ = SystemClock(), environment(url)
    await seed(url)
    async with (
        serving("storefront.app:service", tmp_path / "1.log", environ, clock) as first,
        serving("storefront.app:service", tmp_path / "2.log", environ, clock) as second,
        httpx.AsyncClient(trust_env=False, timeout=30) as http,
    ):
        http.headers.update(await log_in(first.address, environ))  # and known to both, by the secret they share
        new = {"sku": "ONE-1", "name": "Lamp", "category": "Lighting", "price": 1, "stock": 5}
        product = (await http.post(f"{first.address}/products", json=new)).json()["id"]
        order = {"customer_id": 1, "lines": [{"product_id": product, "quantity": 1}]}
        buying = [
            http.post(f"{server.address}/orders", json=order, headers={"idempotency-key": f"buy-{number}"})
            for number, server in enumerate((first, second) * 8)
        ]
        statuses = [answer.status_code for answer in await asyncio.gather(*buying)]
        assert sorted(statuses) == [201] * 5 + [409] * 11
        assert (await http.get(f"{second.address}/products/{product}")).json()["stock"] == 0


async def test_a_server_that_does_not_start_says_why(tmp_path):
    from storefront.process import ServerFailed, environment, serving

    environ = environment(f"sqlite:///{tmp_path / 'missing' / 'shop.sqlite3'}")
    with pytest.raises(ServerFailed, match=r"there is no folder .*missing"):
        async with serving("storefront.app:service", tmp_path / "server.log", environ, SystemClock()):
            pass
