"""Semaphores with weights, and what all locks share: order, time limits, and no waiting for oneself."""

from __future__ import annotations

import asyncio

import pytest

from seawall.concurrency import KeyedLocks, ReadWriteLock, Semaphore, WaitsForItself
from seawall.problems import DeclarationError
from seawall.testing import ManualClock

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]


async def test_weights_add_up_to_the_limit_and_no_more(manual_clock: ManualClock) -> None:
    semaphore, used, most = Semaphore(5), 0, 0

    async def use(weight: int) -> None:
        nonlocal used, most
        async with semaphore.hold(weight):
            used += weight
            most = max(most, used)
            await manual_clock.sleep(1)
            used -= weight

    await asyncio.gather(*[use(1 + number % 5) for number in range(40)])
    assert (most, used, semaphore.free, semaphore.waiting) == (5, 0, 5, 0)


async def test_a_heavy_one_is_not_starved_by_light_ones(manual_clock: ManualClock) -> None:
    semaphore, order = Semaphore(3), []

    async def use(name: str, weight: int) -> None:
        async with semaphore.hold(weight):
            order.append(name)
            await manual_clock.sleep(1)

    tasks = [use("a", 2), use("heavy", 3), *(use(f"light {number}", 1) for number in range(5))]
    await asyncio.gather(*tasks)
    assert order[:2] == ["a", "heavy"], "one place was free, and was kept for the heavy one"
    assert len(order) == 7


async def test_a_permit_can_be_given_back_by_anybody_and_once(manual_clock: ManualClock) -> None:
    semaphore = Semaphore(2, clock=manual_clock)
    permit = await semaphore.acquire(2)
    assert semaphore.try_acquire() is None
    waiting = asyncio.create_task(semaphore.acquire())
    await asyncio.sleep(0)
    assert (semaphore.free, semaphore.waiting) == (0, 1)

    async def elsewhere() -> None:
        permit.release()
        permit.release()

    await asyncio.create_task(elsewhere())
    other = await waiting
    assert semaphore.free == 1
    third = semaphore.try_acquire()
    assert third is not None
    for each in (other, third, other):
        each.release()
    assert semaphore.free == 2


async def test_nobody_overtakes_who_waits_by_trying(manual_clock: ManualClock) -> None:
    semaphore = Semaphore(2)
    first = await semaphore.acquire()
    heavy = asyncio.create_task(semaphore.acquire(2))
    await asyncio.sleep(0)
    assert semaphore.try_acquire() is None, "one is free, but it is not their turn"
    first.release()
    (await heavy).release()


@pytest.mark.parametrize("kind", ["semaphore", "key", "read", "write"])
async def test_a_wait_ends_in_time_and_lets_those_behind_it_in(manual_clock: ManualClock, kind: str) -> None:
    locks, both = KeyedLocks[str](manual_clock), ReadWriteLock(manual_clock)
    semaphore = Semaphore(2, clock=manual_clock)
    take = {
        "semaphore": lambda within: semaphore.hold(2, within=within),
        "key": lambda within: locks.hold("k", within=within),
        "read": lambda within: both.read(within=within),
        "write": lambda within: both.write(within=within),
    }[kind]
    outer = {"semaphore": semaphore.hold, "key": lambda: locks.hold("k"), "read": both.write, "write": both.read}[kind]
    held, begun = outer(), manual_clock.monotonic()

    async def hold() -> None:
        async with held:
            await manual_clock.sleep(10)

    async def impatient() -> None:
        with pytest.raises(TimeoutError, match="did not become free within 2 s"):
            async with take("2s"):
                pytest.fail("it was held")
        assert manual_clock.monotonic() - begun == 2
        with pytest.raises(TimeoutError):
            async with take(0):
                pytest.fail("it was held")

    async def patient() -> float:
        async with take(60):
            return manual_clock.monotonic() - begun

    async with asyncio.TaskGroup() as group:
        group.create_task(hold())
        await asyncio.sleep(0)
        group.create_task(impatient())
        waited = group.create_task(patient())
    assert waited.result() == 10


async def test_who_gives_up_lets_in_whom_there_is_room_for(manual_clock: ManualClock) -> None:
    semaphore = Semaphore(3, clock=manual_clock)
    permit = await semaphore.acquire(2)
    heavy = asyncio.create_task(semaphore.acquire(3, within=1))
    await asyncio.sleep(0)
    light = asyncio.create_task(semaphore.acquire(1))
    began = manual_clock.monotonic()
    other = await light
    assert manual_clock.monotonic() - began == 1
    with pytest.raises(TimeoutError):
        await heavy
    other.release()
    permit.release()


async def test_a_task_is_not_left_to_wait_for_itself(manual_clock: ManualClock) -> None:
    locks, both = KeyedLocks[str](), ReadWriteLock()
    async with locks.hold("a"), locks.hold("b"):
        with pytest.raises(WaitsForItself, match="key 'a' is held by this task already"):
            async with locks.hold("a"):
                pytest.fail("it would have waited for ever")
    async with both.read():
        with pytest.raises(WaitsForItself):
            async with both.write():
                pytest.fail("it would have waited for ever")
        async with both.read():
            assert both.readers == 2, "that does not wait"
    assert (len(locks), both.readers, both.writing) == (0, 0, False)


async def test_one_stay_is_one_stay(manual_clock: ManualClock) -> None:
    locks, both = KeyedLocks[str](), ReadWriteLock()
    for stay in (locks.hold("a"), both.read(), Semaphore(3).hold()):
        async with stay:
            with pytest.raises(RuntimeError, match="has begun already"):
                async with stay:
                    pytest.fail("it is the same one")
        async with stay:
            pass


@pytest.mark.parametrize("wrong", [0, -1, 4, True, 1.5, float("nan"), "1", None])
async def test_an_impossible_weight_is_refused(manual_clock: ManualClock, wrong: object) -> None:
    semaphore = Semaphore(3)
    for ask in (semaphore.hold, semaphore.try_acquire):
        with pytest.raises(DeclarationError, match="weight="):
            ask(wrong)
    with pytest.raises(DeclarationError, match="weight="):
        await semaphore.acquire(wrong)
