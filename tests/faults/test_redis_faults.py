"""A Redis that restarts, forgets its scripts, or never was there."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from seawall.data.redis import Connections, Script, redis, server_time
from seawall.problems import ConfigurationError
from seawall.settings import RedisSettings, ServiceSettings, Settings
from seawall.testing.client import client
from support.clusters import OwnRedis
from support.settings import service as make_service

pytestmark = pytest.mark.anyio


async def test_one_pool_for_each_url_with_a_name(redis_url):
    connections = Connections(RedisSettings(url=redis_url), name="my shop")
    try:
        await connections.start()
        assert connections.get() is connections.get(redis_url)
        assert await connections.get().client_getname() in ("my-shop", b"my-shop")
        assert await server_time(connections.get()) > 1_700_000_000
    finally:
        await connections.close()


async def test_a_script_is_sent_whole_once_and_then_by_its_hash():
    server = OwnRedis()
    server.start()
    connections = Connections(RedisSettings(url=server.url))
    add = Script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
    try:
        one = connections.get()
        assert [await add(one, ["count"], 2) for _ in range(3)] == [2, 4, 6]
        await one.script_flush()
        assert await add(one, ["count"], 2) == 8
        stats = await one.info("commandstats")
        assert stats["cmdstat_eval"]["calls"] == 2
        assert stats["cmdstat_evalsha"]["calls"] == 4
        server.stop()
        server.start()
        assert await add(one, ["count"], 2) == 2, "it came back empty, and the client came back by itself"
    finally:
        await connections.close()
        server.stop()


async def test_readiness_shows_an_outage_and_its_end():
    server = OwnRedis()
    settings = Settings(
        redis=RedisSettings(url=server.url, retries=0, connect_timeout=0.5), service=ServiceSettings(docs=False)
    )
    service = make_service(settings=settings)
    redis(service)

    @service.get("/count")
    async def count(client: Redis) -> int:
        return int(await client.incr("count"))

    with pytest.raises(ConfigurationError, match="cannot be reached"):
        async with service.running():
            pass

    async def until(http, status):
        async with asyncio.timeout(10):
            while (await http.get("/health/ready")).status_code != status:  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0.05)

    server.start()
    try:
        async with client(service) as http:
            assert (await http.get("/count")).json() == 1
            server.stop()
            await until(http, 503)
            server.start()
            await until(http, 200)
            assert (await http.get("/count")).json() == 1
    finally:
        server.stop()


async def test_a_wrong_password_stops_the_start_without_being_shown():
    server = OwnRedis()
    server.start("--requirepass", "right")
    connections = Connections(RedisSettings(url=server.url.replace("//", "//:hunter2@")))
    try:
        with pytest.raises(ConfigurationError, match="refuses") as caught:
            await connections.start()
        assert "hunter2" not in str(caught.value)
    finally:
        await connections.close()
        server.stop()
