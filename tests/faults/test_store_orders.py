"""The shop is killed under load, again and again: every order that was answered is there, and none is twice."""

from __future__ import annotations

import asyncio
import random
import signal
from pathlib import Path

import httpx
import pytest

from support.keyed import Clients
from support.nursery import nursery

EXAMPLES = Path(__file__).parents[2] / "examples"
KILLS, CLIENTS = 5, 20


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'shop.sqlite3'}"
    return request.getfixturevalue("postgres_database")


async def fill(url):
    from storefront.database import Database
    from storefront.load import load
    from storefront.seed import generate

    database = Database(url)
    try:
        await database.drop_tables()
        await database.create_tables()
        await load(database, generate(random.Random(1), customers=100, products=300, orders=10))
    finally:
        await database.close()


@pytest.mark.full
def test_every_order_is_there_once(url, tmp_path):
    from storefront.ledger import Ledger

    ledger, chance = Ledger(), random.Random(3)

    async def buy(clients, name, token, stop):
        number = 0
        while not stop.is_set():
            number += 1
            key = f"{name}-{number}"
            order = {"customer_id": 1, "lines": [{"product_id": chance.randrange(1, 300), "quantity": 1}]}
            ledger.sending(key)
            answer = await clients.until_done("/orders", order, key, authorization=token)
            ledger.answered(key, answer.status, answer.body, answer.field("location"), replayed=answer.replayed)
            again = await clients.until_done("/orders", order, key, authorization=token)
            ledger.answered(key, again.status, again.body, again.field("location"), replayed=again.replayed)

    async def under_load(serving):
        await fill(url)
        await ledger.begin(url)
        clients, stop, token = Clients(0), asyncio.Event(), ""
        async with asyncio.TaskGroup() as group:
            for number in range(KILLS + 1):
                running = serving()
                server = await asyncio.to_thread(running.__enter__)
                try:
                    clients.port = server.port
                    if not token:
                        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=30) as http:
                            pair = (await http.post("/login", json={"username": "staff", "password": "open"})).json()
                        token = f"Bearer {pair['access_token']}"
                        buying = [group.create_task(buy(clients, f"c{n}", token, stop)) for n in range(CLIENTS)]
                    if number < KILLS:
                        await asyncio.sleep(1 + chance.random())
                        await asyncio.to_thread(server.end, signal.SIGKILL)
                    else:
                        stop.set()
                        await asyncio.wait(buying)
                        await clients.close()
                finally:
                    await asyncio.to_thread(running.__exit__, None, None, None)

    with nursery("storefront.app:service", EXAMPLES, tmp_path) as made:
        settings = {
            "STOREFRONT_DATABASE_URL": url,
            "STOREFRONT_STAFF_PASSWORD": "open",
            "SEAWALL_IDEMPOTENCY_LEASE": "1s",
        }
        asyncio.run(under_load(lambda: made.serving(**settings)))
    verdict = asyncio.run(ledger.close(url))
    assert verdict.wrong == ()
    assert verdict.placed > CLIENTS
    print(
        f"{verdict.placed} orders of {verdict.keys} keys through {KILLS} kills, {verdict.replayed} answered as before"
    )
