"""One class for every store of idempotency keys: memory, Redis, SQLite, PostgreSQL, MariaDB."""

import asyncio
import os
import uuid

import pytest

from seawall.clock import SystemClock
from seawall.data.database import Database
from seawall.data.redis.connections import Connections
from seawall.idempotency.memory import MemoryStore
from seawall.idempotency.redis import RedisStore
from seawall.idempotency.sql import SqlStore, metadata
from seawall.settings import DatabaseSettings, RedisSettings

pytestmark = pytest.mark.anyio

REDIS_URL = os.environ.get("SEAWALL_TEST_REDIS_URL", "redis://127.0.0.1:6379/0")


@pytest.fixture
async def database(place):
    made = Database(DatabaseSettings(url=place))
    yield made
    await made.close()


SERVERS = {"postgresql": "postgres_database", "mysql": "mysql_url"}


@pytest.fixture
def place(request, kind, tmp_path):
    if kind == "sqlite":
        return f"sqlite:///{tmp_path / 'keys.sqlite3'}"
    return request.getfixturevalue(SERVERS[kind]) if kind in SERVERS else kind


@pytest.fixture
async def store(place):
    clock = SystemClock()
    if place == "memory":
        yield MemoryStore(clock, 1000)
        return
    if place == "redis":
        made = RedisStore(Connections(RedisSettings(url=REDIS_URL)), f"seawall:test:{uuid.uuid4().hex}:")
        try:
            await made.claim("probe", "f", "t", 1)
        except OSError as error:
            if os.environ.get("SEAWALL_REQUIRE_SERVICES") == "1":
                pytest.fail(f"Redis cannot be used: {error}")
            pytest.skip(f"Redis cannot be used: {error}")
        yield made
        await made.close()
        return
    database = Database(DatabaseSettings(url=place))
    made = SqlStore(database, clock, owned=True)
    await made.create()
    async with database.write() as connection:  # what other tests have left may expire while this one counts
        await connection.execute(metadata.tables["seawall_idempotency"].delete())
    yield made
    await made.close()


@pytest.fixture
def key():
    return uuid.uuid4().hex


@pytest.mark.parametrize("kind", ["memory", "redis", "sqlite", "postgresql", "mysql"])
class TestStore:
    async def test_one_of_many_claims(self, store, key):
        found = await asyncio.gather(*(store.claim(key, "f", f"token{number}", 30) for number in range(20)))
        assert sorted(each.state for each in found) == ["claimed"] + ["running"] * 19
        assert all(0 < each.left <= 30 for each in found if each.state == "running")

    async def test_an_answer_is_kept_with_its_fingerprint(self, store, key):
        await store.claim(key, "f", "a", 30)
        assert await store.complete(key, "a", b"\x00\xffanswer", 30)
        found = await store.claim(key, "other", "b", 30)
        assert (found.state, found.fingerprint, found.answer) == ("done", "f", b"\x00\xffanswer")

    async def test_an_empty_answer_is_one(self, store, key):
        await store.claim(key, "f", "a", 30)
        assert await store.complete(key, "a", b"", 30)
        assert (await store.claim(key, "f", "b", 30)).state == "done"

    async def test_only_the_claimant_completes_and_once(self, store, key):
        await store.claim(key, "f", "a", 30)
        assert not await store.complete(key, "b", b"x", 30)
        assert await store.complete(key, "a", b"first", 30)
        assert not await store.complete(key, "a", b"second", 30)
        assert (await store.claim(key, "f", "c", 30)).answer == b"first"

    async def test_only_the_claimant_releases(self, store, key):
        await store.claim(key, "f", "a", 30)
        assert not await store.hold(key, "b", 0)
        assert (await store.claim(key, "f", "c", 30)).state == "running"
        assert await store.hold(key, "a", 0)
        assert not await store.hold(key, "a", 0)
        assert (await store.claim(key, "g", "c", 30)).state == "claimed"

    async def test_what_is_complete_is_neither_released_nor_held(self, store, key):
        await store.claim(key, "f", "a", 30)
        await store.complete(key, "a", b"x", 30)
        assert not await store.hold(key, "a", 0)
        assert not await store.hold(key, "a", 0.001)
        assert (await store.claim(key, "f", "b", 30)).state == "done"

    async def test_a_claim_that_is_held_lasts(self, store, key):
        await store.claim(key, "f", "a", 0.3)
        for _ in range(3):
            await asyncio.sleep(0.15)
            assert await store.hold(key, "a", 0.3)
            assert not await store.hold(key, "b", 30)
        found = await store.claim(key, "f", "b", 30)
        assert found.state == "running"
        assert 0 < found.left <= 0.3

    async def test_an_expired_claim_is_taken_over_and_the_late_one_fenced_off(self, store, key):
        await store.claim(key, "f", "late", 0.05)
        await asyncio.sleep(0.1)
        assert (await store.claim(key, "g", "next", 30)).state == "claimed"
        assert not await store.complete(key, "late", b"late", 30)
        assert not await store.hold(key, "late", 30)
        assert not await store.hold(key, "late", 0)
        assert await store.complete(key, "next", b"next", 30)
        found = await store.claim(key, "g", "third", 30)
        assert (found.fingerprint, found.answer) == ("g", b"next")

    async def test_many_take_over_what_has_expired_and_one_gets_it(self, store, key):
        await store.claim(key, "f", "late", 0.05)
        await asyncio.sleep(0.1)
        found = await asyncio.gather(*(store.claim(key, "f", f"token{number}", 30) for number in range(20)))
        assert sorted(each.state for each in found) == ["claimed"] + ["running"] * 19

    async def test_a_large_answer_is_kept_whole(self, store, key):
        answer = bytes(range(256)) * 1024  # more than a BLOB of MariaDB holds
        await store.claim(key, "f", "a", 30)
        assert await store.complete(key, "a", answer, 30)
        assert (await store.claim(key, "f", "b", 30)).answer == answer

    async def test_an_expired_answer_is_forgotten(self, store, key):
        await store.claim(key, "f", "a", 30)
        await store.complete(key, "a", b"x", 0.05)
        await asyncio.sleep(0.1)
        await store.forget(1000)
        assert (await store.claim(key, "g", "b", 30)).state == "claimed"


@pytest.mark.parametrize("kind", ["memory", "sqlite", "postgresql", "mysql"])
class TestCleaning:
    """Redis deletes what has expired by itself."""

    async def test_so_many_are_forgotten_at_once_and_no_more(self, store, key):
        for number in range(5):
            await store.claim(f"{key}-{number}", "f", "a", 0.05)
        await store.claim(key, "f", "a", 30)
        await asyncio.sleep(0.1)
        assert [await store.forget(2) for _ in range(4)] == [2, 2, 1, 0]
        assert (await store.claim(key, "f", "b", 30)).state == "running"


@pytest.mark.parametrize("kind", ["redis"])
class TestSent:
    """What a broken connection makes the driver send again."""

    async def test_twice_finds_what_the_first_has_done(self, store, key):
        for _ in range(2):
            assert (await store.claim(key, "f", "a", 30)).state == "claimed"
        for _ in range(2):
            assert await store.complete(key, "a", b"x", 30)
        assert not await store.complete(key, "a", b"y", 30)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "mysql"])
class TestInTransactions:
    async def test_an_answer_counts_once_its_transaction_does(self, store, database, key):
        await store.claim(key, "f", "a", 30)
        async with database.session() as session:
            assert await store.complete_in(session, key, "a", b"undone", 30)
            await session.rollback()
        assert (await store.claim(key, "f", "b", 30)).state == "running"
        async with database.session() as session:
            assert await store.complete_in(session, key, "a", b"done", 30)
        assert (await store.claim(key, "f", "b", 30)).answer == b"done"

    async def test_a_late_one_learns_of_it_within_its_transaction(self, store, database, key):
        await store.claim(key, "f", "late", 0.05)
        await asyncio.sleep(0.1)
        await store.claim(key, "f", "next", 30)
        async with database.session() as session:
            assert not await store.complete_in(session, key, "late", b"late", 30)


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
class TestCleaningBesideOthers:
    """SQLite has one writer."""

    async def test_cleaning_waits_for_nobody(self, store, database, key):
        for number in range(3):
            await store.claim(f"{key}-{number}", "f", "a", 0.05)
        await asyncio.sleep(0.1)
        async with database.session() as session:
            await store.complete_in(session, f"{key}-1", "a", b"x", 30)
            async with asyncio.timeout(2):
                assert await store.forget(1000) == 2
        assert (await store.claim(f"{key}-1", "f", "b", 30)).state == "done"
