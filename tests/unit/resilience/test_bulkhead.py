"""The bulkhead: never more than its limit, in order, and nothing lost."""

from __future__ import annotations

import asyncio
import random

import pytest

from seawall.call import Call, enter, leave
from seawall.resilience import Bulkhead, BulkheadFull, Environment
from seawall.testing.clock import ManualClock

pytestmark = pytest.mark.anyio


async def test_never_more_than_its_limit_and_first_come_first_served(manual_clock: ManualClock) -> None:
    bulkhead = Bulkhead(limit=3, queue=20, patience=100).engine("x", Environment(manual_clock))
    inside, most, order = 0, 0, []

    @bulkhead
    async def call(number: int) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        order.append(number)
        await manual_clock.sleep(1)
        inside -= 1

    await asyncio.gather(*[call(number) for number in range(20)])
    assert most == 3
    assert order == list(range(20))
    assert (bulkhead.free, bulkhead.waiting) == (3, 0)


async def test_a_newcomer_does_not_overtake_who_waits(manual_clock: ManualClock) -> None:
    bulkhead = Bulkhead(limit=1, queue=5).engine("x", Environment(manual_clock))
    permit = await bulkhead.acquire()
    waiting = asyncio.ensure_future(bulkhead.acquire())
    await asyncio.sleep(0)
    permit.release()
    assert bulkhead.free == 0, "the place is promised, though its owner has not run yet"
    second = asyncio.ensure_future(bulkhead.acquire())
    (await waiting).release()
    (await second).release()
    permit.release()
    assert bulkhead.free == 1


async def test_a_full_queue_refuses_at_once_and_a_long_one_in_time(manual_clock: ManualClock) -> None:
    bulkhead = Bulkhead(limit=1, queue=1, patience=0.5).engine("x", Environment(manual_clock))
    permit = await bulkhead.acquire()
    start = manual_clock.monotonic()
    waiting = asyncio.ensure_future(bulkhead.acquire())
    await asyncio.sleep(0)
    with pytest.raises(BulkheadFull):
        await bulkhead.acquire()
    assert manual_clock.monotonic() == start
    with pytest.raises(BulkheadFull):
        await waiting
    assert manual_clock.monotonic() - start == pytest.approx(0.5)
    assert bulkhead.waiting == 0
    permit.release()
    assert bulkhead.free == 1


async def test_nobody_waits_past_the_deadline_of_the_call_being_served(manual_clock: ManualClock) -> None:
    bulkhead = Bulkhead(limit=1, queue=1, patience=60).engine("x", Environment(manual_clock))
    await bulkhead.acquire()
    start = manual_clock.monotonic()
    token = enter(Call(b"id", "x", deadline=start + 0.2))
    try:
        with pytest.raises(BulkheadFull):
            await bulkhead.acquire()
    finally:
        leave(token)
    assert manual_clock.monotonic() - start == pytest.approx(0.2)


async def test_a_place_given_to_a_cancelled_call_goes_on(manual_clock: ManualClock) -> None:
    bulkhead = Bulkhead(limit=1, queue=5).engine("x", Environment(manual_clock))
    permit = await bulkhead.acquire()
    first, second = asyncio.ensure_future(bulkhead.acquire()), asyncio.ensure_future(bulkhead.acquire())
    await asyncio.sleep(0)
    permit.release()
    first.cancel()
    (await second).release()
    assert first.cancelled()
    assert bulkhead.free == 1


async def test_random_cancellations_lose_nothing(manual_clock: ManualClock) -> None:
    chance = random.Random(7)
    bulkhead = Bulkhead(limit=5, queue=50, patience=0.4).engine("x", Environment(manual_clock))
    inside = 0

    async def use() -> None:
        nonlocal inside
        async with bulkhead.guard():
            inside += 1
            assert inside <= 5
            try:
                await manual_clock.sleep(chance.random() / 5)
            finally:
                inside -= 1

    tasks = []
    for _ in range(2000):
        tasks.append(asyncio.ensure_future(use()))
        if chance.random() < 0.5:
            manual_clock.call_later(chance.random() / 2, tasks[-1].cancel)
        await manual_clock.sleep(chance.random() / 50)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    kinds = {type(result) for result in results}
    assert kinds == {type(None), BulkheadFull, asyncio.CancelledError}
    assert (bulkhead.free, bulkhead.waiting, inside) == (5, 0, 0)
