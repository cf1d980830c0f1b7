"""More than 10,000 cancellations at random points, through every primitive: no item, turn, permit, lock, task is lost.

Those of processes are in their own tests: each of them costs a process.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter

import pytest

from seawall.concurrency import (
    Broadcast,
    Channel,
    ChannelClosed,
    KeyedLocks,
    Pipeline,
    ReadWriteLock,
    Semaphore,
    SingleFlight,
    WorkerPool,
    batch,
    debounce,
    fan_out,
    first_success,
    gather,
    merge,
    optional,
    partial,
    quorum,
    required,
    select,
    throttle,
)
from seawall.resilience import Bulkhead, Environment
from seawall.testing import ManualClock

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]

SEED = int(os.environ.get("SEAWALL_TEST_SEED", "20261125"))
CANCELLATIONS = 10_000 if os.environ.get("SEAWALL_FAULTS") == "full" else 1000
"""For each test."""


async def storm(clock: ManualClock, chance: random.Random, make) -> int:
    """Run tasks of *make* until so many have been cancelled before their end; return how many ended by themselves."""
    cancelled = finished = 0
    while cancelled < CANCELLATIONS:
        tasks = [asyncio.create_task(make()) for _ in range(40)]

        async def strike(task: asyncio.Task) -> None:
            for _ in range(chance.randrange(6)):
                await asyncio.sleep(0)
            if chance.random() < 0.6:
                await clock.sleep(chance.randrange(5))
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            task.cancel()

        strikes = [asyncio.create_task(strike(task)) for task in tasks if chance.random() < 0.8]
        async with asyncio.timeout(1000):
            results = await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*strikes)
        for result in results:
            if isinstance(result, asyncio.CancelledError):
                cancelled += 1
            elif isinstance(result, BaseException):
                raise result
            else:
                finished += 1
    return finished


def alone() -> bool:
    """Whether nothing runs but the test, and the runner of the tests."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    return not [task for task in others if "TestRunner" not in task.get_coro().__qualname__]


@pytest.fixture
def chance() -> random.Random:
    print(f"SEAWALL_TEST_SEED={SEED}")
    return random.Random(SEED)


async def test_keyed_locks(manual_clock: ManualClock, chance: random.Random) -> None:
    locks, holding = KeyedLocks[int](), Counter()

    async def use() -> None:
        key = chance.randrange(4)
        async with locks.hold(key):
            holding[key] += 1
            assert holding[key] == 1
            try:
                await manual_clock.sleep(chance.randrange(3))
            finally:
                holding[key] -= 1

    assert await storm(manual_clock, chance, use)
    assert len(locks) == 0
    assert alone()


async def test_read_write_lock(manual_clock: ManualClock, chance: random.Random) -> None:
    lock, now = ReadWriteLock(), Counter()

    async def use() -> None:
        kind = "write" if chance.random() < 0.3 else "read"
        async with getattr(lock, kind)():
            now[kind] += 1
            assert now["write"] == 0 or (now["write"], now["read"]) == (1, 0)
            try:
                await manual_clock.sleep(chance.randrange(3))
            finally:
                now[kind] -= 1

    assert await storm(manual_clock, chance, use)
    assert (lock.readers, lock.writing, lock.waiting) == (0, False, 0)
    assert alone()


async def test_semaphores(manual_clock: ManualClock, chance: random.Random) -> None:
    """Permits of all weights, taken in all ways, some with a time limit that may come at the same moment."""
    semaphore, used = Semaphore(5, clock=manual_clock), 0

    async def use() -> None:
        nonlocal used
        weight, kind = chance.randrange(1, 6), chance.randrange(3)
        within = chance.randrange(4) if chance.random() < 0.3 else None
        try:
            permit = semaphore.try_acquire(weight) if kind == 0 else None
            if permit is None:
                permit = await semaphore.acquire(weight, within=within)
        except TimeoutError:
            return
        try:
            used += weight
            assert used <= 5
            await manual_clock.sleep(chance.randrange(3))
        finally:
            used -= weight
            permit.release()

    assert await storm(manual_clock, chance, use)
    assert (semaphore.free, semaphore.waiting, len(semaphore.held)) == (5, 0, 0)


async def test_locks_with_time_limits(manual_clock: ManualClock, chance: random.Random) -> None:
    locks, both = KeyedLocks[int](manual_clock), ReadWriteLock(manual_clock)

    async def use() -> None:
        within = chance.randrange(3)
        kinds = (
            lambda: locks.hold(1, within=within),
            lambda: both.read(within=within),
            lambda: both.write(within=within),
        )
        try:
            async with chance.choice(kinds)():
                await manual_clock.sleep(chance.randrange(3))
        except TimeoutError:
            return

    assert await storm(manual_clock, chance, use)
    assert (len(locks), both.readers, both.writing, both.waiting) == (0, 0, False, 0)


@pytest.mark.parametrize("ordered", [True, False])
async def test_pipelines(manual_clock: ManualClock, chance: random.Random, ordered: bool) -> None:
    """A pipeline that is cancelled has ended in every stage; one that is not gives everything once."""
    running = 0

    async def stage(number: int) -> int:
        nonlocal running
        running += 1
        try:
            await manual_clock.sleep(chance.randrange(2))
            return number
        finally:
            running -= 1

    pipeline = Pipeline(stage, width=2, queue=1, ordered=ordered).then(stage, width=3, queue=2, ordered=ordered)

    async def use() -> None:
        got = await pipeline.collect(range(6))
        assert (got if ordered else sorted(got)) == list(range(6))

    assert await storm(manual_clock, chance, use)
    assert running == 0
    assert alone()


async def test_results_of_pools(manual_clock: ManualClock, chance: random.Random) -> None:
    """Readers of one pool are cancelled: the others get all of theirs, and the pool accounts for every item."""
    begun = 0

    async def work(number: int) -> int:
        nonlocal begun
        begun += 1
        await manual_clock.sleep(chance.randrange(2))
        return number

    async with WorkerPool(work, workers=3, queue=2) as pool:

        async def use() -> None:
            ordered = chance.random() < 0.5
            got = [each async for each in pool.results(range(9), ordered=ordered)]
            assert sorted(got) == list(range(9))

        assert await storm(manual_clock, chance, use)
        await pool.drain()
        progress = pool.progress
        assert (progress.waiting, progress.running, progress.done) == (0, 0, begun)
        assert not pool._results
        assert not pool._feeders
    assert alone()


async def test_broadcasts_and_debounce(manual_clock: ManualClock, chance: random.Random) -> None:
    news: Broadcast[int] = Broadcast()

    async def use() -> None:
        channel = news.subscribe(2)
        sending = asyncio.create_task(news.send(1))
        try:
            async for _ in debounce(channel, 1, clock=manual_clock):
                break
        finally:
            channel.close()
            await asyncio.gather(sending, return_exceptions=True)

    assert await storm(manual_clock, chance, use)
    await news.send(2)
    assert news._subscribers == []
    assert alone()


@pytest.mark.parametrize("capacity", [0, 3])
async def test_channels(manual_clock: ManualClock, chance: random.Random, capacity: int) -> None:
    """What was sent is received once; what was not certainly sent, at most once."""
    channels = [Channel[int](capacity) for _ in range(2)]
    tried, sent, got = Counter(), Counter(), Counter()
    numbers = iter(range(10**9))

    async def use() -> None:
        kind = chance.randrange(4)
        if kind < 2:
            number = next(numbers)
            tried[number] += 1
            await chance.choice(channels).send(number)
            sent[number] += 1
            return
        if kind == 2:
            got[await chance.choice(channels).receive()] += 1
            return
        try:
            _, number = await select(*channels, timeout=chance.randrange(4), clock=manual_clock)
        except TimeoutError:
            return
        got[number] += 1

    # Those that wait for a partner that never comes are cancelled at the end of each round.
    async def bounded() -> None:
        try:
            async with asyncio.timeout(10):
                await use()
        except TimeoutError:
            return

    assert await storm(manual_clock, chance, bounded)
    for channel in channels:
        channel.close()
        async for number in channel:
            got[number] += 1
    assert set(sent) <= set(got) <= set(tried)
    assert set(got.values()) == {1}
    assert not any(channel.receivers or channel._senders for channel in channels)
    assert alone()


async def test_flows_give_back_what_they_hold(manual_clock: ManualClock, chance: random.Random) -> None:
    source, got, numbers = Channel[int](1000), Counter(), iter(range(10**9))
    put = 0

    async def use() -> None:
        nonlocal put
        for _ in range(3):
            if source.try_send(number := next(numbers)):
                put += 1
                assert number >= 0
        kind = chance.randrange(3)
        if kind == 0:
            async for items in batch(source, 4, 2, clock=manual_clock):
                got.update(items)
                return
        elif kind == 1:
            async for item in throttle(source, 1, clock=manual_clock):
                got[item] += 1
                if chance.random() < 0.5:
                    return
        else:
            async for item in merge(source, Channel[int]()):
                got[item] += 1
                return

    assert await storm(manual_clock, chance, use)
    source.close()
    async for item in source:
        got[item] += 1
    assert (len(got), set(got.values())) == (put, {1})


async def test_races_and_fans(manual_clock: ManualClock, chance: random.Random) -> None:
    running = 0

    async def part() -> int:
        nonlocal running
        running += 1
        try:
            await manual_clock.sleep(chance.randrange(4))
            await asyncio.sleep(0)
            return 1
        finally:
            try:
                await asyncio.sleep(0)
            finally:
                running -= 1

    async def use() -> None:
        kind = chance.randrange(5)
        if kind == 0:
            assert await first_success(part(), part(), part()) == 1
        elif kind == 1:
            assert await quorum(2, part(), part(), part()) == [1, 1]
        elif kind == 2:
            assert await gather(lambda _: part(), range(6), limit=2) == [1] * 6
        elif kind == 3:
            page = partial(dict, clock=manual_clock, a=required(part(), within=9), b=optional(part(), within=9))
            assert (await page).value == {"a": 1, "b": 1}
        else:
            assert await fan_out(dict, a=part(), b=part()) == {"a": 1, "b": 1}

    assert await storm(manual_clock, chance, use)
    assert running == 0
    assert alone()


async def test_single_flight(manual_clock: ManualClock, chance: random.Random) -> None:
    flights, running = SingleFlight[int, int](), Counter()

    async def use() -> None:
        key = chance.randrange(3)

        async def fetch() -> int:
            running[key] += 1
            assert running[key] == 1
            try:
                await manual_clock.sleep(chance.randrange(3))
                return key
            finally:
                running[key] -= 1

        assert await flights.run(key, fetch) == key

    assert await storm(manual_clock, chance, use)
    assert (len(flights), running.total()) == (0, 0)
    assert alone()


async def test_pools(manual_clock: ManualClock, chance: random.Random) -> None:
    """Puts that are cancelled put nothing in; everything else is worked on once."""
    done, put = Counter(), Counter()
    numbers = iter(range(10**9))

    async def work(number: int) -> None:
        await manual_clock.sleep(chance.randrange(2))
        done[number] += 1

    async with WorkerPool(work, workers=3, queue=2) as pool:

        async def use() -> None:
            number = next(numbers)
            await pool.put(number)
            put[number] += 1
            if chance.random() < 0.3:
                await pool.drain()

        assert await storm(manual_clock, chance, use)
    assert done == put
    assert alone()


async def test_whole_pools(manual_clock: ManualClock, chance: random.Random) -> None:
    """A pool whose block is cancelled accounts for each of its items, and leaves no worker behind."""
    pools: list[tuple[WorkerPool[int], list[int]]] = []

    async def work(number: int) -> None:
        await manual_clock.sleep(chance.randrange(3))

    async def use() -> None:
        put: list[int] = []
        async with WorkerPool(work, workers=2, queue=2) as pool:
            pools.append((pool, put))
            for number in range(6):
                await pool.put(number)
                put.append(number)

    assert await storm(manual_clock, chance, use)
    for pool, put in pools:
        progress = pool.progress
        assert (progress.waiting, progress.running) == (0, 0)
        assert progress.done + progress.failed + progress.cancelled == len(put)
    assert alone()


async def test_bulkheads(manual_clock: ManualClock, chance: random.Random) -> None:
    bulkhead = Bulkhead(limit=3, queue=100, patience=1000).engine("b", Environment(manual_clock))

    async def use() -> None:
        async with bulkhead.guard():
            assert bulkhead.running <= 3
            await manual_clock.sleep(chance.randrange(3))

    assert await storm(manual_clock, chance, use)
    assert (bulkhead.free, bulkhead.waiting) == (3, 0)


async def test_closing_while_all_wait(manual_clock: ManualClock, chance: random.Random) -> None:
    async def use() -> None:
        channel: Channel[int] = Channel(1)

        async def close() -> None:
            await manual_clock.sleep(chance.randrange(3))
            channel.close()

        closing = asyncio.create_task(close())
        try:
            async for _ in merge(channel, channel):
                pass
            with pytest.raises(ChannelClosed):
                await channel.send(1)
        finally:
            await asyncio.shield(closing)

    assert await storm(manual_clock, chance, use)
