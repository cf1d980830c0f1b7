"""One class for every store of limits: the same decisions in memory, in shared memory and on Redis, leased or not."""

import asyncio
import os
import random
import uuid

import pytest

from seawall.clock import SystemClock
from seawall.data.redis import connect
from seawall.host import Arena
from seawall.limit import Rate
from seawall.limit.lease import LeasedStore
from seawall.limit.memory import MemoryStore
from seawall.limit.redis import SCRIPT, RedisStore
from seawall.limit.rule import refused, rule_of
from seawall.limit.shared import SharedStore
from seawall.settings import RedisSettings

pytestmark = pytest.mark.anyio

REDIS_URL = os.environ.get("SEAWALL_TEST_REDIS_URL", "redis://127.0.0.1:6379/0")


class Waiting:
    """A store that needs no waiting, waited for."""

    def __init__(self, store):
        self._store = store

    async def take(self, rules, key, cost):
        return self._store.take(rules, key, cost)

    async def forgive(self, rules, key):
        self._store.forgive(rules, key)


async def _redis_or_skip(store):
    try:
        await store.take([rule_of(Rate("1/s"), "probe", 0)], "probe", 1)
    except OSError as error:
        if os.environ.get("SEAWALL_REQUIRE_SERVICES") == "1":
            pytest.fail(f"Redis cannot be used at {REDIS_URL}: {error}")
        pytest.skip(f"Redis cannot be used at {REDIS_URL}: {error}")
    return store


@pytest.fixture(params=["memory", "shared", "redis", "leased"])
async def store(request):
    clock = SystemClock()
    if request.param == "memory":
        yield Waiting(MemoryStore(clock, 1000))
        return
    if request.param == "shared":
        arena = Arena.create()
        yield Waiting(SharedStore(arena, clock, 1000))
        arena.close()
        return
    prefix = f"seawall:test:{uuid.uuid4().hex}:"
    made = await _redis_or_skip(RedisStore(lambda: connect(RedisSettings(url=REDIS_URL, pool_wait=30)), 5.0, prefix))
    yield made if request.param == "redis" else LeasedStore(made, clock, 5, 10.0, 1000)
    client = made._connected()
    keys = [key async for key in client.scan_iter(match=f"{prefix}*", count=1000)]
    if keys:
        await client.delete(*keys)
    await made.close()


def rule(text, scope="read", index=0, **options):
    return rule_of(Rate(text, **options), scope, index)


async def taken(store, rules, key, number, cost=1):
    return [not refused(await store.take(rules, key, cost)) for _ in range(number)]


class TestStore:
    async def test_exactly_a_burst_at_once(self, store):
        rules = [rule("1000/day")]
        results = await asyncio.gather(*(store.take(rules, "ada", 1) for _ in range(1100)))
        assert sum(not refused(lefts) for lefts in results) == 1000
        assert await taken(store, rules, "bob", 1) == [True]

    async def test_what_is_left(self, store):
        the = rule("4/day")
        lefts = [await store.take([the], "ada", 1) for _ in range(5)]
        assert [the.remaining(left) for (left,) in lefts] == [3, 2, 1, 0, 0]
        assert lefts[4][0] == pytest.approx(-21600, abs=5)
        assert the.remaining(lefts[4][0] + the.interval) == 0

    async def test_it_comes_back_with_time(self, store):
        rules = [rule("20/second burst 1")]
        assert (await taken(store, rules, "ada", 2))[0] is True
        await asyncio.sleep(0.12)
        assert await taken(store, rules, "ada", 1) == [True]

    async def test_cost(self, store):
        rules = [rule("10/day")]
        assert await taken(store, rules, "ada", 2, cost=6) == [True, False]
        assert await taken(store, rules, "ada", 2, cost=4) == [True, False]
        assert await taken(store, rules, "bob", 1, cost=11) == [False]
        assert await taken(store, rules, "bob", 1, cost=10) == [True]

    async def test_from_every_rule_or_from_none(self, store):
        both = [rule("5/day"), rule("3/day", index=1)]
        assert await taken(store, both, "ada", 4) == [True, True, True, False]
        # The refusal took nothing from the first: two are left there.
        assert await taken(store, [both[0]], "ada", 3) in ([True, True, False], [True, True, True])
        quota = [rule("5/day", "q"), rule("2 each day", "q", 1), rule("100 each month", "q", 2)]
        assert await taken(store, quota, "ada", 3) == [True, True, False]

    async def test_a_quota(self, store):
        for text in ("3 each day", "3 each month"):
            the = rule(text)
            lefts = [await store.take([the], "ada", 1) for _ in range(4)]
            assert [the.remaining(left) for (left,) in lefts] == [2, 1, 0, 0]
            assert [refused(left) for left in lefts] == [False, False, False, True]

    async def test_rules_of_other_scopes_and_keys_do_not_meet(self, store):
        for scope in ("a", "b"):
            for key in ("", "ada", "\0192.0.2.1", "ключ", "a}b{c", "x" * 200):
                assert await taken(store, [rule("1/day", scope)], key, 2) == [True, False]

    async def test_what_is_forgiven_can_be_had_again(self, store):
        rules = [rule("2/day"), rule("5/day", index=1)]
        assert await taken(store, rules, "ada", 3) == [True, True, False]
        assert await taken(store, rules, "bob", 1) == [True]
        await store.forgive(rules, "ada")
        await store.forgive(rules, "nobody")
        assert await taken(store, rules, "ada", 3) == [True, True, False]
        assert await taken(store, rules, "bob", 2) == [True, False]

    async def test_a_rule_that_changes_keeps_what_is_owed(self, store):
        assert await taken(store, [rule("2/day")], "ada", 3) == [True, True, False]
        assert await taken(store, [rule("4/day")], "ada", 1) == [False]


async def test_redis_is_given_its_script_again(monkeypatch):
    prefix = f"seawall:test:{uuid.uuid4().hex}:"
    store = await _redis_or_skip(RedisStore(lambda: connect(RedisSettings(url=REDIS_URL, pool_wait=30)), 5.0, prefix))
    monkeypatch.setattr(SCRIPT, "sha", "0" * 40)  # as after a restart: the server does not know it
    assert await taken(store, [rule("1/s")], "ada", 2) == [True, False]
    await store.close()


async def test_redis_knows_the_calendar():
    """The script's months are those of the local calendar."""
    from seawall.limit.rule import Calendar

    prefix = f"seawall:test:{uuid.uuid4().hex}:"
    store = await _redis_or_skip(RedisStore(lambda: connect(RedisSettings(url=REDIS_URL, pool_wait=30)), 5.0, prefix))
    client = store._connected()
    clock = SystemClock()
    for window in ("day", "month"):
        the = rule(f"1 each {window}")
        await store.take([the], "ada", 1)
        life = await client.pttl(f"{prefix}{{ada}}{the.id}")
        assert life / 1000 == pytest.approx(Calendar(clock.time).remaining(window), abs=10)
        await client.delete(f"{prefix}{{ada}}{the.id}")
    await store.close()


async def test_a_lease_asks_once_for_many():
    trips = []

    class Counting:
        async def grant(self, rules, key, want, need):
            trips.append((want, need))
            await asyncio.sleep(0)
            return want, (rules[0].tolerance - want * rules[0].interval,)

        async def close(self):
            trips.append("closed")

    store = LeasedStore(Counting(), SystemClock(), 50, 60.0, 2)
    rules = [rule("1000/day")]
    await asyncio.gather(*(store.take(rules, "ada", 1) for _ in range(100)))
    assert trips == [(50, 1), (50, 1)]
    await store.take([rule("100/day", "b")], "ada", 1)
    assert trips[2:] == [(10, 1)]  # a tenth of the burst
    await store.take([rule("5/day", "c")], "ada", 3)
    assert trips[3:] == [(3, 3)]
    assert len(store._leases) == 2
    await store.close()
    assert trips[-1] == "closed"


async def test_a_lease_outlives_the_call_that_fetched_it(manual_clock):
    class Slow:
        async def grant(self, rules, key, want, need):
            await asyncio.sleep(1)
            return want, (0.0,)

    store = LeasedStore(Slow(), manual_clock, 50, 60.0, 10)
    rules = [rule("1000/day")]
    first = asyncio.create_task(store.take(rules, "ada", 1))
    second = asyncio.create_task(store.take(rules, "ada", 1))
    await asyncio.sleep(0.5)
    first.cancel()
    assert not refused(await second)  # it went itself
    with pytest.raises(asyncio.CancelledError):
        await first


def test_the_quick_way_of_memory_decides_as_the_general_one(manual_clock):
    chance = random.Random(7)
    one, other = MemoryStore(manual_clock, 50), MemoryStore(manual_clock, 50)
    rules = [rule("7/second"), rule("3/minute burst 9", "b"), rule("20/day", "c")]
    takes = [[one.taker(each, cost) for cost in (1, 2)] for each in rules]
    for _ in range(3000):
        manual_clock.advance(chance.expovariate(5))
        index, cost, key = chance.randrange(3), chance.choice((1, 2)), f"k{chance.randrange(5)}"
        assert takes[index][cost - 1](key, manual_clock.monotonic()) == other.take([rules[index]], key, cost)[0]


def test_shared_memory_is_bounded_and_gives_up_what_owes_least(manual_clock):
    arena = Arena.create()
    store = SharedStore(arena, manual_clock, 4)  # one bucket of eight
    minute, day = rule("1/minute"), rule("1/day")
    assert not refused(store.take([day], "kept", 1))
    for number in range(100):
        assert not refused(store.take([minute], f"user-{number}", 1))
    assert refused(store.take([day], "kept", 1))
    again = SharedStore(arena, manual_clock, 4)  # another process's view
    assert refused(again.take([day], "kept", 1))
    arena.close()
