"""The cache in one process, in virtual time."""

import asyncio

import msgspec
import pytest

from seawall.cache import Cache, Keep, cached
from seawall.cache.cache import CacheOptions
from seawall.cache.memory import MemoryStore
from seawall.problems import DeclarationError, Unavailable
from seawall.testing import ManualRandom

pytestmark = pytest.mark.anyio


class Product(msgspec.Struct):
    sku: str
    price: int = 1


class Origin:
    def __init__(self, seconds=0.0):
        self.calls = 0
        self.error = None
        self.seconds = seconds

    async def load(self) -> Product | None:
        self.calls += 1
        number = self.calls
        await asyncio.sleep(self.seconds)
        if self.error:
            raise self.error
        return Product("a", number)


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


def make(clock, shared=None, chance=None, **options):
    return Cache(clock, chance or Chance(), CacheOptions(**options), shared)


async def test_stampede_of_one_process_loads_once(manual_clock):
    cache, origin = make(manual_clock), Origin(1.0)
    got = await asyncio.gather(*(cache.get_or_load("a", origin.load, "5m") for _ in range(1000)))
    assert origin.calls == 1
    assert {product.price for product in got} == {1}
    assert cache.counts.joined == 999


async def test_without_the_cache_the_same_stampede_loads_a_thousand_times(manual_clock):
    origin = Origin(1.0)
    await asyncio.gather(*(origin.load() for _ in range(1000)))
    assert origin.calls == 1000


async def test_a_value_is_loaded_again_after_its_time(manual_clock):
    cache, origin = make(manual_clock), Origin()
    assert (await cache.get_or_load("a", origin.load, 10)).price == 1
    manual_clock.advance(9.9)
    assert (await cache.get_or_load("a", origin.load, 10)).price == 1
    manual_clock.advance(0.2)
    assert (await cache.get_or_load("a", origin.load, 10)).price == 2


async def test_the_cancellation_of_a_waiter_does_not_cancel_the_load(manual_clock):
    cache, origin = make(manual_clock), Origin(1.0)
    first = asyncio.ensure_future(cache.get_or_load("a", origin.load, 10))
    second = asyncio.ensure_future(cache.get_or_load("a", origin.load, 10))
    await asyncio.sleep(0.5)
    first.cancel()
    assert (await second).price == 1
    assert first.cancelled()
    assert origin.calls == 1


async def test_the_death_of_the_filler_costs_one_more_load(manual_clock):
    cache, origin = make(manual_clock), Origin(1.0)
    waiting = [asyncio.ensure_future(cache.get_or_load("a", origin.load, 10)) for _ in range(50)]
    await asyncio.sleep(0.5)
    (filler,) = cache._finding._flights._all
    filler.cancel()
    assert {product.price for product in await asyncio.gather(*waiting)} == {2}
    assert origin.calls == 2


async def test_errors_reach_all_who_wait_and_are_not_kept(manual_clock):
    cache, origin = make(manual_clock), Origin(1.0)
    origin.error = ValueError("500")
    got = await asyncio.gather(*(cache.get_or_load("a", origin.load, 10) for _ in range(10)), return_exceptions=True)
    assert all(isinstance(error, ValueError) for error in got)
    assert origin.calls == 1
    origin.error = None
    assert (await cache.get_or_load("a", origin.load, 10)).price == 2


async def test_errors_are_kept_if_that_is_asked_for(manual_clock):
    cache, origin = make(manual_clock), Origin()
    keep = Keep(60, negative=5, errors=(LookupError,))
    origin.error = LookupError("none")
    for _ in range(3):
        with pytest.raises(LookupError):
            await cache.get_or_load("a", origin.load, keep)
    assert origin.calls == 1
    manual_clock.advance(5.1)
    origin.error = None
    assert (await cache.get_or_load("a", origin.load, keep)).price == 2


async def test_none_is_kept_for_its_own_time(manual_clock):
    cache, calls = make(manual_clock), []

    async def nothing() -> Product | None:
        calls.append(1)

    keep = Keep(60, negative=5)
    for _ in range(2):
        assert await cache.get_or_load("a", nothing, keep) is None
    assert len(calls) == 1
    manual_clock.advance(5.1)
    await cache.get_or_load("a", nothing, keep)
    assert len(calls) == 2


async def test_stale_while_revalidate(manual_clock):
    cache, origin = make(manual_clock), Origin()
    keep = Keep(10, stale_while_revalidate=5)
    await cache.get_or_load("a", origin.load, keep)
    manual_clock.advance(12)
    origin.seconds = 1.0
    began = manual_clock.monotonic()
    assert [(await cache.get_or_load("a", origin.load, keep)).price for _ in range(3)] == [1, 1, 1]
    assert manual_clock.monotonic() == began
    await asyncio.sleep(1.1)
    assert (await cache.get_or_load("a", origin.load, keep)).price == 2
    assert origin.calls == 2


async def test_stale_if_error(manual_clock):
    cache, origin = make(manual_clock), Origin()
    keep = Keep(10, stale_if_error=60)
    await cache.get_or_load("a", origin.load, keep)
    manual_clock.advance(30)
    origin.error = OSError("down")
    assert (await cache.get_or_load("a", origin.load, keep)).price == 1
    manual_clock.advance(60)
    with pytest.raises(OSError, match="down"):
        await cache.get_or_load("a", origin.load, keep)


async def test_early_refresh_gives_the_old_value_and_loads_once(manual_clock):
    chance = Chance(0.0)
    cache, origin = make(manual_clock, chance=chance), Origin(1.0)
    await cache.get_or_load("a", origin.load, 60)
    manual_clock.advance(59)
    assert (await cache.get_or_load("a", origin.load, 60)).price == 1
    assert origin.calls == 1
    chance.value = 0.999  # -ln(0.001) x 1 s: more than the second that is left
    assert (await cache.get_or_load("a", origin.load, 60)).price == 1
    await asyncio.sleep(1.5)
    assert origin.calls == 2
    assert (await cache.get_or_load("a", origin.load, 60)).price == 2


def test_early_refresh_is_as_likely_as_the_paper_says():
    keep, random = Keep(60), ManualRandom(*[step / 1000 for step in range(1000)])
    # The chance is e^(-left / (took x beta)): at two loads' distance from the end, 13.5 %.
    won = sum(keep.refresh_now(2.0, 1.0, random) for _ in range(1000))
    assert won == 135


async def test_jitter_shortens_lives_within_its_part(manual_clock):
    chance = Chance(1.0 - 1e-9)
    cache, origin = make(manual_clock, chance=chance), Origin()
    await cache.get_or_load("a", origin.load, Keep(100, jitter=0.2, early=0))
    manual_clock.advance(79.9)
    await cache.get_or_load("a", origin.load, Keep(100, jitter=0.2, early=0))
    assert origin.calls == 1
    manual_clock.advance(0.2)
    await cache.get_or_load("a", origin.load, Keep(100, jitter=0.2, early=0))
    assert origin.calls == 2


@pytest.mark.parametrize("tier", ["local", "both"])
async def test_tags_outdate_and_a_load_under_way_does_not_bring_it_back(manual_clock, tier):
    cache = make(manual_clock, MemoryStore(manual_clock) if tier == "both" else None)
    origin = Origin(1.0)
    reading = asyncio.ensure_future(cache.get_or_load("a", origin.load, 60, tags=["p"]))
    await asyncio.sleep(0.5)
    await cache.invalidate_tags("p")
    fresh = await cache.get_or_load("a", origin.load, 60, tags=["p"])
    assert (await reading).price == 1
    assert fresh.price == 2
    assert (await cache.get_or_load("a", origin.load, 60, tags=["p"])).price == 2
    await cache.invalidate_tags("other")
    assert (await cache.get_or_load("a", origin.load, 60, tags=["p"])).price == 2
    await cache.invalidate_tags("p")
    assert (await cache.get_or_load("a", origin.load, 60, tags=["p"])).price == 3


@pytest.mark.parametrize("tier", ["local", "both"])
async def test_a_load_of_something_else_is_joined_and_kept_whatever_is_invalidated(manual_clock, tier):
    cache = make(manual_clock, MemoryStore(manual_clock) if tier == "both" else None)
    origin = Origin(1.0)
    first = asyncio.ensure_future(cache.get_or_load("a", origin.load, 60, tags=["p"]))
    for _ in range(5):
        await asyncio.sleep(0.1)
        await cache.invalidate_tags("q")
        await cache.invalidate_prefix("b")
    assert (await cache.get_or_load("a", origin.load, 60, tags=["p"])).price == (await first).price == 1
    assert (await cache.get_or_load("a", origin.load, 60, tags=["p"])).price == 1
    assert cache.counts.outdated == 0


@pytest.mark.parametrize("tier", ["local", "both"])
async def test_one_key_is_forgotten(manual_clock, tier):
    cache = make(manual_clock, MemoryStore(manual_clock) if tier == "both" else None)
    origin = Origin()
    await cache.get_or_load("a", origin.load, 60)
    await cache.invalidate("a", Product | None)
    assert (await cache.get_or_load("a", origin.load, 60)).price == 2


async def test_more_tags_than_are_remembered_outdate_everything(manual_clock):
    cache, origin = make(manual_clock), Origin()
    cache.tags._most = 10
    await cache.get_or_load("a", origin.load, 60, tags=["p"])
    await cache.invalidate_tags(*(f"t{number}" for number in range(11)))
    assert (await cache.get_or_load("a", origin.load, 60, tags=["p"])).price == 2


async def test_entries_and_bytes_are_bounded(manual_clock):
    cache = make(manual_clock, max_entries=100, max_bytes=100_000)

    async def large() -> bytes:
        return b"x" * 5_000

    async def small() -> bytes:
        return b"x"

    for number in range(500):
        await cache.get_or_load(f"{number}", small, 60)
        assert len(cache.copies.entries) <= 100
    for number in range(100):
        for _ in range(3):
            await cache.get_or_load(f"l{number}", large, 60)
            assert cache.copies.entries.size <= 100_000
    assert len(cache.copies.entries) <= 20


async def test_what_is_asked_for_once_does_not_push_out_what_is_asked_for_often(manual_clock):
    cache = make(manual_clock, max_entries=100, max_bytes=1_000_000)
    loaded = []

    def asked(name: str):
        async def load() -> str:
            loaded.append(name)
            return name

        return cache.get_or_load(name, load, 60)

    often = [f"often {number}" for number in range(50)]
    for _ in range(5):
        for name in often:
            await asked(name)
    for number in range(1_000):
        await asked(f"once {number}")
    loaded.clear()
    for name in often:
        await asked(name)
    assert loaded == []
    for _ in range(3):
        assert await asked("new") == "new"
    loaded.clear()
    assert await asked("new") == "new"
    assert loaded == []


@pytest.mark.parametrize("value", [b"x" * 2000, object(), 2**70])
async def test_what_is_too_large_or_has_no_encoding_is_returned_and_not_kept(manual_clock, value):
    cache = make(manual_clock, MemoryStore(manual_clock), max_value=1000)
    calls = []

    async def load():
        calls.append(1)
        return value

    for _ in range(2):
        assert await cache.get_or_load("a", load, 60, returns=bytes) is value
    assert len(calls) == 2
    assert cache.counts.unstorable == 2


@pytest.mark.parametrize("key", ["", "\x00", "\ud800", "}{", "#a", "ключ", "x" * 10_000, "a\r\nDEL b"])
async def test_keys_may_hold_anything(manual_clock, key):
    cache, origin = make(manual_clock, MemoryStore(manual_clock)), Origin()
    for _ in range(2):
        assert (await cache.get_or_load(key, origin.load, 60)).price == 1


@pytest.mark.parametrize("poison", [b"", b"\x00", b"\xc1\xff", b"\x96\x01", b"nonsense" * 100, None])
async def test_poisoned_entries_are_missing_and_counted(manual_clock, poison):
    store = MemoryStore(manual_clock)
    origin = Origin()
    cache = make(manual_clock, store)
    await cache.get_or_load("a", origin.load, 60)
    ((name, (data, until)),) = store._data.items()
    store._data[name] = (data[:-3] if poison is None else poison, until)
    other = make(manual_clock, store, chance=Chance())
    assert (await other.get_or_load("a", origin.load, 60)).price == 2
    assert other.counts.poisoned >= 1
    assert (await make(manual_clock, store).get_or_load("a", origin.load, 60)).price == 2


async def test_another_shape_has_other_keys(manual_clock):
    store, calls = MemoryStore(manual_clock), []

    def declare(fields):
        kind = msgspec.defstruct("Product", fields)

        async def load():
            calls.append(kind)
            return kind(*["a"] * len(fields))

        return kind, load

    for fields in ([("sku", str)], [("sku", str), ("name", str)]):
        kind, load = declare(fields)
        assert isinstance(await make(manual_clock, store).get_or_load("a", load, 60, returns=kind), kind)
    assert len(calls) == 2


async def test_processes_share_one_load_and_the_death_of_one_costs_a_lease(manual_clock):
    store, origin = MemoryStore(manual_clock), Origin(1.0)
    chance = Chance()
    processes = [make(manual_clock, store, chance=chance, lease=3.0) for _ in range(4)]
    first = asyncio.ensure_future(processes[0].get_or_load("a", origin.load, 60))
    await asyncio.sleep(0.5)
    (filler,) = processes[0]._finding._flights._all
    store.release = lost = _Lost()  # a process that is killed says nothing
    filler.cancel()
    first.cancel()
    began = manual_clock.monotonic()
    got = await asyncio.gather(*(one.get_or_load("a", origin.load, 60) for one in processes[1:] for _ in range(250)))
    assert {product.price for product in got} == {2}
    assert manual_clock.monotonic() - began <= 3.0 + 1.0 + 1.0
    assert lost.calls >= 1


class _Lost:
    calls = 0

    async def __call__(self, names, token):
        self.calls += 1


class Down(MemoryStore):
    down = False

    async def read(self, asked, known):
        if self.down:
            raise OSError("down")
        return await super().read(asked, known)


async def test_without_the_shared_tier_each_process_loads_by_itself_or_says_so(manual_clock):
    store, origin = Down(manual_clock), Origin()
    store.down = True
    cache = make(manual_clock, store)
    assert (await cache.get_or_load("a", origin.load, 60)).price == 1
    assert cache.counts.outages == 1
    assert (await cache.get_or_load("b", origin.load, 60)).price == 2
    assert cache.counts.outages == 1  # left alone for a second
    with pytest.raises(Unavailable):
        await make(manual_clock, store, on_outage="fail").get_or_load("a", origin.load, 60)


async def test_an_error_of_the_loader_is_not_taken_for_an_outage(manual_clock):
    store, origin = MemoryStore(manual_clock), Origin()
    cache = make(manual_clock, store)
    origin.error = OSError("the origin")
    with pytest.raises(OSError, match="the origin"):
        await cache.get_or_load("a", origin.load, 60)
    assert origin.calls == 1
    assert cache.counts.outages == 0
    assert not store._claims


async def test_other_processes_see_an_invalidation_within_local_ttl(manual_clock):
    store, origin = MemoryStore(manual_clock), Origin()
    one, two = make(manual_clock, store), make(manual_clock, store)
    for cache in (one, two):
        await cache.get_or_load("a", origin.load, 60, tags=["p"])
    assert origin.calls == 1
    await one.invalidate_tags("p")  # and the message to the other is lost
    manual_clock.advance(1.1)
    assert (await two.get_or_load("a", origin.load, 60, tags=["p"])).price == 2


async def test_a_load_has_a_time_limit(manual_clock):
    cache = make(manual_clock, load_timeout=5.0)
    with pytest.raises(TimeoutError):
        await cache.get_or_load("a", Origin(60.0).load, 60)


async def test_close_ends_loads(manual_clock):
    cache = make(manual_clock)
    waiting = asyncio.ensure_future(cache.get_or_load("a", Origin(60.0).load, 60))
    await asyncio.sleep(0.1)
    waiting.cancel()
    await cache.close()
    assert len(cache._finding._flights) == 0


async def test_cached_keys_by_all_arguments_and_their_types(manual_clock):
    cache, seen = make(manual_clock), []

    @cached(lambda: cache, "5m", tags=lambda value, other=0: [f"v:{value}"])
    async def double(value: object, other: int = 0) -> str:
        seen.append((value, other))
        return f"{value!r}"

    assert [await double(value) for value in (1, True, "1", 1.0, 1)] == ["1", "True", "'1'", "1.0", "1"]
    await double(1, 0)
    await double(1, other=0)
    assert len(seen) == 4
    await cache.invalidate_tags("v:True")
    await double(True)
    await double("1")
    assert len(seen) == 5


def test_declarations_that_cannot_work_say_why():
    async def silent():
        return 1

    async def method(self) -> int:
        return 1

    with pytest.raises(DeclarationError, match="does not say what it returns"):
        cached(lambda: None, 5)(silent)
    with pytest.raises(DeclarationError, match="is a method"):
        cached(lambda: None, 5)(method)
    with pytest.raises(DeclarationError, match="not an async function"):
        cached(lambda: None, 5)(lambda: 1)
    for wrong in (0, -1, "x", float("inf"), "31d"):
        with pytest.raises(DeclarationError, match="ttl"):
            Keep(wrong)
