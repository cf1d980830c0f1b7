"""The rate, the adaptive limit and the throttle."""

from __future__ import annotations

import asyncio
import random

import pytest

from seawall.clock import SystemRandom
from seawall.problems import Unavailable
from seawall.resilience import (
    AdaptiveLimit,
    Environment,
    LimitReached,
    RateLimit,
    RateLimited,
    Throttle,
    Throttled,
    TimedOut,
)
from seawall.testing.clock import ManualClock, ManualRandom

pytestmark = pytest.mark.anyio


async def test_a_rate_gives_its_burst_then_its_pace(manual_clock: ManualClock) -> None:
    rate = RateLimit(rate="10/second", burst=3, queue=100, patience=60).engine("x", Environment(manual_clock))
    start, times = manual_clock.monotonic(), []

    @rate
    async def call(number: int) -> None:
        times.append((number, round(manual_clock.monotonic() - start, 6)))

    await asyncio.gather(*[call(number) for number in range(8)])
    assert times == [(0, 0), (1, 0), (2, 0), (3, 0.1), (4, 0.2), (5, 0.3), (6, 0.4), (7, 0.5)]
    await manual_clock.sleep(10)
    times.clear()
    await asyncio.gather(*[call(number) for number in range(4)])
    assert [time for _, time in times] == pytest.approx([10.5, 10.5, 10.5, 10.6])


async def test_a_rate_refuses_what_cannot_come_in_time(manual_clock: ManualClock) -> None:
    rate = RateLimit(rate="1/second", queue=100, patience=2).engine("x", Environment(manual_clock))
    ended = await asyncio.gather(*[rate.acquire() for _ in range(6)], return_exceptions=True)
    assert [type(end) for end in ended[:3]] == [type(None)] * 3
    assert [type(end) for end in ended[3:]] == [RateLimited] * 3
    strict = RateLimit(rate="1/minute").engine("x", rate.environment)
    await strict.acquire()
    with pytest.raises(RateLimited) as refused:
        await strict.acquire()
    assert refused.value.retry_after == pytest.approx(60)


async def test_a_turn_of_a_cancelled_call_is_for_the_next(manual_clock: ManualClock) -> None:
    rate = RateLimit(rate="1/second", queue=100, patience=100).engine("x", Environment(manual_clock))
    await rate.acquire()
    start = manual_clock.monotonic()
    tasks = [asyncio.ensure_future(rate.acquire()) for _ in range(5)]
    await manual_clock.sleep(0.5)
    for task in tasks[:4]:
        task.cancel()
    await tasks[4]
    assert manual_clock.monotonic() - start == pytest.approx(1)


async def backend(clock: ManualClock, slots: list[int], seconds: float, chance: random.Random, limit) -> list[int]:
    """Drive a target of so many slots, 50 to 150 ms each, with more callers than it serves; its limit each second."""
    free, waiting, seen = slots[0], [], []
    until = clock.monotonic() + seconds

    async def serve() -> None:
        nonlocal free
        if free <= 0:
            turn = asyncio.get_running_loop().create_future()
            waiting.append(turn)
            await turn
        else:
            free -= 1
        await clock.sleep(0.05 + chance.random() / 10)
        if waiting and free >= 0:
            waiting.pop(0).set_result(None)
        else:
            free += 1

    call = limit(serve)

    async def client() -> None:
        while clock.monotonic() < until:
            try:
                await call()
            except LimitReached:
                await clock.sleep(0.02 + chance.random() / 50)

    async def watch() -> None:
        nonlocal free
        for second in range(int(seconds)):
            if second == int(seconds) // 2:
                free += slots[1] - slots[0]
            await clock.sleep(1)
            seen.append(limit.limit)

    await asyncio.gather(watch(), *[client() for _ in range(120)])
    return seen


async def test_the_adaptive_limit_finds_the_slots_of_its_target_and_follows(manual_clock: ManualClock) -> None:
    limit = AdaptiveLimit(start=10, most=500).engine("x", Environment(manual_clock))
    seen = await backend(manual_clock, [50, 25], 60, random.Random(11), limit)
    averages = [sum(seen[second : second + 5]) / 5 for second in range(0, 60, 5)]
    assert all(35 <= value <= 65 for value in averages[2:6]), seen
    assert all(17.5 <= value <= 32.5 for value in averages[8:]), seen


async def test_the_adaptive_limit_falls_when_calls_fail_however_quickly(manual_clock: ManualClock) -> None:
    limit = AdaptiveLimit(start=100).engine("x", Environment(manual_clock))

    @limit
    async def call() -> None:
        await manual_clock.sleep(0.01)
        raise TimedOut("x", 1)

    for _ in range(400):
        await asyncio.gather(*[call() for _ in range(20)], return_exceptions=True)
    assert limit.limit < 50
    assert limit.running == 0


async def test_the_adaptive_limit_loses_no_place(manual_clock: ManualClock) -> None:
    chance = random.Random(3)
    limit = AdaptiveLimit(start=4, queue=20, patience=0.3).engine("x", Environment(manual_clock))

    async def use() -> None:
        async with limit.guard():
            await manual_clock.sleep(chance.random() / 10)

    tasks = []
    for _ in range(1000):
        tasks.append(asyncio.ensure_future(use()))
        if chance.random() < 0.5:
            manual_clock.call_later(chance.random() / 2, tasks[-1].cancel)
        await manual_clock.sleep(chance.random() / 100)
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (limit.running, limit.waiting) == (0, 0)


async def test_a_throttle_that_sees_no_refusal_refuses_nothing() -> None:
    throttle = Throttle().engine("x", Environment(ManualClock(), ManualRandom()))
    for _ in range(100):
        async with throttle.guard():
            pass
    assert throttle.share == 0


async def test_a_throttle_forgets_in_its_window_and_what_says_nothing() -> None:
    clock = ManualClock()
    throttle = Throttle(window=24).engine("x", Environment(clock, SystemRandom(1)))
    throttle.acquire().release()
    assert throttle.requests == 0
    for _ in range(100):
        try:
            async with throttle.guard():
                raise Unavailable
        except (Unavailable, Throttled):
            pass
    assert throttle.share == pytest.approx(100 / 101)
    clock.advance(24)
    assert throttle.share == 0
