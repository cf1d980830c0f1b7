"""What a cache tells of itself among the metrics."""

import dataclasses

import pytest

from seawall.settings import CacheSettings, RedisSettings, ServiceSettings, Settings
from support.exchange import exchange
from support.settings import service

pytestmark = pytest.mark.anyio


def made(**tables):
    return service(settings=Settings(service=ServiceSettings(docs=False), **tables))


async def numbers(app):
    lines = (await exchange(app, "GET", "/metrics", client=("127.0.0.1", 1))).body.decode().splitlines()
    found = (line.rpartition(" ") for line in lines if line.startswith("seawall_cache"))
    return {name.removeprefix("seawall_cache_"): float(value) for name, _, value in found}


async def load() -> str:
    return "x" * 100


async def test_values_are_counted_once_each_and_series_do_not_grow_with_keys():
    app = made(cache=CacheSettings(store="memory", max_entries=10, max_bytes=100_000))
    cache = app.cache
    async with app.running():
        before = await numbers(app)
        for number in range(25):
            await cache.get_or_load(f"{number}", load, 60)
        await cache.get_or_load("24", load, 60)
        seen = await numbers(app)
    assert seen['requests_total{result="miss"}'] == seen['loads_total{event="begun"}'] == 25
    assert seen['requests_total{result="local"}'] == 1
    assert sum(value for name, value in seen.items() if name.startswith("requests")) == 26
    assert seen['dropped_total{reason="evicted"}'] == 15
    assert (seen["entries"], seen["bytes"]) == (10, 10 * 358)
    assert seen.keys() == before.keys()
    assert not [name for name in seen if name.startswith("shared")]


async def test_an_outage_is_seen_and_counted():
    app = made(
        cache=CacheSettings(store="redis", retry=60), redis=RedisSettings(url="redis://127.0.0.1:1/0", retries=0)
    )
    cache = app.cache
    async with app.running():
        assert (await numbers(app))["shared_up"] == 1
        for number in range(3):
            await cache.get_or_load(f"{number}", load, 60)
        seen = await numbers(app)
    assert seen["shared_up"] == 0
    assert seen['shared_failures_total{reason="unreachable"}'] == 1  # then it is left alone
    assert seen['shared_failures_total{reason="full"}'] == 0
    assert seen['requests_total{result="miss"}'] == 3
    assert dataclasses.asdict(cache.counts)["loads"] == 3
