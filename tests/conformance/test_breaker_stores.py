"""Every store of shared breakers keeps the same rules."""

from __future__ import annotations

import asyncio
import os
import socket
import uuid
from collections.abc import AsyncIterator

import pytest

from seawall.resilience import Breaker, BreakerOpen, Environment, Outcome
from seawall.resilience.redis import RedisBreakerStore
from seawall.resilience.shared import BreakerStore, MemoryBreakerStore, SharedBreaker, StoreUnavailable

pytestmark = pytest.mark.anyio

REDIS_URL = os.environ.get("SEAWALL_TEST_REDIS_URL", "redis://127.0.0.1:6379/0")
POLICY = Breaker(window=10, minimum_calls=10, open_for=0.15, longest_open=0.6, growth=2, jitter=0, probes=4)
GOOD, BAD, NOTHING = Outcome.SUCCESS, Outcome.FAILURE, Outcome.IGNORED


class Conformance:
    """What a store of breakers must do. Times are real: Redis goes by its own clock."""

    @pytest.fixture
    async def store(self) -> AsyncIterator[BreakerStore]:
        raise NotImplementedError
        yield  # noqa: PT022 - what the others do after it

    async def run(self, store: BreakerStore, *outcomes: Outcome, policy: Breaker = POLICY, slow: bool = False) -> str:
        state = ""
        for outcome in outcomes:
            admission = await store.admit("x", policy)
            assert admission.admitted
            state = await store.report("x", policy, admission.ticket, outcome, slow=slow)
        return state

    async def wait_until_half_open(self, store: BreakerStore, policy: Breaker = POLICY) -> int:
        async with asyncio.timeout(5):
            while not (admission := await store.admit("x", policy)).admitted:  # noqa: ASYNC110 - by the server's clock
                await asyncio.sleep(admission.retry_after or 0.01)
        assert admission.state == "half-open"
        return admission.ticket

    async def test_it_opens_on_exactly_the_call_that_completes_the_minimum(self, store: BreakerStore) -> None:
        assert await store.state("x") == "closed"
        assert await self.run(store, *[BAD] * 5, *[GOOD] * 4) == "closed"
        assert await self.run(store, GOOD) == "open"
        refused = await store.admit("x", POLICY)
        assert not refused.admitted
        assert 0 < refused.retry_after <= 0.15
        assert await store.state("x") == "open"

    async def test_calls_leave_the_window(self, store: BreakerStore) -> None:
        assert await self.run(store, *[BAD] * 4, *[GOOD] * 10, *[BAD] * 4) == "closed"
        assert await self.run(store, BAD) == "open"

    async def test_what_says_nothing_is_not_counted(self, store: BreakerStore) -> None:
        assert await self.run(store, *[NOTHING] * 30, *[BAD] * 9) == "closed"

    async def test_failures_in_a_row(self, store: BreakerStore) -> None:
        policy = Breaker(consecutive=3, open_for=0.15)
        assert await self.run(store, BAD, BAD, GOOD, BAD, BAD, policy=policy) == "closed"
        assert await self.run(store, BAD, policy=policy) == "open"

    async def test_slow_calls(self, store: BreakerStore) -> None:
        policy = Breaker(window=4, slow_after=1, slow_rate=0.75, failure_rate=None)
        assert await self.run(store, GOOD, policy=policy) == "closed"
        assert await self.run(store, GOOD, GOOD, policy=policy, slow=True) == "closed"
        assert await self.run(store, GOOD, policy=policy, slow=True) == "open"

    async def test_half_open_lets_out_exactly_its_probes(self, store: BreakerStore) -> None:
        await self.run(store, *[BAD] * 10)
        first = await self.wait_until_half_open(store)
        asked = await asyncio.gather(*[store.admit("x", POLICY) for _ in range(200)])
        out = [admission for admission in asked if admission.admitted]
        assert len(out) == POLICY.probes - 1
        assert await store.report("x", POLICY, first, NOTHING, slow=False) == "half-open"
        again = await store.admit("x", POLICY)
        assert again.admitted, "a probe that was taken back frees its place"
        for admission in [*out[:2], again]:
            state = await store.report("x", POLICY, admission.ticket, GOOD, slow=False)
        assert state == "closed"
        assert await store.report("x", POLICY, out[2].ticket, BAD, slow=False) == "closed"
        assert await self.run(store, *[BAD] * 9) == "closed", "the late probe counted in the new window"

    async def test_late_results_of_a_former_generation_do_not_count(self, store: BreakerStore) -> None:
        late = [await store.admit("x", POLICY) for _ in range(20)]
        await self.run(store, *[BAD] * 10)
        await self.wait_until_half_open(store)
        for admission in late:
            assert await store.report("x", POLICY, admission.ticket, BAD, slow=False) == "half-open"

    async def test_failed_probes_open_it_for_longer(self, store: BreakerStore) -> None:
        await self.run(store, *[BAD] * 10)
        ticket = await self.wait_until_half_open(store)
        await store.report("x", POLICY, ticket, BAD, slow=False)
        assert await self.run(store, BAD) == "open"
        refused = await store.admit("x", POLICY)
        assert 0.15 < refused.retry_after <= 0.3

    async def test_lost_probes_open_it_again(self, store: BreakerStore) -> None:
        policy = Breaker(window=1, open_for=0.05, longest_open=0.05, jitter=0, probes=1, probe_patience=0.1)
        await self.run(store, BAD, policy=policy)
        await self.wait_until_half_open(store, policy)
        assert not (await store.admit("x", policy)).admitted
        await asyncio.sleep(0.12)
        refused = await store.admit("x", policy)
        assert (refused.admitted, refused.state) == (False, "open")
        await self.wait_until_half_open(store, policy)

    async def test_by_hand(self, store: BreakerStore) -> None:
        await store.switch("x", POLICY, "forced-open")
        assert not (await store.admit("x", POLICY)).admitted
        await store.switch("x", POLICY, "forced-closed")
        assert await self.run(store, *[BAD] * 20) == "forced-closed"
        await store.switch("x", POLICY, "closed")
        assert await self.run(store, *[BAD] * 9) == "closed"
        assert await store.state("x") == "closed"


class TestMemory(Conformance):
    @pytest.fixture
    async def store(self) -> AsyncIterator[BreakerStore]:
        yield MemoryBreakerStore()  # noqa: PT022 - as above


class TestRedis(Conformance):
    @pytest.fixture
    async def store(self) -> AsyncIterator[BreakerStore]:
        redis = pytest.importorskip("redis.asyncio")
        client = redis.Redis.from_pool(redis.BlockingConnectionPool.from_url(REDIS_URL, max_connections=20))
        try:
            await client.ping()
        except OSError as error:
            await client.aclose()
            if os.environ.get("SEAWALL_REQUIRE_SERVICES") == "1":
                raise
            pytest.skip(f"no Redis at {REDIS_URL}: {error}")
        prefix = f"test-breaker-{uuid.uuid4().hex}"
        try:
            yield RedisBreakerStore(client, prefix=prefix)
        finally:
            keys = [key async for key in client.scan_iter(f"{prefix}:*")]
            if keys:
                await client.delete(*keys)
            await client.aclose()

    async def test_a_server_that_forgot_the_script_is_taught_it_again(self, store: RedisBreakerStore) -> None:
        await self.run(store, BAD)
        await store._client.script_flush()
        assert await self.run(store, *[BAD] * 9) == "open"

    async def test_two_processes_share_one_view(self, store: RedisBreakerStore) -> None:
        other = RedisBreakerStore(store._client, prefix=store._prefix)
        engines = [
            SharedBreaker(store=each, breaker=POLICY, store_timeout=5).engine("x", Environment())
            for each in (store, other)
        ]

        async def down() -> None:
            raise ConnectionError

        for number in range(10):
            with pytest.raises(ConnectionError):
                await engines[number % 2](down)()
        for engine in engines:
            with pytest.raises(BreakerOpen):
                await engine.acquire()


async def test_without_redis_each_process_goes_by_itself() -> None:
    redis = pytest.importorskip("redis.asyncio")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: refuses at once
        client = redis.Redis(host="127.0.0.1", port=unused.getsockname()[1], retry=None)
        store = RedisBreakerStore(client)
        with pytest.raises(StoreUnavailable):
            await store.state("x")
        engine = SharedBreaker(store=store, breaker=Breaker(consecutive=2)).engine("x", Environment())
        for _ in range(2):
            (await engine.acquire())._local.failure()
        with pytest.raises(BreakerOpen):
            await engine.acquire()
        await client.aclose()
