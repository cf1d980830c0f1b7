"""One class for every store of idempotency keys: memory, Redis, SQLite, PostgreSQL."""

import asyncio
import os
import uuid

import pytest

from seawall.clock import SystemClock
from seawall.data.database import Database
from seawall.data.redis.connections import Connections
from seawall.idempotency.memory import MemoryStore
from seawall.idempotency.redis import RedisStore
from seawall.idempotency.sql import SqlStore
from seawall.settings import DatabaseSettings, RedisSettings

pytestmark = pytest.mark.anyio

REDIS_URL = os.environ.get("SEAWALL_TEST_REDIS_URL", "redis://127.0.0.1:6379/0")


@pytest.fixture(params=["memory", "redis", "sqlite", "postgresql"])
def place(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'keys.sqlite3'}"
    return request.getfixturevalue("postgres_database") if request.param == "postgresql" else request.param


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
    made = SqlStore(Database(DatabaseSettings(url=place)), clock, owned=True)
    yield made
    await made.close()


@pytest.fixture
def key():
    return uuid.uuid4().hex


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
        await store.release(key, "b")
        assert (await store.claim(key, "f", "c", 30)).state == "running"
        await store.release(key, "a")
        assert (await store.claim(key, "g", "c", 30)).state == "claimed"

    async def test_what_is_complete_cannot_be_released(self, store, key):
        await store.claim(key, "f", "a", 30)
        await store.complete(key, "a", b"x", 30)
        await store.release(key, "a")
        assert (await store.claim(key, "f", "b", 30)).state == "done"

    async def test_an_expired_claim_is_taken_over_and_the_late_one_fenced_off(self, store, key):
        await store.claim(key, "f", "late", 0.05)
        await asyncio.sleep(0.1)
        assert (await store.claim(key, "f", "next", 30)).state == "claimed"
        assert not await store.complete(key, "late", b"late", 30)
        await store.release(key, "late")
        assert await store.complete(key, "next", b"next", 30)

    async def test_an_expired_answer_is_forgotten(self, store, key):
        await store.claim(key, "f", "a", 30)
        await store.complete(key, "a", b"x", 0.05)
        await asyncio.sleep(0.1)
        await store.forget()
        assert (await store.claim(key, "g", "b", 30)).state == "claimed"
