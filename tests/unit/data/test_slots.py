from __future__ import annotations

import asyncio

import pytest

from seawall.call import Call, enter, leave
from seawall.data import PoolExhausted
from seawall.data.slots import Slots

pytestmark = pytest.mark.anyio


def slots(clock, size=1, queue=10, wait=5.0):
    return Slots("primary", size, queue, wait, clock)


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_slots_go_round_in_the_order_they_were_asked_for(manual_clock):
    pool, order = slots(manual_clock), []
    first = await pool.take()

    async def take(name):
        holder = await pool.take()
        order.append(name)
        pool.give(holder)

    tasks = [asyncio.create_task(take(name)) for name in "abc"]
    await settle()
    assert pool.stats(0).waiting == 3
    assert pool.take_now() is None
    pool.give(first)
    await asyncio.gather(*tasks)
    assert order == ["a", "b", "c"]
    stats = pool.stats(0)
    assert (stats.in_use, stats.waiting, stats.waits, stats.takes) == (0, 0, 3, 4)


@pytest.mark.parametrize(("deadline", "refused_after"), [(None, 5.0), (0.2, 0.18), (2.0, 1.95), (60.0, 5.0)])
async def test_a_wait_ends_before_the_deadline(manual_clock, deadline, refused_after):
    pool = slots(manual_clock)
    held = await pool.take()
    call = Call(b"1", "wait", deadline=None if deadline is None else manual_clock.monotonic() + deadline)
    token = enter(call)
    try:
        began = manual_clock.monotonic()
        task = asyncio.create_task(pool.take())
        await settle()
        with pytest.raises(PoolExhausted):
            await task
        assert manual_clock.monotonic() - began == pytest.approx(refused_after)
    finally:
        leave(token)
    pool.give(held)
    assert pool.stats(0).refused == 1
    assert pool.take_now()


async def test_a_deadline_that_has_passed_and_a_full_queue_refuse_at_once(manual_clock):
    pool = slots(manual_clock, queue=0)
    await pool.take()
    with pytest.raises(PoolExhausted):
        await pool.take()
    late = slots(manual_clock)
    await late.take()
    token = enter(Call(b"1", "late", deadline=manual_clock.monotonic()))
    try:
        with pytest.raises(PoolExhausted):
            await late.take()
    finally:
        leave(token)


async def test_who_is_cancelled_in_the_moment_of_being_served_passes_it_on(manual_clock):
    pool = slots(manual_clock)
    held = await pool.take()
    first, second = (asyncio.create_task(pool.take()) for _ in range(2))
    await settle()
    pool.give(held)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    pool.give(await second)
    assert pool.stats(0).in_use == 0
    assert pool.take_now()


async def test_observers_are_told(manual_clock):
    pool, told = slots(manual_clock), []

    class Observer:
        def waited(self, *values):
            told.append(("waited", *values))

        def refused(self, *values):
            told.append(("refused", *values))

        def held(self, *values):
            told.append(("held", *values))

    pool.observers.append(Observer())
    token = enter(Call(b"1", "read"))
    try:
        holder = await pool.take()
        waiting = asyncio.create_task(pool.take())
        await settle()
        pool.give(holder)
        pool.give(await waiting)
    finally:
        leave(token)
    assert told == [("held", "primary", "read", 0.0), ("waited", "primary", 0.0), ("held", "primary", "read", 0.0)]
