"""Whatever begins so is outdated in one step: in the process, in the shared tier, in other processes."""

import asyncio
import random

import pytest

from seawall.cache import Cache, Keep, cached
from seawall.cache.cache import CacheOptions
from seawall.cache.journal import Journal
from seawall.cache.memory import MemoryStore
from seawall.cache.prefixes import Prefixes
from seawall.cache.store import Changes, News, Position
from seawall.problems import Unavailable

pytestmark = pytest.mark.anyio


class Chance:
    def __init__(self):
        self.bits = random.Random(7)

    def random(self):
        return 0.0

    def getrandbits(self, bits, /):
        return self.bits.getrandbits(bits)


class Origin:
    def __init__(self, seconds=0.0):
        self.calls = 0
        self.seconds = seconds

    async def load(self) -> int:
        self.calls += 1
        number = self.calls
        await asyncio.sleep(self.seconds)
        return number


def make(clock, shared=None, **options):
    return Cache(clock, Chance(), CacheOptions(**options), shared)


@pytest.fixture(params=["local", "both"])
def store(request, manual_clock):
    return MemoryStore(manual_clock) if request.param == "both" else None


def test_each_is_judged_by_what_came_after_it():
    model: list[str] = []
    known = Prefixes()
    chance = random.Random(3)
    for number in range(1, 400):
        prefix = "".join(chance.choices("ab", k=chance.randrange(4)))
        model.append(prefix)
        known.add(prefix, number)
        key = "".join(chance.choices("ab", k=chance.randrange(6)))
        since = chance.randrange(number + 1)
        assert known.outdated(key, since) == any(key.startswith(each) for each in model[since:])


def test_what_is_forgotten_outdates_what_is_older():
    known = Prefixes(most=3)
    for number in range(1, 6):
        known.add(f"p{number}", number)
    assert len(known) == 3
    assert known.outdated("other", 1)
    assert not known.outdated("other", 2)
    assert known.outdated("p3:x", 2)
    assert not known.outdated("p5:x", 5)


async def test_a_prefix_outdates_what_begins_so_and_nothing_else(manual_clock, store):
    cache = make(manual_clock, store)
    origins = {key: Origin() for key in ("a:1", "a:2", "ab", "b:1", "")}

    async def get():
        return [await cache.get_or_load(key, origin.load, 60) for key, origin in origins.items()]

    await get()
    await cache.invalidate_prefix("a:")
    assert await get() == [2, 2, 1, 1, 1]
    assert await get() == [2, 2, 1, 1, 1]
    await cache.invalidate_prefix("a", "b:")
    assert await get() == [3, 3, 2, 2, 1]
    await cache.invalidate_prefix("")
    assert await get() == [4, 4, 3, 3, 2]


async def test_a_load_under_way_does_not_bring_it_back(manual_clock, store):
    cache, origin = make(manual_clock, store), Origin(1.0)
    reading = asyncio.ensure_future(cache.get_or_load("a:1", origin.load, 60))
    await asyncio.sleep(0.5)
    await cache.invalidate_prefix("a:")
    assert await cache.get_or_load("a:1", origin.load, 60) == 2
    assert await reading == 1
    for caches in (cache, make(manual_clock, store)) if store is not None else (cache,):
        assert await caches.get_or_load("a:1", origin.load, 60) == 2


async def test_processes_that_heard_nothing_learn_of_it_within_local_ttl(manual_clock):
    store, origin = MemoryStore(manual_clock), Origin()
    one, two = make(manual_clock, store), make(manual_clock, store)
    for cache in (one, two):
        assert await cache.get_or_load("a:1", origin.load, 60) == 1
    manual_clock.advance(0.95)
    assert await two.get_or_load("b", origin.load, 60) == 2  # its journal is fresh, what it has of a:1 is not
    await one.invalidate_prefix("a:")
    manual_clock.advance(0.06)
    assert await two.get_or_load("a:1", origin.load, 60) <= 3
    manual_clock.advance(0.95)
    assert await two.get_or_load("a:1", origin.load, 60) == 3


async def test_without_numbers_the_same_process_would_go_on_with_it(manual_clock, monkeypatch):
    monkeypatch.setattr(Journal, "judge", lambda *_: True)
    store, origin = MemoryStore(manual_clock), Origin()
    one, two = make(manual_clock, store), make(manual_clock, store)
    for cache in (one, two):
        await cache.get_or_load("a:1", origin.load, 60)
    await one.invalidate_prefix("a:")
    two.shared.journal.confirmed = manual_clock.monotonic() + 60
    manual_clock.advance(30)
    assert await two.get_or_load("a:1", origin.load, 60) == 1


async def test_a_message_outdates_at_once_and_an_echo_changes_nothing(manual_clock):
    store, origin = MemoryStore(manual_clock), Origin()
    one, two = make(manual_clock, store), make(manual_clock, store)
    for cache in (one, two):
        await cache.get_or_load("a:1", origin.load, 60)
    await one.invalidate_prefix("a:")
    two._heard(News(prefixes=("a:",), position=store._position))
    assert await two.get_or_load("a:1", origin.load, 60) == 2
    number = two.copies.prefixes.number
    two._heard(News(prefixes=("a:",), position=store._position))
    assert two.copies.prefixes.number == number


async def test_a_store_that_lost_its_data_has_another_journal(manual_clock):
    store, origin = MemoryStore(manual_clock), Origin()
    cache = make(manual_clock, store)
    await cache.get_or_load("a:1", origin.load, 60)
    for _ in range(5):
        await cache.invalidate_prefix("x")
    await cache.get_or_load("a:1", origin.load, 60)
    store._position, store._prefixes = Position(b"another"), {}  # the entry is of a journal that is gone
    manual_clock.advance(1.1)
    assert await cache.get_or_load("a:1", origin.load, 60) == 2
    await make(manual_clock, store).invalidate_prefix("a:")
    manual_clock.advance(1.1)
    assert await cache.get_or_load("a:1", origin.load, 60) == 3


async def test_an_invalidation_that_could_not_be_told_is_an_error_and_holds_here(manual_clock):
    store, origin = MemoryStore(manual_clock), Origin()
    cache = make(manual_clock, store)
    await cache.get_or_load("a:1", origin.load, 60)

    async def down(*_):
        raise OSError("down")

    store.invalidate = store.read = store.claim = down
    with pytest.raises(Unavailable):
        await cache.invalidate_prefix("a:")
    assert await cache.get_or_load("a:1", origin.load, 60) == 2


async def test_all_a_cached_function_has_kept_is_outdated_by_its_prefix(manual_clock, store):
    cache, seen = make(manual_clock, store), []

    @cached(cache, Keep(60), prefix="double:")
    async def double(value: int) -> int:
        seen.append(value)
        return 2 * value

    for _ in range(2):
        assert [await double(number) for number in (1, 2)] == [2, 4]
    await cache.invalidate_prefix("double:")
    await double(1)
    assert seen == [1, 2, 1]


def test_a_gap_between_messages_is_noticed():
    journal = Journal(1.0)
    journal.learn(Changes(Position(b"j", 3), 0, [("a", 3)]), 10.0)
    assert journal.due(10.05) is None
    assert journal.heard(News(prefixes=("b", "c"), position=Position(b"j", 5)))
    assert journal.position == Position(b"j", 5)
    assert journal.due(10.05) is None
    assert journal.heard(News(prefixes=("e",), position=Position(b"j", 7)))
    assert journal.due(10.05) == Position(b"j", 5)
    assert journal.learn(Changes(Position(b"j", 7), 0, [("d", 6), ("e", 7)]), 10.1) == ["d", "e"]
    assert [journal.judge(key, b"j", 5) for key in "abcde"] == [True, True, True, False, False]
    # An answer that was overtaken takes nothing back.
    assert journal.learn(Changes(Position(b"j", 4), 0, [("b", 4)]), 10.2) == []
    assert journal.position == Position(b"j", 7)
    assert journal.judge("a", b"other", 9) is None
    assert journal.judge("a", b"", 0) is False  # from before there were journals
    assert journal.judge("x", b"", 0) is True


def test_an_entry_that_knows_more_makes_the_next_look_ask():
    journal = Journal(1.0)
    journal.learn(Changes(Position(b"j", 3), 2, [("a", 3)]), 10.0)
    assert journal.judge("x", b"j", 1) is False  # below the floor
    assert journal.judge("x", b"j", 4) is True
    assert journal.due(10.01) == Position(b"j", 3)
