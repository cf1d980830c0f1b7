"""Sentinels that make a replica the master, and a cluster that loses a node: named by URL, used like one server."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisClusterException, RedisError

from seawall.data.redis import Connections, Script, redis, server_time
from seawall.problems import ConfigurationError
from seawall.settings import CacheSettings, LimitSettings, RedisSettings, ServiceSettings, Settings
from seawall.testing.client import client
from support.clusters import OwnCluster, OwnSentinel, free_port
from support.settings import service as make_service

pytestmark = pytest.mark.anyio
ADD = Script("return redis.call('INCRBY', KEYS[1], ARGV[1])")


def shop(url):
    """A service that writes down what it was told, limits its callers and keeps an answer, all of it at *url*."""
    settings = Settings(
        redis=RedisSettings(url=url, connect_timeout=0.5, timeout=0.5, retries=1),
        limit=LimitSettings(store="redis", timeout=1.0, on_outage="open"),
        cache=CacheSettings(store="redis"),
        service=ServiceSettings(docs=False),
    )
    service = make_service(settings=settings)
    redis(service)

    @service.post("/entries/{number}", status=201, rate="100000/minute")
    async def enter(number: int, store: Redis) -> int:
        await ADD(store, [f"entry:{number}"], 1)
        if await store.wait(1, 1000) < 1:  # a replica has it too, so that it outlives the master
            raise RuntimeError("the replica did not take it")
        return number

    @service.get("/entries/{number}", rate="100000/minute")
    async def read(number: int, store: Redis) -> int:
        return int(await store.get(f"entry:{number}") or 0)

    @service.post("/plain/{number}", status=201, rate="100000/minute")
    async def plain(number: int, store: Redis) -> int:
        await ADD(store, [f"entry:{number}"], 1)
        return number

    return service


async def until(http, path, status):
    async with asyncio.timeout(20):
        while (await http.get(path)).status_code != status:  # noqa: ASYNC110 - seen from outside
            await asyncio.sleep(0.05)


async def refused_at_start(url, why):
    connections = Connections(RedisSettings(url=url, connect_timeout=0.5))
    try:
        with pytest.raises(ConfigurationError, match=why):
            await connections.start()
    finally:
        with contextlib.suppress(RedisError, RedisClusterException):
            await connections.close()


async def test_a_failover_is_survived_and_loses_nothing_that_was_told(tmp_path):
    with OwnSentinel(tmp_path) as sentinel:
        await refused_at_start(sentinel.url.replace("/shop/", "/store/"), "store")
        service = shop(sentinel.url)
        told: list[int] = []
        stop = asyncio.Event()

        async def writer(http, first):
            number = first
            while not stop.is_set():
                if (await http.post(f"/entries/{number}")).status_code == 201:
                    told.append(number)
                else:
                    await asyncio.sleep(0.02)
                number += 4

        async with client(service) as http:
            writers = [asyncio.create_task(writer(http, number)) for number in range(4)]
            while len(told) < 20:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
            before = set(told)
            sentinel.master.stop()
            await until(http, "/health/ready", 503)
            await until(http, "/health/ready", 200)
            stop.set()
            await asyncio.gather(*writers)
            # The one that is master now has no replica: it takes what asks for none.
            # While the sentinels settle, they may know of none for another moment.
            async with asyncio.timeout(20):
                while (await http.post("/plain/999999")).status_code != 201:  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0.1)
            kept = {number for number in told if (await http.get(f"/entries/{number}")).json() == 1}
            assert kept == set(told) >= before
        assert sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "shop")[1] == str(sentinel.replica.port).encode()


async def test_a_cluster_is_used_like_one_server_and_lives_without_one_of_its_nodes(tmp_path):
    with OwnCluster(tmp_path) as cluster:
        service = shop(cluster.url)
        async with client(service) as http:
            await until(http, "/health/ready", 200)
            for number in range(30):
                assert (await http.post(f"/plain/{number}")).status_code == 201
            counts = [int(node.ask("DBSIZE")) for node in cluster.nodes]
            assert sum(counts) >= 30
            assert min(counts) > 0, "the keys are spread over all nodes"
            assert [(await http.get(f"/entries/{number}")).json() for number in range(30)] == [1] * 30
            store = service.resources.values[Redis]
            assert await server_time(store) > 1_700_000_000
            async with store.pipeline() as batch:
                for number in range(30):
                    batch.get(f"entry:{number}")
                assert await batch.execute() == [b"1"] * 30
            cluster.nodes[2].stop()
            await until(http, "/health/ready", 503)
            cluster.start(2)
            await until(http, "/health/ready", 200)
            assert (await http.post("/plain/1000")).status_code == 201


async def test_a_cluster_that_does_not_answer_is_said_at_the_start():
    await refused_at_start(f"redis+cluster://127.0.0.1:{free_port()}", "cannot be reached")
