"""Many values at once: one look, one load, one flight for each key."""

import asyncio

import pytest

from seawall.cache import Cache, Keep, batched
from seawall.cache.cache import CacheOptions
from seawall.cache.memory import MemoryStore
from seawall.problems import DeclarationError, Unavailable

pytestmark = pytest.mark.anyio


class Chance:
    """Always the same: no jitter, no early refresh at 0."""

    def __init__(self, value=0.0):
        self.value = value
        self.bits = 0

    def random(self):
        return self.value

    def getrandbits(self, bits, /):
        self.bits += 1
        return self.bits


class Store(MemoryStore):
    """Notes how often it is asked, and can be out of order."""

    def __init__(self, clock):
        super().__init__(clock)
        self.asked = []
        self.down = False

    async def read(self, asked, known):
        self.asked.append(("read", len(asked)))
        if self.down:
            raise OSError("down")
        return await super().read(asked, known)

    async def claim(self, asked, token, lease, known):
        self.asked.append(("claim", len(asked)))
        return await super().claim(asked, token, lease, known)

    async def fill(self, filled, token):
        self.asked.append(("fill", len(filled)))
        return await super().fill(filled, token)


class Origin:
    def __init__(self, seconds=0.0):
        self.loads = []
        self.seconds = seconds
        self.error = None
        self.without = set()

    async def load(self, keys: list[str]) -> dict[str, int]:
        self.loads.append(list(keys))
        number = len(self.loads)
        await asyncio.sleep(self.seconds)
        if self.error:
            raise self.error
        return {key: number for key in keys if key not in self.without}

    async def load_one(self) -> int | None:
        self.loads.append(["one"])
        await asyncio.sleep(self.seconds)
        return -1


def make(clock, shared=None, chance=None, **options):
    return Cache(clock, chance or Chance(), CacheOptions(**options), shared)


@pytest.fixture(params=["local", "both"])
def store(request, manual_clock):
    return Store(manual_clock) if request.param == "both" else None


async def test_many_are_one_load_and_one_look(manual_clock):
    store, origin = Store(manual_clock), Origin()
    cache = make(manual_clock, store)
    keys = [f"{number}" for number in range(50)]
    assert await cache.get_many([*keys, "0"], origin.load, 60) == dict.fromkeys(keys, 1)
    assert origin.loads == [keys]
    assert store.asked == [("read", 50), ("claim", 50), ("fill", 50)]
    store.asked.clear()
    other = make(manual_clock, store)
    assert await other.get_many(keys, origin.load, 60) == dict.fromkeys(keys, 1)
    assert store.asked == [("read", 50)]
    assert (other.counts.shared_hits, other.counts.loads) == (50, 0)
    assert await other.get_many(keys, origin.load, 60) == dict.fromkeys(keys, 1)
    assert store.asked == [("read", 50)]
    assert other.counts.local_hits == 50


async def test_more_than_one_step_takes_are_several_steps(manual_clock):
    store, origin = Store(manual_clock), Origin()
    cache = make(manual_clock, store)
    keys = [f"{number}" for number in range(1200)]
    assert len(await cache.get_many(keys, origin.load, 60, most=5000)) == 1200
    assert [each for each in store.asked if each[0] == "read"] == [("read", 500), ("read", 500), ("read", 200)]
    assert len(origin.loads) == 1
    store.asked.clear()
    await make(manual_clock, store).get_many(keys, origin.load, 60, tags=lambda key: ["a", "b", "c", key])
    assert max(number for _, number in store.asked) == 400  # with their tags, 2,000 keys


async def test_what_a_load_takes_at_once_is_bounded_and_loads_run_side_by_side(manual_clock, store):
    cache, origin = make(manual_clock, store), Origin(1.0)
    began = manual_clock.monotonic()
    found = await cache.get_many([f"{number}" for number in range(25)], origin.load, 60, most=10)
    assert sorted(map(len, origin.loads)) == [5, 10, 10]
    assert len(found) == 25
    assert manual_clock.monotonic() - began == pytest.approx(1.0)


async def test_each_key_is_in_one_flight_whoever_asks(manual_clock, store):
    cache, origin = make(manual_clock, store), Origin(1.0)

    async def one(key):
        return await cache.get_or_load(key, origin.load_one, 60, returns=int | None)

    first = asyncio.ensure_future(one("b"))
    await asyncio.sleep(0.2)
    got = await asyncio.gather(
        cache.get_many(["a", "b"], origin.load, 60),
        cache.get_many(["a", "b", "c"], origin.load, 60),
        one("a"),
        one("c"),
    )
    assert await first == -1
    assert sorted(key for load in origin.loads for key in load) == ["a", "c", "one"]
    assert got[0]["b"] == got[1]["b"] == -1
    assert got[1]["a"] == got[2] == got[0]["a"]
    assert got[1]["c"] == got[3]


async def test_what_has_no_value_is_left_out_and_remembered(manual_clock, store):
    cache, origin = make(manual_clock, store), Origin()
    origin.without = {"b"}
    keep = Keep(60, negative=5)
    for _ in range(2):
        assert await cache.get_many(["a", "b"], origin.load, keep) == {"a": 1}
    assert origin.loads == [["a", "b"]]
    origin.without = set()
    manual_clock.advance(5.1)
    assert await cache.get_many(["a", "b"], origin.load, keep) == {"a": 1, "b": 2}
    assert origin.loads == [["a", "b"], ["b"]]


async def test_an_error_is_raised_to_all_of_its_load_and_not_kept(manual_clock, store):
    cache, origin = make(manual_clock, store), Origin(1.0)
    origin.error = ValueError("500")
    got = await asyncio.gather(*(cache.get_many(["a", key], origin.load, 60) for key in "bcd"), return_exceptions=True)
    assert [type(each) for each in got] == [ValueError] * 3
    origin.error = None
    assert len(await cache.get_many(["a", "b", "c", "d"], origin.load, 60)) == 4
    if store is not None:
        assert not store._claims


async def test_processes_share_the_loads_of_many_key_by_key(manual_clock):
    store, origin = Store(manual_clock), Origin(1.0)
    one, two = (make(manual_clock, store, Chance()) for _ in range(2))
    two._finding._loads._random.bits = 1000  # tokens of its own
    first = asyncio.ensure_future(one.get_many(["a", "b"], origin.load, 60))
    await asyncio.sleep(0.1)
    assert await two.get_many(["a", "b", "c"], origin.load, 60) == {"a": 1, "b": 1, "c": 2}
    assert await first == {"a": 1, "b": 1}
    assert origin.loads == [["a", "b"], ["c"]]


async def test_tags_are_made_for_each(manual_clock, store):
    cache, origin = make(manual_clock, store), Origin()

    async def get():
        return await cache.get_many(["a", "b"], origin.load, 60, tags=lambda key: [f"t:{key}"])

    assert await get() == {"a": 1, "b": 1}
    await cache.invalidate_tags("t:b")
    assert await get() == {"a": 1, "b": 2}
    assert origin.loads[-1] == ["b"]


async def test_stale_ones_are_given_out_and_loaded_again_together(manual_clock, store):
    cache, origin = make(manual_clock, store), Origin()
    keep = Keep(10, stale_while_revalidate=60)
    await cache.get_many(["a", "b", "c"], origin.load, keep)
    manual_clock.advance(20)
    origin.seconds = 1.0
    assert await cache.get_many(["a", "b"], origin.load, keep) == {"a": 1, "b": 1}
    await asyncio.sleep(1.5)
    assert origin.loads == [["a", "b", "c"], ["a", "b"]]
    assert await cache.get_many(["a", "b"], origin.load, keep) == {"a": 2, "b": 2}
    assert cache.counts.stale == 2


async def test_without_the_shared_tier_one_s_own_is_given_out_and_the_rest_is_loaded(manual_clock):
    store, origin = Store(manual_clock), Origin()
    caches = {policy: make(manual_clock, store, on_outage=policy) for policy in ("load", "fail")}
    for cache in caches.values():
        await cache.get_many(["a"], origin.load, 60)
    assert len(origin.loads) == 1
    manual_clock.advance(30)  # copies are no longer sure, and still fresh
    store.down = True
    assert await caches["load"].get_many(["a", "b"], origin.load, 60) == {"a": 1, "b": 2}
    assert await caches["fail"].get_many(["a"], origin.load, 60) == {"a": 1}
    with pytest.raises(Unavailable):
        await caches["fail"].get_many(["a", "b"], origin.load, 60)
    manual_clock.advance(31)
    with pytest.raises(Unavailable):
        await caches["fail"].get_many(["a"], origin.load, 60)


async def test_questions_of_one_turn_are_one_load(manual_clock, store):
    cache, origin = make(manual_clock, store), Origin(1.0)
    values = batched(cache, 60, most=40)(origin.load)
    got = await asyncio.gather(*(values.get(f"{number % 100}") for number in range(1000)))
    assert sorted(map(len, origin.loads)) == [20, 40, 40]
    assert all(got)
    if store is not None:
        assert [each for each in store.asked if each[0] == "read"] == [("read", 100)]
    assert await values.get_many(["1", "2"]) == {"1": got[1], "2": got[2]}
    assert len(origin.loads) == 3
    hits = cache.counts.local_hits
    assert await values.get("1") == got[1]
    assert cache.counts.local_hits == hits + 1


async def test_without_batches_the_same_questions_are_a_load_each(manual_clock):
    cache, origin = make(manual_clock), Origin(1.0)
    await asyncio.gather(*(cache.get_many([f"{number}"], origin.load, 60) for number in range(100)))
    assert len(origin.loads) == 100


async def test_who_asks_later_has_a_batch_of_his_own(manual_clock):
    cache, origin = make(manual_clock), Origin(1.0)
    values = batched(cache, 60)(origin.load)
    first = asyncio.ensure_future(values.get("a"))
    await asyncio.sleep(0.5)
    assert await asyncio.gather(values.get("a"), values.get("b")) == [1, 2]
    assert await first == 1
    assert origin.loads == [["a"], ["b"]]


async def test_the_cancellation_of_who_leads_a_batch_changes_nothing_for_the_others(manual_clock):
    cache, origin = make(manual_clock), Origin(1.0)
    values = batched(cache, 60)(origin.load)
    for pause in (0.0, 0.5):
        waiting = [asyncio.ensure_future(values.get(f"{pause}:{number}")) for number in range(5)]
        await asyncio.sleep(0)
        if pause:
            await asyncio.sleep(pause)
        waiting[0].cancel()
        assert all(await asyncio.gather(*waiting[1:]))
        assert waiting[0].cancelled()
    assert len(origin.loads) == 2  # the second goes on without who asked for it first
    assert values._batch is None


async def test_a_batch_gives_errors_to_those_of_its_load(manual_clock):
    cache = make(manual_clock)

    @batched(cache, 60, most=1)
    async def values(keys: list[int]) -> dict[int, str]:
        if keys == [2]:
            raise ValueError("two")
        return {key: f"{key}" for key in keys if key != 3}

    got = await asyncio.gather(*(values.get(number) for number in (1, 2, 3)), return_exceptions=True)
    assert (got[0], type(got[1]), got[2]) == ("1", ValueError, None)
    with pytest.raises(ValueError, match="two"):
        await values.get_many([1, 2])


async def test_a_batch_s_prefix_outdates_all_it_keeps(manual_clock, store):
    cache, origin = make(manual_clock, store), Origin()
    values = batched(cache, 60, prefix="values:")(origin.load)
    assert await values.get_many(["a", "b"]) == {"a": 1, "b": 1}
    await cache.invalidate_prefix(values.prefix)
    assert await values.get("a") == 2


async def test_what_cannot_work_says_why(manual_clock):
    cache, origin = make(manual_clock), Origin()

    async def silent(keys):
        return {}

    async def no_mapping(keys: list[str]) -> list[int]:
        return []

    with pytest.raises(DeclarationError, match="must say that it returns a mapping"):
        await cache.get_many(["a"], silent, 60)
    with pytest.raises(DeclarationError, match="must say that it returns a mapping"):
        batched(cache, 60)(no_mapping)
    with pytest.raises(DeclarationError, match="not an async function"):
        batched(cache, 60)(lambda keys: {})
    with pytest.raises(DeclarationError, match="most=0"):
        batched(cache, 60, most=0)(origin.load)
    with pytest.raises(ValueError, match="most=0"):
        await cache.get_many(["a"], origin.load, 60, most=0)
    with pytest.raises(ValueError, match="one key of two"):
        await cache.get_many([1, "1"], origin.load, 60)
    with pytest.raises(ValueError, match="1001 tags"):
        await cache.get_many(["a"], origin.load, 60, tags=lambda key: map(str, range(1001)))
    assert await cache.get_many(["a"], silent, 60, returns=int) == {}
    assert await cache.get_many([], origin.load, 60) == {}
