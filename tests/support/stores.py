"""The servers that tests of stores use, and what happens when one is missing."""

from __future__ import annotations

import asyncio
import os
import uuid

import pytest
from sqlalchemy.exc import SQLAlchemyError

from seawall.data import Database, DatabaseUnavailable
from seawall.settings import DatabaseSettings

__all__ = ["MYSQL_URL", "POSTGRES_URL", "REDIS_URL", "missing", "mysql_url", "postgres_database", "redis_url"]

POSTGRES_URL = os.environ.get("SEAWALL_TEST_POSTGRES_URL", "postgresql://root@127.0.0.1:5432/test")
MYSQL_URL = os.environ.get("SEAWALL_TEST_MYSQL_URL", "mysql://root@127.0.0.1:3306/mysql")
REDIS_URL = os.environ.get("SEAWALL_TEST_REDIS_URL", "redis://127.0.0.1:6379/0")


def missing(what: str, error: object) -> None:
    """Skip the test, or fail it where every service must be there."""
    reason = f"{what} cannot be used: {error}"
    if os.environ.get("SEAWALL_REQUIRE_SERVICES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


async def _administer(url: str, statement: str) -> None:
    database = Database(DatabaseSettings(url=url))
    try:
        async with database.driver() as connection:
            if hasattr(connection, "cursor") and database.backend.name == "mysql":
                async with connection.cursor() as cursor:
                    await cursor.execute(statement)
            else:
                await connection.execute(statement)
    finally:
        await database.close()


def _own(url: str, what: str, drop: str):
    name = f"seawall_{uuid.uuid4().hex[:16]}"
    try:
        asyncio.run(_administer(url, f"CREATE DATABASE {name}"))
    except (OSError, SQLAlchemyError, DatabaseUnavailable) as error:
        missing(what, error.__cause__ or error)
    yield url.rpartition("/")[0] + "/" + name
    asyncio.run(_administer(url, drop.format(name)))


@pytest.fixture(scope="session")
def postgres_database():
    """The URL of a PostgreSQL database of this run's own, dropped at its end."""
    yield from _own(POSTGRES_URL.replace("+asyncpg", ""), "PostgreSQL", "DROP DATABASE {} WITH (FORCE)")


@pytest.fixture(scope="session")
def mysql_url():
    """The URL of a MariaDB database of this run's own, dropped at its end."""
    yield from _own(MYSQL_URL, "MariaDB", "DROP DATABASE {}")


@pytest.fixture
async def redis_url():
    """The URL of a Redis that answers."""
    from redis.asyncio import Redis
    from redis.exceptions import RedisError

    client = Redis.from_url(REDIS_URL)
    try:
        await client.ping()
    except (OSError, RedisError) as error:
        missing("Redis", error)
    finally:
        await client.aclose()
    return REDIS_URL
