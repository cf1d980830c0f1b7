"""What comes out of a worker pool: order, bounded memory, errors, retries, and ends before their time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest

from seawall.clock import SystemRandom
from seawall.concurrency import Channel, PoolClosed, WorkerPool
from seawall.problems import DeclarationError
from seawall.resilience import Backoff, Environment, Retry
from seawall.testing import ManualClock

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]


async def test_results_come_in_order_or_as_they_are_done(manual_clock: ManualClock) -> None:
    async def work(seconds: int) -> int:
        await manual_clock.sleep(seconds)
        return seconds

    async with WorkerPool(work, workers=3, queue=2) as pool:
        assert [each async for each in pool.results([3, 1, 2, 1])] == [3, 1, 2, 1]
        assert [each async for each in pool.results([3, 1, 2, 9], ordered=False)] == [1, 2, 3, 9]
        both = (pool.results(range(20)), pool.results(range(20), ordered=False))
        first, second = await asyncio.gather(*[collect(each) for each in both])
    assert first == sorted(second) == list(range(20)), "two streams share the workers and do not mix"
    assert pool.progress.done == 48


async def collect(stream: AsyncIterator[int]) -> list[int]:
    return [each async for each in stream]


@pytest.mark.parametrize("ordered", [True, False])
async def test_a_slow_reader_is_waited_for(manual_clock: ManualClock, ordered: bool) -> None:
    taken = 0

    def source() -> Iterator[int]:
        nonlocal taken
        for number in range(100):
            taken += 1
            yield number

    async def work(number: int) -> int:
        return number

    read = 0
    async with WorkerPool(work, workers=2, queue=3) as pool:
        async for _ in pool.results(source(), ordered=ordered):
            read += 1
            await manual_clock.sleep(1)
            assert taken <= read + 2 + 3 + 1, "no more than the workers, the queue, and one in the hand"
    assert read == 100


async def test_items_may_come_from_a_channel_and_a_generator_is_closed(manual_clock: ManualClock) -> None:
    channel: Channel[int] = Channel(2)
    closed = False

    async def send() -> None:
        for number in range(10):
            await channel.send(number)
            await manual_clock.sleep(1)
        channel.close()

    async def endless() -> AsyncIterator[int]:
        nonlocal closed
        try:
            while True:
                yield 1
        finally:
            closed = True

    async def double(number: int) -> int:
        return 2 * number

    async with asyncio.TaskGroup() as group, WorkerPool(double, workers=2, queue=1) as pool:
        group.create_task(send())
        assert [each async for each in pool.results(channel)] == [2 * number for number in range(10)]

    async def slow(number: int) -> int:
        await manual_clock.sleep(1)
        return number

    async with WorkerPool(slow, workers=1, queue=2) as pool:
        async with contextlib.aclosing(pool.results(endless())) as stream:
            async for _ in stream:
                break
        assert closed
        assert (pool.progress.running, pool.progress.waiting) == (1, 0), "what has not been begun is taken out"


async def test_errors_end_it_or_are_left_out(manual_clock: ManualClock) -> None:
    async def work(number: int) -> int:
        await manual_clock.sleep(number)
        if number % 3 == 2:
            raise OSError(number)
        return number

    told: list[int] = []
    async with WorkerPool(work, workers=2, on_error=lambda number, _: told.append(number)) as pool:
        assert [each async for each in pool.results(range(7))] == [0, 1, 3, 4, 6]
    assert (told, pool.progress.failed) == ([2, 5], 2)
    got = []
    with pytest.raises(OSError, match="2"):  # noqa: PT012 - the iteration is what raises
        async with WorkerPool(work, workers=1, queue=1) as pool:
            async for each in pool.results(range(7)):
                got.append(each)  # noqa: PERF401 - what came before the error is wanted
    assert got == [0, 1]

    def broken() -> Iterator[int]:
        yield 1
        raise LookupError("the source")

    async with WorkerPool(work, workers=1) as pool:
        with pytest.raises(LookupError, match="the source"):
            _ = [each async for each in pool.results(broken())]
        assert [each async for each in pool.results([4])] == [4], "the pool is whole"


async def test_items_are_tried_again_and_counted(manual_clock: ManualClock) -> None:
    environment = Environment(manual_clock, SystemRandom(1))
    retry = Retry(attempts=3, idempotent=True, backoff=Backoff(first="1s"), budget=None).engine("mails", environment)
    tries: dict[int, int] = {}

    async def work(number: int) -> int:
        tries[number] = tries.get(number, 0) + 1
        if tries[number] <= number:
            raise OSError(number)
        return number

    told: list[int] = []
    pool = WorkerPool(work, workers=2, retry=retry, on_error=lambda number, _: told.append(number))
    async with pool:
        assert [each async for each in pool.results(range(4))] == [0, 1, 2]
    assert (told, tries) == ([3], {0: 1, 1: 2, 2: 3, 3: 3})
    progress = pool.progress
    assert (progress.done, progress.failed, progress.retried) == (3, 1, 5)
    async with WorkerPool(work, workers=1, retry=Retry(idempotent=True)) as plain:
        assert [each async for each in plain.results([0])] == [0]
    for wrong in (3, "3", Backoff()):
        with pytest.raises(DeclarationError, match=r"retry=.* write Retry\("):
            WorkerPool(work, workers=1, retry=wrong)


async def test_a_pool_can_be_ended_at_once(manual_clock: ManualClock) -> None:
    ended: list[int] = []

    async def work(number: int) -> int:
        try:
            await manual_clock.sleep(1000)
        finally:
            ended.append(number)
        return number

    began = manual_clock.monotonic()
    async with WorkerPool(work, workers=2, queue=2) as pool:
        reading = asyncio.create_task(collect(pool.results(range(10))))
        await manual_clock.sleep(1)
        pool.cancel()
        with pytest.raises(PoolClosed):
            await pool.put(1)
        with pytest.raises(PoolClosed):
            await reading
        with pytest.raises(PoolClosed):
            await collect(pool.results([1]))
    assert manual_clock.monotonic() - began == 1
    assert sorted(ended) == [0, 1]
    progress = pool.progress
    assert (progress.running, progress.waiting, progress.done) == (0, 0, 0)
