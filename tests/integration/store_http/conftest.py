"""The store, served: in memory, and by a server process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from support.databases import postgres_url, sqlite_url, url

__all__ = ["postgres_url", "sqlite_url", "url"]

EXAMPLES = str(Path(__file__).parents[3] / "examples")
if EXAMPLES not in sys.path:
    sys.path.insert(0, EXAMPLES)


@pytest.fixture
async def http(url, monkeypatch):
    """A client for the store, which answers in this process and keeps its data in an empty database."""
    from seawall.testing import client
    from storefront.app import service

    monkeypatch.setenv("STOREFRONT_DATABASE_URL", url)
    async with client(service) as made:
        yield made


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
