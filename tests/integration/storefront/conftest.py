"""The storefront's databases: a SQLite file and, where there is one, PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

ROOT = Path(__file__).parents[3]
EXAMPLES = str(ROOT / "examples")
if EXAMPLES not in sys.path:
    sys.path.insert(0, EXAMPLES)

POSTGRES_URL = os.environ.get("SEAWALL_TEST_POSTGRES_URL", "postgresql+asyncpg://postgres@127.0.0.1:5432/test")


class FixedClock:
    """A clock whose time the test sets. The shop asks it for the time of day only."""

    def __init__(self, now: float = 1_770_000_000.25) -> None:
        self.now = now

    def time(self) -> float:
        return self.now


async def _administer(url: str, *statements: str) -> None:
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            for statement in statements:
                await connection.execute(text(statement))
    finally:
        await engine.dispose()


@pytest.fixture(scope="session")
def postgres_url():
    """The URL of a database of this run's own, dropped at its end."""
    name = f"storefront_{uuid.uuid4().hex}"
    try:
        asyncio.run(_administer(POSTGRES_URL, f"CREATE DATABASE {name}"))
    except (OSError, SQLAlchemyError) as error:
        reason = f"PostgreSQL cannot be used at {make_url(POSTGRES_URL).render_as_string()}: {error}"
        if os.environ.get("SEAWALL_REQUIRE_SERVICES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    yield make_url(POSTGRES_URL).set(database=name).render_as_string(hide_password=False)
    asyncio.run(_administer(POSTGRES_URL, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def sqlite_url(tmp_path):
    """The URL of a SQLite file that does not exist yet, for what is SQLite's alone."""
    return f"sqlite:///{tmp_path / 'shop.sqlite3'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, sqlite_url):
    """The URL of an empty database."""
    if request.param == "sqlite":
        return sqlite_url
    url = request.getfixturevalue("postgres_url")
    asyncio.run(_administer(url, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public"))
    return url


@pytest.fixture
async def database(url):
    """A database with the shop's tables, and nothing in them."""
    from storefront.database import Database

    database = Database(url)
    await database.create_tables()
    yield database
    assert database.engine.pool.checkedout() == 0, "a connection was not given back"
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
