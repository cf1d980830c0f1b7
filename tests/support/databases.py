"""Fixtures for tests that need a database of their own: a SQLite file and, where there is one, PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import uuid

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

POSTGRES_URL = os.environ.get("SEAWALL_TEST_POSTGRES_URL", "postgresql+asyncpg://postgres@127.0.0.1:5432/test")


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
