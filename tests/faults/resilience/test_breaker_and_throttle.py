"""Scenarios 4 and 8, and cancellations at random points of everything at once."""

from __future__ import annotations

import asyncio
import random

import pytest

from seawall.clock import SystemRandom
from seawall.problems import Unavailable
from seawall.resilience import (
    AdaptiveLimit,
    Backoff,
    Breaker,
    BreakerOpen,
    Budget,
    Bulkhead,
    Environment,
    Hedge,
    RateLimit,
    Resilience,
    Retry,
    Throttle,
    Throttled,
    Timeout,
)
from seawall.testing.clock import ManualClock

pytestmark = pytest.mark.anyio


async def throttled(clock: ManualClock, load: int, capacity: int, factor: float, protected: bool) -> tuple[float, ...]:
    """Drive *load* calls a second at a target that accepts *capacity*; shares not sent, expected, and turned away."""
    throttle = Throttle(factor=factor).engine("x", Environment(clock, SystemRandom(load)))
    accepted_in: dict[int, int] = {}
    sent = requests = accepts = refused = 0

    async def target() -> None:
        nonlocal sent, accepts
        sent += 1
        second = int(clock.monotonic())
        if accepted_in.get(second, 0) >= capacity:
            raise Unavailable
        accepted_in[second] = accepted_in.get(second, 0) + 1
        accepts += 1

    call = throttle(target) if protected else target
    for second in range(360):
        if second == 240:
            sent = requests = accepts = refused = 0
        for _ in range(load):
            requests += 1
            try:
                await call()
            except Throttled:
                refused += 1
            except Unavailable:
                pass
            clock.advance(1 / load)
    expected = max(0.0, (requests - factor * accepts) / (requests + 1))
    return refused / requests, expected, (sent - accepts) / requests


@pytest.mark.parametrize(("load", "capacity"), [(50, 100), (50, 40), (60, 20), (100, 10)])
async def test_4_calls_are_held_back_by_the_formula(load: int, capacity: int) -> None:
    share, expected, _ = await throttled(ManualClock(), load, capacity, 2, protected=True)
    assert share == pytest.approx(expected, abs=0.05)


async def test_4_without_it_the_target_turns_everything_away_itself() -> None:
    _, _, with_it = await throttled(ManualClock(), 100, 10, 2, protected=True)
    _, _, without = await throttled(ManualClock(), 100, 10, 2, protected=False)
    assert with_it < 0.2
    assert without == pytest.approx(0.9, abs=0.01)


class Backend:
    """Fails until it has recovered; notes who reached it."""

    def __init__(self) -> None:
        self.reached = 0
        self.recovered = False
        self.gate = asyncio.Event()

    async def call(self) -> str:
        self.reached += 1
        if not self.recovered:
            raise OSError
        await self.gate.wait()
        return "answer"


SCENARIO = Breaker(window=100, minimum_calls=100, failure_rate=0.5, open_for=60, jitter=0, probes=10)


async def test_8_it_opens_on_the_hundredth_call_and_ten_of_a_thousand_probe(manual_clock: ManualClock) -> None:
    breaker = Resilience(manual_clock, hooks=()).engine("x", SCENARIO)
    backend = Backend()
    call = breaker(backend.call)
    for number in range(1, 201):
        with pytest.raises(OSError if number <= 100 else BreakerOpen):
            await call()
    assert backend.reached == 100
    await manual_clock.sleep(60)
    backend.reached, backend.recovered = 0, True
    calls = [asyncio.ensure_future(call()) for _ in range(1000)]
    await manual_clock.sleep(0.001)
    assert backend.reached == 10
    assert breaker.snapshot().probes_left == 0
    probes = [task for task in calls if not task.done()]
    assert len(probes) == 10

    for task in probes[:3]:
        task.cancel()
    await asyncio.wait(probes[:3])
    assert breaker.snapshot().probes_left == 3
    more = [asyncio.ensure_future(call()) for _ in range(1000)]
    await manual_clock.sleep(0.001)
    assert backend.reached == 13, "three cancelled probes gave three places back"

    backend.gate.set()
    ended = await asyncio.gather(*calls, *more, return_exceptions=True)
    assert ended.count("answer") == 10
    assert breaker.state == "closed"


async def test_8_without_it_all_of_them_reach_the_backend(manual_clock: ManualClock) -> None:
    backend = Backend()
    backend.recovered = True
    backend.gate.set()
    await asyncio.gather(*[backend.call() for _ in range(1000)])
    assert backend.reached == 1000


async def test_8_in_real_time() -> None:
    breaker = Resilience(hooks=()).engine(
        "x", Breaker(window=100, minimum_calls=100, open_for=0.05, jitter=0, probes=10)
    )
    backend = Backend()
    call = breaker(backend.call)
    await asyncio.gather(*[call() for _ in range(150)], return_exceptions=True)
    assert breaker.state == "open"
    await asyncio.sleep(0.06)
    backend.reached, backend.recovered = 0, True
    calls = [asyncio.ensure_future(call()) for _ in range(1000)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert backend.reached == 10
    backend.gate.set()
    ended = await asyncio.gather(*calls, return_exceptions=True)
    assert ended.count("answer") == 10


async def test_ten_thousand_random_cancellations_lose_nothing(manual_clock: ManualClock) -> None:
    chance = random.Random(22)
    resilience = Resilience(manual_clock, SystemRandom(22), hooks=())
    breaker = resilience.engine(
        "x", Breaker(open_for=0.2, longest_open=0.5, probes=3, consecutive=8, probe_patience=60)
    )
    bulkhead = resilience.engine("x", Bulkhead(limit=30, queue=30, patience=0.5))
    adaptive = resilience.engine("x", AdaptiveLimit(queue=50, patience=0.5, start=40))
    timeout = resilience.engine("x", Timeout(0.3))
    retry = resilience.engine("x", Retry(idempotent=True, backoff=Backoff(first=0.05), budget=Budget(capacity=500)))
    hedge = resilience.engine("x", Hedge(after=0.1, budget=Budget(capacity=5000, least=20)))
    rate = resilience.engine("x", RateLimit(rate="2000/second", burst=50, queue=100))
    pipeline = resilience.pipeline("x", hedge, retry, breaker, rate, timeout, adaptive, bulkhead)
    inside, before = 0, asyncio.all_tasks()

    @pipeline
    async def call() -> None:
        nonlocal inside
        inside += 1
        try:
            await manual_clock.sleep(chance.random() * 0.4)
            if chance.random() < 0.2:
                raise OSError
        finally:
            inside -= 1

    tasks = []
    for _ in range(10_000):
        task = asyncio.ensure_future(call())
        tasks.append(task)
        manual_clock.call_later(chance.random() * 0.5, task.cancel)
        if chance.random() < 0.3:
            await manual_clock.sleep(chance.random() / 100)
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert any(end is None for end in ended)
    assert any(isinstance(end, asyncio.CancelledError) for end in ended)
    await manual_clock.sleep(1)
    assert inside == 0
    assert (bulkhead.free, bulkhead.waiting) == (30, 0)
    assert (adaptive.running, adaptive.waiting) == (0, 0)
    assert (retry.budget.active, retry.budget.extra) == (0, 0)
    assert (hedge.budget.active, hedge.budget.extra) == (0, 0)
    assert not timeout.expired
    assert not resilience.environment.expiries
    assert asyncio.all_tasks() == before
    if breaker.state == "half-open":
        assert breaker.snapshot().probes_left == 3 - breaker.snapshot().calls
