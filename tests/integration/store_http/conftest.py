"""The store, served: in memory, and by a server process of its own."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path

import pytest

from support.databases import postgres_url, sqlite_url, url

__all__ = ["postgres_url", "sqlite_url", "url"]

EXAMPLES = str(Path(__file__).parents[3] / "examples")
if EXAMPLES not in sys.path:
    sys.path.insert(0, EXAMPLES)


async def add_key(request):
    """Sends every order under a key of its own, unless it has one."""
    if request.method == "POST" and request.url.path == "/orders":
        request.headers.setdefault("idempotency-key", uuid.uuid4().hex)


@pytest.fixture
async def http(url, monkeypatch):
    """A client for the store, which answers in this process and keeps its data in an empty database."""
    from seawall.testing import client
    from storefront.app import service
    from storefront.identity import staff_token

    monkeypatch.setenv("STOREFRONT_DATABASE_URL", url)
    async with client(service) as made:
        made.event_hooks["request"].append(add_key)
        made.headers["authorization"] = f"Bearer {staff_token()}"
        # Of the database of another test, whose products had the same numbers.
        await service.cache.invalidate_tags(*(f"product:{number}" for number in range(1, 200)))
        yield made


@pytest.fixture
def log_in():
    """Logs staff in at a server: `await log_in(address, environ)` is what to send."""
    import httpx

    async def login(address, environ):
        credentials = {"username": "staff", "password": environ["STOREFRONT_STAFF_PASSWORD"]}
        async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
            pair = (await http.post(f"{address}/login", json=credentials)).raise_for_status().json()
        return {"authorization": f"Bearer {pair['access_token']}"}

    return login


@pytest.fixture
async def seed():
    """Fills a database with a small shop: `await seed(url)`."""
    import random

    from storefront.database import Database
    from storefront.load import load
    from storefront.seed import generate

    async def fill(url):
        database = Database(url)
        try:
            await database.create_tables()
            await load(database, generate(random.Random(1), customers=100, products=300, orders=500))
        finally:
            await database.close()

    return fill
