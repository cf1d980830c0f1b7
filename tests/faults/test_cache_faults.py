"""The shared tier is killed, restarted, emptied, slow, full, while several caches are asked for the same values.

Each cache has connections of its own and shares nothing else with the others: it stands for a process. The ledger of
the origin is outside of them. What every protection is worth is shown by taking it away.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from seawall.cache import Cache, scripts
from seawall.cache import redis as redis_store
from seawall.cache.cache import CacheOptions
from seawall.cache.redis import RedisStore
from seawall.cache.store import Answer, Claim
from seawall.clock import SystemClock, SystemRandom
from seawall.data.redis import Script, connect
from seawall.problems import Unavailable
from seawall.settings import RedisSettings
from support.clusters import OwnRedis

pytestmark = pytest.mark.anyio

CACHES, CALLERS = 3, 8
TIMEOUT = 0.5
"""Seconds, where slowness is the fault; elsewhere a busy machine must not look like one."""
WARM = [f"warm{number}" for number in range(12)]
COLD = [f"cold{number}" for number in range(20)]


class Unclaimed(RedisStore):
    """Grants every claim: caches do not know of each other."""

    async def claim(self, asked, token, lease, known):
        answer = await super().claim(asked, token, lease, known)
        return Answer([Claim(True, item.data, item.versions) for item in answer.items], answer.changes)


class Fleet:
    """Several caches over one server, and the origin's ledger."""

    def __init__(self, server, store=RedisStore, **options):
        self.ledger = Counter()
        chosen = CacheOptions(**{"local_ttl": 0.1, "timeout": 10.0, "retry": 0.3, "lease": 3.0, **options})
        waits = dict.fromkeys(("timeout", "connect_timeout", "pool_wait"), chosen.timeout)
        settings = RedisSettings(url=server.url, retries=1, **waits)
        self.caches = [
            Cache(SystemClock(), SystemRandom(), chosen, store(lambda: connect(settings), "test"))
            for _ in range(CACHES)
        ]

    async def load(self, seconds, keys):
        """Ask for *keys* from everywhere for *seconds*; return what became of it."""
        loop = asyncio.get_running_loop()
        end, report = loop.time() + seconds, Report(Counter(self.ledger), self.counts())

        async def caller(cache, seed):
            chance = random.Random(seed)
            while loop.time() < end:
                key, began = chance.choice(keys), loop.time()
                try:
                    assert await self.get(cache, key) == key
                except Unavailable:
                    report.refused += 1
                report.latencies.append(loop.time() - began)
                await asyncio.sleep(0.002)

        await asyncio.gather(*(caller(cache, seed) for cache in self.caches for seed in range(CALLERS)))
        report.loads, report.counts = self.ledger - report.loads, self.counts() - report.counts
        report.latencies.sort()
        return report

    async def warm(self):
        """Let each cache have each of `WARM`, and each caller its connection."""
        for cache in self.caches:
            for key in WARM:
                await self.get(cache, key)
        assert set(self.ledger) == set(WARM)
        assert max(self.ledger.values()) == 1
        await self.load(0.2, WARM)

    async def get(self, cache, key):
        return await cache.get_or_load(key, lambda: self.origin(key), "5m", returns=str, tags=["all"])

    async def origin(self, key):
        self.ledger[key] += 1
        await asyncio.sleep(0.02)
        return key

    def counts(self):
        total = Counter()
        for cache in self.caches:
            total += Counter({name: getattr(cache.counts, name) for name in cache.counts.__slots__})
        return total

    async def close(self):
        for cache in self.caches:
            await cache.close()


class Report:
    def __init__(self, loads, counts):
        self.loads = loads
        self.counts = counts
        self.refused = 0
        self.latencies = []

    @property
    def median(self):
        return self.latencies[len(self.latencies) // 2]

    @property
    def most(self):
        """Loads of the key that was loaded most often."""
        return max(self.loads.values(), default=0)


@asynccontextmanager
async def fleet(server, *arguments, **options):
    made = Fleet(server, *arguments, **options)
    for cache in made.caches:
        cache.start()
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture
def server():
    made = OwnRedis()
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def admin(server):
    client = Redis.from_url(server.url)
    yield client
    await client.aclose()


async def test_killed_and_restarted_without_its_data(server):
    async with fleet(server) as caches:
        await caches.warm()
        server.stop()
        down = await caches.load(1.2, WARM + COLD)
        assert down.refused == 0
        assert not set(down.loads) & set(WARM), "each goes by its own copies"
        assert down.most <= CACHES, "and loads for itself what it does not have"
        assert down.counts["outages"] <= CACHES * (CALLERS + 12), "the server is left alone"
        assert len(down.latencies) > 1000
        server.start()
        back = await caches.load(1.5, WARM + COLD)
        assert back.refused == 0
        assert back.most == 1, "no stampede: one load for all"
        assert back.counts["shared_hits"] > 0


async def test_killed_without_copies_the_origin_is_asked_again_and_again(server):
    async with fleet(server, max_entries=1) as caches:
        await caches.warm()
        server.stop()
        down = await caches.load(0.6, WARM)
        assert down.most > CACHES


async def test_killed_without_leaving_it_alone_every_call_tries_it(server):
    async with fleet(server, retry=1e-9) as caches:
        await caches.warm()
        server.stop()
        down = await caches.load(0.6, WARM)
        assert down.counts["outages"] > CACHES * (CALLERS + 12)


async def test_killed_with_the_policy_to_fail(server):
    async with fleet(server, on_outage="fail") as caches:
        await caches.warm()
        server.stop()
        down = await caches.load(0.3, WARM)
        assert (down.refused, down.most) == (0, 0), "what is there is given out"
        down = await caches.load(0.3, COLD)
        assert down.refused == len(down.latencies)
        assert not down.loads, "the origin is spared"


@pytest.mark.parametrize(("store", "most"), [(RedisStore, 1), (Unclaimed, CACHES)])
async def test_emptied(server, admin, store, most):
    async with fleet(server, store) as caches:
        await caches.warm()
        await asyncio.sleep(0.15)  # no copy is sure any more: all look at once
        await admin.flushall()
        caches.ledger.clear()
        await asyncio.gather(*(caches.get(cache, key) for cache in caches.caches for key in WARM))
        assert max(caches.ledger.values()) == most  # one load for all, and without claims one for each
        caches.ledger.clear()
        after = await caches.load(0.5, WARM)
        assert after.refused == after.counts["outages"] == 0
        if store is RedisStore:
            assert not after.loads


@pytest.mark.parametrize("alone", [True, False])
async def test_slow(server, admin, alone):
    async with fleet(server, timeout=TIMEOUT, retry=0.3 if alone else 1e-9) as caches:
        await caches.warm()
        await asyncio.sleep(0.15)  # no copy is sure any more
        await admin.execute_command("CLIENT", "PAUSE", 1300, "ALL")
        slow = await caches.load(1.2, WARM)
        assert slow.refused == 0
        assert not slow.loads
        if alone:
            assert slow.median < 0.02
            assert slow.latencies[-1] < 3 * TIMEOUT + 0.5
            assert slow.counts["outages"] <= CACHES * (CALLERS + 5), "those who were asking, and one in a while"
        else:
            assert slow.median > TIMEOUT / 2, "every look waits"
        if alone:
            assert not (await caches.load(0.6, WARM)).loads
            back = await caches.load(0.8, WARM + COLD)
            assert (back.refused, back.most, back.counts["outages"]) == (0, 1, 0)
            assert back.counts["shared_hits"] > 0


async def _fill_up(admin):
    await admin.config_set("maxmemory", (await admin.info("memory"))["used_memory"] // 2)
    with pytest.raises(Exception, match="maxmemory"):
        await admin.set("junk", "x" * 100_000)


@pytest.mark.parametrize("copies", [True, False])
async def test_full(server, admin, copies):
    async with fleet(server, max_entries=10_000 if copies else 1) as caches:
        await caches.warm()
        await _fill_up(admin)
        full = await caches.load(0.8, WARM + COLD)
        assert full.refused == full.counts["outages"] == 0
        assert full.counts["full"] > 0
        assert full.counts["shared_hits"] > 0, "what is there is still found"
        assert not set(full.loads) & set(WARM)
        assert (full.most <= CACHES) == copies, "each loads for itself once, as long as it has its copy"
        if copies:
            await admin.config_set("maxmemory", 0)
            after = await caches.load(0.6, [f"new{number}" for number in range(20)])
            assert (after.most, after.counts["full"]) == (1, 0)


async def test_full_with_the_policy_to_fail(server, admin):
    async with fleet(server, on_outage="fail") as caches:
        await caches.warm()
        await _fill_up(admin)
        full = await caches.load(0.3, WARM)
        assert (full.refused, full.counts["outages"]) == (0, 0)
        full = await caches.load(0.3, COLD)
        assert full.refused == len(full.latencies)
        assert not full.loads


async def test_a_full_server_still_forgets(server, admin, monkeypatch):
    async with fleet(server) as caches:
        await caches.warm()
        await _fill_up(admin)
        one, two = caches.caches[:2]
        await one.invalidate_tags("all")
        await one.invalidate_prefix("warm")
        await one.invalidate("warm0", str)
        await asyncio.sleep(0.2)
        with pytest.raises(AssertionError):
            await two.get_or_load("warm1", _never, "5m", returns=str, tags=["all"])
        source = scripts.INVALIDATE.source
        line = next(line for line in source.splitlines() if "'DEL', serial" in line)
        monkeypatch.setattr(redis_store, "INVALIDATE", Script(source.replace(line, "")))
        with pytest.raises(Unavailable):
            await one.invalidate_tags("all")


async def _never():
    raise AssertionError("it was loaded")
