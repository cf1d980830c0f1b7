"""Pipelines: widths, order, back-pressure to the source, errors, and all stages ending at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest

from seawall.clock import SystemRandom
from seawall.concurrency import Channel, Pipeline
from seawall.problems import DeclarationError
from seawall.resilience import Backoff, Environment, Retry
from seawall.testing import ManualClock

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]


class Stage:
    """A function that notes how many of it run."""

    def __init__(self, clock: ManualClock, seconds) -> None:
        self.clock, self.seconds = clock, seconds
        self.running = self.most = self.ended = 0

    async def __call__(self, number: int) -> int:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.clock.sleep(self.seconds(number))
        finally:
            self.running -= 1
            self.ended += 1
        return number


async def test_stages_run_side_by_side_each_with_its_width(manual_clock: ManualClock) -> None:
    first, second = Stage(manual_clock, lambda _: 1), Stage(manual_clock, lambda _: 4)
    pipeline = Pipeline(first, width=1).then(second, width=4)
    began = manual_clock.monotonic()
    assert await pipeline.collect(range(12)) == list(range(12))
    assert manual_clock.monotonic() - began == 16, "12 through the first, 4 more for the last one"
    assert (first.most, second.most) == (1, 4)


async def test_results_keep_the_order_unless_they_need_not(manual_clock: ManualClock) -> None:
    stage = Stage(manual_clock, lambda number: (7 * number) % 5)
    assert await Pipeline(stage, width=3).then(stage, width=4).collect(range(30)) == list(range(30))
    loose = await Pipeline(stage, width=5, ordered=False).collect(range(5))
    assert loose == [0, 3, 1, 4, 2], "by how long they took"


@pytest.mark.parametrize("ordered", [True, False])
async def test_what_is_slow_holds_up_the_source(manual_clock: ManualClock, ordered: bool) -> None:
    taken = 0

    def source() -> Iterator[int]:
        nonlocal taken
        for number in range(60):
            taken += 1
            yield number

    async def quick(number: int) -> int:
        return number

    pipeline = Pipeline(quick, width=2, queue=2, ordered=ordered).then(quick, width=3, queue=1, ordered=ordered)
    read, room = 0, (2 + 2) + (1 + 3) + 1 + 1
    async with pipeline.run(source()) as results:
        async for _ in results:
            read += 1
            await manual_clock.sleep(1)
            assert taken <= read + room, "queues, workers, results, and one in the hand of the source"
            assert sum(stage.waiting + stage.running for stage in results.progress) <= room
    assert read == 60


async def test_an_error_ends_every_stage_at_once(manual_clock: ManualClock) -> None:
    slow = Stage(manual_clock, lambda _: 100)

    async def bad(number: int) -> int:
        await manual_clock.sleep(1)
        if number == 2:
            raise OSError(number)
        return number

    began = manual_clock.monotonic()
    with pytest.raises(OSError, match="2"):
        await Pipeline(bad, width=3).then(slow, width=2).then(slow).collect(range(10))
    assert manual_clock.monotonic() - began == 1
    assert slow.running == 0


async def test_errors_that_are_told_leave_their_item_out(manual_clock: ManualClock) -> None:
    async def bad(number: int) -> int:
        await manual_clock.sleep(number % 3)
        if number % 4 == 1:
            raise OSError(number)
        if number % 4 == 3:
            raise asyncio.CancelledError
        return number

    told: list[tuple[int, type]] = []
    stage = Pipeline(bad, width=3, on_error=lambda number, error: told.append((number, type(error))))
    async with stage.then(Stage(manual_clock, lambda _: 1)).run(range(8)) as results:
        assert [each async for each in results] == [0, 2, 4, 6]
    first, last = results.progress
    assert (first.done, first.failed, first.running, last.done) == (4, 4, 0, 4)
    assert sorted(told) == [(1, OSError), (3, RuntimeError), (5, OSError), (7, RuntimeError)]

    def cannot_cope(number: int, error: Exception) -> None:
        raise LookupError(number) from error

    with pytest.raises(LookupError):
        await Pipeline(bad, on_error=cannot_cope).collect(range(8))


async def test_the_end_of_the_block_ends_it_and_closes_the_source(manual_clock: ManualClock) -> None:
    closed = False

    async def endless() -> AsyncIterator[int]:
        nonlocal closed
        try:
            number = 0
            while True:
                yield (number := number + 1)
        finally:
            closed = True

    first, second = Stage(manual_clock, lambda _: 1), Stage(manual_clock, lambda _: 50)
    async with Pipeline(first, width=2).then(second, width=9).run(endless()) as results:
        async for _ in results:
            break
    assert closed
    assert first.running == second.running == 0
    with pytest.raises(KeyError):  # noqa: PT012 - the block is what raises
        async with Pipeline(first).run(endless()) as results:
            await manual_clock.sleep(1)
            raise KeyError
    with pytest.raises(RuntimeError, match="used once"):
        await results.__aenter__()


async def test_a_source_that_fails_is_told(manual_clock: ManualClock) -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise LookupError("the source")

    with pytest.raises(LookupError, match="the source"):
        await Pipeline(Stage(manual_clock, lambda _: 5)).collect(broken())


async def test_pipelines_are_values_and_read_channels(manual_clock: ManualClock) -> None:
    async def double(number: int) -> int:
        return 2 * number

    async def text(number: int) -> str:
        return str(number)

    doubled = Pipeline(double, width=2)
    texts = doubled.then(text, width=3)
    assert "double (2) > " in str(texts)
    assert str(doubled).endswith("double (2)"), "it is as it was"
    channel: Channel[int] = Channel(5)
    for number in range(5):
        await channel.send(number)
    channel.close()
    both = await asyncio.gather(texts.collect(channel), doubled.collect([4]))
    assert both == [["0", "2", "4", "6", "8"], [8]]


async def test_items_are_tried_again(manual_clock: ManualClock) -> None:
    environment = Environment(manual_clock, SystemRandom(1))
    retry = Retry(attempts=3, idempotent=True, backoff=Backoff(first="1s"), budget=None).engine("x", environment)
    tries: Counter[int] = Counter()

    async def work(number: int) -> int:
        tries[number] += 1
        if tries[number] < 3:
            raise OSError(number)
        return number

    assert await Pipeline(work, width=2, retry=retry).collect(range(5)) == list(range(5))
    assert set(tries.values()) == {3}


async def test_no_stage_that_is_none(manual_clock: ManualClock) -> None:
    with pytest.raises(DeclarationError, match="is no stage"):
        Pipeline("text")
