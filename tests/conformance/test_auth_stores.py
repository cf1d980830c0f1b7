"""What every store of identity does, whatever it is made of."""

import asyncio
import contextlib
import os
import time
import uuid

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import create_async_engine

from seawall.auth import ApiKey, Grant, Revocation
from seawall.auth.issuing import Family
from seawall.auth.memory import MemoryApiKeys, MemoryRefreshTokens, MemoryRevocations, MemorySessions, MemorySignIns
from seawall.auth.oidc import Flow
from seawall.auth.redis import RedisRefreshTokens, RedisRevocations, RedisSessions, RedisSignIns
from seawall.auth.sessions import Session
from seawall.auth.sql import SqlApiKeys, SqlRefreshTokens, metadata

pytestmark = pytest.mark.anyio

REDIS_URL = os.environ.get("SEAWALL_REDIS_URL", "redis://127.0.0.1:6379")
POSTGRES_URL = os.environ.get("SEAWALL_TEST_POSTGRES_URL", "postgresql+asyncpg://root@127.0.0.1:5432/test")
ANN = Grant(subject="ann", roles=frozenset({"staff"}), scopes=frozenset({"a", "b"}), client="app", claims={"n": 1})


def _missing(what, error):
    reason = f"{what} cannot be used: {error}"
    if os.environ.get("SEAWALL_REQUIRE_SERVICES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
async def connect_redis():
    """Connects to Redis when it is asked to; what was written under the prefix is deleted in the end."""
    connection, prefix = Redis.from_url(REDIS_URL), f"test-auth-{uuid.uuid4().hex}"
    used = []

    async def connect():
        try:
            await connection.ping()
        except (RedisError, OSError) as error:
            _missing("Redis", error)
        used.append(prefix)
        return connection, prefix

    yield connect
    if used:
        async for key in connection.scan_iter(f"{prefix}:*"):
            await connection.delete(key)
    await connection.aclose()


@contextlib.asynccontextmanager
async def engine_of(kind, tmp_path):
    schema = f"auth_{uuid.uuid4().hex}"
    if kind == "sqlite":
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'auth.sqlite3'}")
    else:
        engine = create_async_engine(POSTGRES_URL, connect_args={"server_settings": {"search_path": schema}})
    try:
        if kind != "sqlite":
            try:
                async with engine.begin() as connection:
                    await connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
            except OSError as error:
                _missing("PostgreSQL", error)
        async with engine.begin() as connection:
            await connection.run_sync(metadata.create_all)
        yield engine
        if kind != "sqlite":
            async with engine.begin() as connection:
                await connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
    finally:
        await engine.dispose()


@pytest.fixture
async def database():
    """Makes an engine with the tables of identity by the name of its kind."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(kind, tmp_path):
            return await stack.enter_async_context(engine_of(kind, tmp_path))

        yield make


@pytest.fixture
async def made(connect_redis, database, tmp_path):
    """Makes a store by the name of its kind: `await made("redis", Memory, Redis, Sql)`."""

    async def make(kind, memory, redis=None, sql=None):
        if kind == "memory":
            return memory()
        if kind == "redis":
            return redis(*await connect_redis())
        return sql(await database(kind, tmp_path))

    return make


class TestRefreshTokens:
    @pytest.fixture(params=["memory", "redis", "sqlite", "postgresql"])
    async def store(self, request, made):
        return await made(request.param, MemoryRefreshTokens, RedisRefreshTokens, SqlRefreshTokens)

    def family(self, name="f1", seconds=60.0, grant=ANN):
        return Family(name, grant, time.time() + seconds)

    async def test_a_token_is_used_once(self, store):
        family = self.family()
        await store.open(family, "h1")
        rotation = await store.rotate("f1", "h1", "h2", time.time())
        assert (rotation.outcome, rotation.family) == ("rotated", family)
        assert (await store.rotate("f1", "h2", "h3", time.time())).outcome == "rotated"
        again = await store.rotate("f1", "h1", "h4", time.time())
        assert (again.outcome, again.family) == ("reused", family)
        assert (await store.rotate("f1", "h3", "h5", time.time())).outcome == "unknown"

    async def test_of_many_at_once_one_wins_and_the_family_ends(self, store):
        await store.open(self.family(), "h1")
        rotations = await asyncio.gather(*(store.rotate("f1", "h1", f"n{n}", time.time()) for n in range(10)))
        outcomes = [each.outcome for each in rotations]
        assert outcomes.count("rotated") == 1
        assert outcomes.count("reused") == 1
        assert outcomes.count("unknown") == 8

    async def test_families_end(self, store):
        await store.open(self.family("f1"), "h1")
        await store.open(self.family("f2"), "h2")
        await store.open(self.family("f3", grant=Grant(subject="bob")), "h3")
        await store.open(self.family("f4", seconds=30), "h4")
        await store.revoke_family("f1")
        await store.revoke_family("f1")
        assert (await store.rotate("f1", "h1", "x", time.time())).outcome == "unknown"
        assert (await store.rotate("f4", "h4", "x", time.time() + 31)).outcome == "unknown"
        assert await store.revoke_subject("ann") == 1
        assert await store.revoke_subject("ann") == 0
        assert (await store.rotate("f2", "h2", "x", time.time())).outcome == "unknown"
        assert (await store.rotate("f3", "h3", "x", time.time())).outcome == "rotated"


class TestSessions:
    @pytest.fixture(params=["memory", "redis"])
    async def store(self, request, made):
        return await made(request.param, MemorySessions, RedisSessions)

    async def test_sessions_open_and_end(self, store):
        session = Session(ANN, "csrf", time.time() + 60)
        await store.open_session("m1", session)
        await store.open_session("m2", session)
        await store.open_session("m3", Session(Grant(subject="bob"), "c", time.time() + 60))
        assert await store.read_session("m1", time.time()) == session
        assert await store.read_session("m2", time.time() + 61) is None
        assert await store.read_session("m9", time.time()) is None
        await store.close_session("m1")
        await store.close_session("m1")
        assert await store.read_session("m1", time.time()) is None
        await store.open_session("m4", session)
        assert await store.close_sessions("ann") in (1, 2)
        assert await store.read_session("m4", time.time()) is None
        assert await store.read_session("m3", time.time()) is not None


class TestSignIns:
    @pytest.fixture(params=["memory", "redis"])
    async def store(self, request, made):
        return await made(request.param, MemorySignIns, RedisSignIns)

    async def test_a_flow_is_taken_once(self, store):
        flow = Flow("n", "v", "https://shop.example/callback", "b", "/then")
        await store.keep_flow("s1", flow, time.time() + 60)
        taken = await asyncio.gather(*(store.take_flow("s1", time.time()) for _ in range(10)))
        assert [each for each in taken if each is not None] == [flow]
        await store.keep_flow("s2", flow, time.time() + 60)
        assert await store.take_flow("s2", time.time() + 61) is None


class TestRevocations:
    @pytest.fixture(params=["memory", "redis"])
    async def store(self, request, made):
        return await made(request.param, MemoryRevocations, RedisRevocations)

    async def test_each_reader_reads_every_decision_once(self, store):
        now = time.time()
        first, second = Revocation("token", "j1", now, now + 60), Revocation("subject", "ann", now, now + 60)
        assert (await store.read(""))[0] == []
        await store.revoke(first)
        fresh, mark = await store.read("")
        assert fresh == [first]
        assert await store.read(mark) == ([], mark)
        await store.revoke(second)
        assert (await store.read(mark))[0] == [second]
        assert (await store.read(""))[0] == [first, second]


class TestApiKeys:
    @pytest.fixture(params=["memory", "sqlite", "postgresql"])
    async def store(self, request, made):
        return await made(request.param, MemoryApiKeys, None, SqlApiKeys)

    async def test_keys_are_kept_used_and_taken_back(self, store):
        key = ApiKey(prefix="p1", digest="d", subject="ann", name="n", scopes=frozenset({"a", "b"}), created=1.5)
        await store.add(key)
        await store.add(ApiKey(prefix="p2", digest="d", subject="ann", created=2.5, expires=9.25))
        assert await store.find("p1") == key
        assert await store.find("p9") is None
        assert [each.prefix for each in await store.list("ann")] == ["p2", "p1"]
        assert await store.list("bob") == []
        await store.used("p1", 10.0)
        await store.used("p1", 5.0)
        assert (await store.find("p1")).last_used == 10.0
        assert not await store.revoke("p1", "bob", 11.0)
        assert await store.revoke("p1", "ann", 11.0)
        assert not await store.revoke("p1", None, 12.0)
        assert (await store.find("p1")).revoked == 11.0
