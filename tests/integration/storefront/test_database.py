from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from seawall.problems import Unavailable
from storefront.database import Database
from storefront.types import NewUser
from storefront.users import Users

pytestmark = pytest.mark.anyio

INSERT = text("INSERT INTO users (email, name, created_at) VALUES ('a@b.c', 'A', '2026-01-01 00:00:00+00')")


async def test_sqlite_is_set_up_for_a_service(sqlite_url):
    database = Database(sqlite_url)
    async with database.read() as connection:
        settings = {}
        for name in ("journal_mode", "foreign_keys", "busy_timeout", "synchronous"):
            settings[name] = await connection.scalar(text(f"PRAGMA {name}"))
    await database.close()
    assert settings == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 5_000, "synchronous": 1}


async def test_workers_that_start_together_make_the_tables_once(url):
    databases = [Database(url) for _ in range(4)]
    try:
        await asyncio.gather(*(database.create_tables() for database in databases))
    finally:
        for database in databases:
            await database.close()


async def test_a_failed_block_writes_nothing(database, users):
    async def fail():
        async with database.write() as connection:
            await connection.execute(INSERT)
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        await fail()
    assert (await users.stats()).total == 0


async def test_when_all_connections_are_taken_the_next_is_told_to_come_back(url):
    database = Database(url, connections=1, wait=0.1)
    try:
        await database.create_tables()
        async with database.read():
            with pytest.raises(Unavailable) as caught:
                async with database.read():
                    pass
        assert (caught.value.status, caught.value.headers["Retry-After"]) == (503, "1")
        async with database.read() as connection:
            assert await connection.scalar(text("SELECT 1")) == 1
    finally:
        await database.close()


async def test_writers_of_another_process_are_waited_for_and_then_told(sqlite_url, clock):
    here, there = Database(sqlite_url, wait=0.2), Database(sqlite_url, wait=0.2)
    try:
        await here.create_tables()
        async with there.write():
            with pytest.raises(Unavailable):
                await Users(here, clock).create(NewUser(email="a@b.c", name="A"))
        assert await Users(here, clock).create(NewUser(email="a@b.c", name="A"))
    finally:
        await here.close()
        await there.close()


async def test_readers_do_not_wait_for_a_writer(database, users):
    async with database.write() as connection:
        await connection.execute(INSERT)
        async with asyncio.timeout(2):
            assert (await users.stats()).total == 0


async def test_a_writer_that_waits_its_turn_in_vain_is_told(sqlite_url, clock):
    database = Database(sqlite_url, wait=0.2)
    try:
        await database.create_tables()
        async with database.write():
            with pytest.raises(Unavailable, match="busy"):
                await Users(database, clock).create(NewUser(email="a@b.c", name="A"))
    finally:
        await database.close()
