"""The storefront's databases: a SQLite file and, where there is one, PostgreSQL."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from support.databases import postgres_url, sqlite_url, url

__all__ = ["postgres_url", "sqlite_url", "url"]

ROOT = Path(__file__).parents[3]
EXAMPLES = str(ROOT / "examples")
if EXAMPLES not in sys.path:
    sys.path.insert(0, EXAMPLES)


class FixedClock:
    """A clock whose time the test sets. The shop asks it for the time of day only."""

    def __init__(self, now: float = 1_770_000_000.25) -> None:
        self.now = now

    def time(self) -> float:
        return self.now


@pytest.fixture
async def database(url):
    """A database with the shop's tables, and nothing in them."""
    from storefront.database import Database

    database = Database(url)
    await database.create_tables()
    yield database
    assert sum(pool.in_use for pool in database.stats()) == 0, "a connection was not given back"
    await database.close()


@pytest.fixture
def clock():
    return FixedClock()


@pytest.fixture
def users(database, clock):
    from storefront.users import Users

    return Users(database, clock)


@pytest.fixture
def products(database, clock):
    from storefront.products import Products

    return Products(database, clock)


@pytest.fixture
def orders(database, clock):
    from storefront.orders import Orders

    return Orders(database, clock)


@pytest.fixture
async def customer(users):
    from storefront.types import NewUser

    return await users.create(NewUser(email="ada@example.com", name="Ada Lovelace"))


@pytest.fixture
def add(products):
    """Adds a product: `await add("A-1", stock=3)`."""
    from storefront.types import NewProduct

    async def add(sku, **values):
        values = {"name": f"Product {sku}", "category": "Things", "price": 1_000, "stock": 10} | values
        return await products.create(NewProduct(sku=sku, **values))

    return add


@pytest.fixture
def chinook_path():
    path = ROOT.parent / "shared" / "data" / "chinook" / "chinook.json"
    if not path.exists():
        pytest.skip("the Chinook data set (../shared/data/chinook/chinook.json) is not here")
    return path
