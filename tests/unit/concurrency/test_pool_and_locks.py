"""Worker pools, locks by key, locks for readers and writers."""

from __future__ import annotations

import asyncio

import pytest

from seawall.concurrency import KeyedLocks, PoolClosed, ReadWriteLock, WorkerPool
from seawall.problems import DeclarationError
from seawall.testing import ManualClock

pytestmark = pytest.mark.anyio


async def test_a_pool_works_on_everything_with_so_many_at_once(manual_clock: ManualClock) -> None:
    running = most = 0
    done: list[int] = []

    async def work(item: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await manual_clock.sleep(1)
        running -= 1
        done.append(item)

    async with WorkerPool(work, workers=3, queue=4) as pool:
        for number in range(20):
            await pool.put(number)
            assert pool.progress.waiting <= 4
        await pool.drain()
        assert pool.progress.done == 20
        await pool.put_all(range(20, 30))
    assert (sorted(done), most, pool.progress.done) == (list(range(30)), 3, 30)
    with pytest.raises(PoolClosed):
        await pool.put(1)


async def test_errors_are_told_or_end_it(manual_clock: ManualClock) -> None:
    async def work(item: int) -> None:
        await manual_clock.sleep(1)
        if item == 2:
            raise OSError(item)
        if item == 3:
            raise asyncio.CancelledError

    told: list = []
    async with WorkerPool(work, workers=2, on_error=lambda item, error: told.append((item, type(error)))) as pool:
        await pool.put_all(range(6))
    assert told == [(2, OSError)]
    assert (pool.progress.done, pool.progress.failed, pool.progress.cancelled) == (4, 1, 1)
    with pytest.raises(OSError, match="2"):
        async with WorkerPool(work, workers=2, queue=1) as pool:
            await pool.put_all(range(100))
    progress = pool.progress
    assert progress.failed == 1
    assert progress.waiting == progress.running == 0


async def test_a_block_that_raises_cancels_the_workers(manual_clock: ManualClock) -> None:
    ended: list[int] = []

    async def work(item: int) -> None:
        try:
            await manual_clock.sleep(100)
        finally:
            ended.append(item)

    with pytest.raises(KeyError):  # noqa: PT012 - the block of the pool is what raises
        async with WorkerPool(work, workers=2) as pool:
            await pool.put_all(range(5))
            await manual_clock.sleep(1)
            raise KeyError
    assert sorted(ended) == [0, 1]
    assert pool.progress.cancelled == 5
    for wrong in ({"workers": 0}, {"workers": 1, "queue": 0}, {"workers": True}):
        with pytest.raises(DeclarationError):
            WorkerPool(work, **wrong)


async def test_a_key_is_held_by_one_at_a_time_in_order(manual_clock: ManualClock) -> None:
    locks, order = KeyedLocks[str](), []

    async def hold(name: int, key: str) -> None:
        async with locks.hold(key):
            order.append((key, name))
            await manual_clock.sleep(1)
            order.append((key, name))

    start = manual_clock.monotonic()
    await asyncio.gather(*[hold(name, "a") for name in range(5)], *[hold(name, "b") for name in range(5)])
    assert manual_clock.monotonic() - start == 5, "keys do not wait for each other"
    assert [name for key, name in order if key == "a"] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert len(locks) == 0
    assert not locks.is_held("a")


async def test_readers_and_writers_take_turns(manual_clock: ManualClock) -> None:
    lock, log = ReadWriteLock(), []
    start = manual_clock.monotonic()

    async def read(name: str) -> None:
        async with lock.read():
            log.append((name, manual_clock.monotonic() - start))
            await manual_clock.sleep(1)

    async def write(name: str) -> None:
        async with lock.write():
            assert lock.readers == 0
            log.append((name, manual_clock.monotonic() - start))
            await manual_clock.sleep(1)

    await asyncio.gather(read("r1"), read("r2"), write("w1"), read("r3"), read("r4"), write("w2"), write("w3"))
    assert log == [("r1", 0), ("r2", 0), ("w1", 1), ("r3", 2), ("r4", 2), ("w2", 3), ("w3", 4)]
    assert (lock.readers, lock.writing, lock.waiting) == (0, False, 0)
    reader, writer, other = (asyncio.create_task(c) for c in (read("a"), write("b"), read("c")))
    await manual_clock.sleep(0.5)
    writer.cancel()
    await asyncio.gather(reader, writer, other, return_exceptions=True)
    assert log[-1][1] - log[-2][1] == 0.5, "readers behind a writer that gave up need not wait for it"
