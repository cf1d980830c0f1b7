"""The spans of commands: in recorded calls one for each, in others none; never with a key or a value."""

from __future__ import annotations

import uuid

import pytest
from opentelemetry.trace import StatusCode
from redis.asyncio import Redis

from seawall.data.redis import Script, redis
from seawall.data.redis.reading import read
from seawall.settings import LimitSettings, RedisSettings
from seawall.testing.client import client
from support.traced import RECORDED, Traced, shown

pytestmark = pytest.mark.anyio
SECRET = "hunter2"
ADD = Script("return redis.call('INCRBY', KEYS[1], ARGV[1])")


@pytest.fixture
async def shop(redis_url):
    traced = Traced(redis=RedisSettings(url=redis_url), limit=LimitSettings(store="redis"))
    service = traced.service
    redis(service)
    key = f"{uuid.uuid4().hex}:{SECRET}"

    @service.get("/one")
    async def one(store: Redis) -> None:
        await store.set(key, SECRET, ex=60)

    @service.get("/wrong")
    async def wrong(store: Redis) -> None:
        await store.set(key, SECRET, ex=60)
        await store.lpush(key, SECRET)

    @service.get("/many")
    async def many(store: Redis) -> list[int]:
        async with store.pipeline() as batch:
            await batch.incr(key + "n").incr(key + "n").execute()
        async with store.pipeline(transaction=False) as batch:
            batch.set(key, SECRET, ex=60).expire(key + "n", 60)
            await batch.execute()
            await batch.execute()
        return []

    @service.get("/script")
    async def script(store: Redis) -> None:
        await ADD(store, [key + "s"], 2)
        await store.expire(key + "s", 60)

    @service.get("/read")
    async def read_one(store: Redis) -> None:
        await read(store, (key,))

    @service.get("/limited", rate="1000/minute")
    async def limited() -> None:
        """Ask nothing by itself."""

    async with client(service) as http:
        yield traced, http


async def test_a_command(shop):
    traced, http = shop
    await http.get("/one", headers=RECORDED)
    (span,) = await traced.spans()
    assert shown(span) == (
        "SET",
        {
            "db.system.name": "redis",
            "db.operation.name": "SET",
            "db.query.text": "SET ? ? ? ?",
            "db.namespace": "0",
            "server.address": "127.0.0.1",
            "server.port": 6379,
        },
    )
    assert span.kind.name == "CLIENT"


async def test_a_read_of_the_cache(shop):
    traced, http = shop
    await http.get("/read", headers=RECORDED)
    (span,) = await traced.spans()
    assert (span.name, span.attributes["db.query.text"]) == ("MGET", "MGET ?")
    assert SECRET not in span.to_json()


async def test_a_call_that_is_not_recorded_has_none(shop):
    traced, http = shop
    for path in ("/one", "/many", "/script", "/limited"):
        assert (await http.get(path)).status_code < 300
    assert await traced.spans() == []


async def test_what_the_server_says_is_told_by_its_first_word(shop):
    traced, http = shop
    assert (await http.get("/wrong", headers=RECORDED)).status_code == 500
    good, bad = await traced.spans()
    assert good.status.status_code is StatusCode.UNSET
    assert bad.status.status_code is StatusCode.ERROR
    assert bad.attributes["error.type"] == bad.attributes["db.response.status_code"] == "WRONGTYPE"


async def test_a_pipeline_is_one(shop):
    traced, http = shop
    await http.get("/many", headers=RECORDED)
    spans = await traced.spans()
    assert [(span.name, span.attributes["db.operation.batch.size"]) for span in spans] == [
        ("MULTI INCRBY", 2),
        ("PIPELINE", 2),
    ]


async def test_a_script_is_known_by_its_hash(shop):
    traced, http = shop
    await http.get("/script", headers=RECORDED)
    spans = [span for span in await traced.spans() if span.name.startswith("EVAL")]
    # the server may not know it yet
    assert [span.name for span in spans] in (["EVALSHA"], ["EVALSHA", "EVAL"])
    assert spans[0].attributes["db.stored_procedure.name"] == ADD.sha
    assert spans[0].attributes["db.query.text"] == "EVALSHA ? ? ? ?"


async def test_limits_that_are_kept_there_are_seen(shop):
    traced, http = shop
    await http.get("/limited")
    await traced.spans()
    await http.get("/limited", headers=RECORDED)
    assert [span.name for span in await traced.spans()] == ["EVALSHA"]
