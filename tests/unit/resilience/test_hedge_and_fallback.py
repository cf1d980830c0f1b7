"""Hedged calls and fallbacks."""

from __future__ import annotations

import asyncio

import pytest

from seawall.problems import NotFound
from seawall.resilience import (
    BreakerOpen,
    Budget,
    Environment,
    Fallback,
    FallbackEngine,
    Hedge,
    HedgeEngine,
    Outcomes,
    Stale,
)
from seawall.testing.clock import ManualClock

pytestmark = pytest.mark.anyio


class Slow:
    """Calls that take what they are told, or fail when that is negative; counts who was cancelled."""

    def __init__(self, clock: ManualClock, *seconds: float) -> None:
        self.clock = clock
        self.seconds = list(seconds)
        self.made = 0
        self.running = 0
        self.cancelled = 0

    async def __call__(self) -> int:
        self.made += 1
        number, seconds = self.made, self.seconds.pop(0)
        self.running += 1
        try:
            await self.clock.sleep(abs(seconds))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        if seconds < 0:
            raise ConnectionError(number)
        return number


def hedged(clock: ManualClock, **settings) -> HedgeEngine:
    return Hedge(**{"after": 1, "budget": Budget(capacity=1000, least=1000), **settings}).engine(
        "x", Environment(clock)
    )


async def test_the_quicker_of_two_answers_and_the_other_is_cancelled(manual_clock: ManualClock) -> None:
    target, hedge = Slow(manual_clock, 60, 0.5), hedged(manual_clock)
    start = manual_clock.monotonic()
    assert await hedge(target)() == 2
    assert manual_clock.monotonic() - start == pytest.approx(1.5)
    assert (target.cancelled, target.running) == (1, 0)
    assert hedge.budget.active == hedge.budget.extra == 0


async def test_a_quick_call_is_made_once_and_so_is_one_that_fails_quickly(manual_clock: ManualClock) -> None:
    target = Slow(manual_clock, 0.9, -0.5)
    call = hedged(manual_clock)(target)
    assert await call() == 1
    with pytest.raises(ConnectionError):
        await call()
    assert target.made == 2


async def test_one_that_fails_leaves_the_other_to_answer(manual_clock: ManualClock) -> None:
    assert await hedged(manual_clock)(Slow(manual_clock, -1.5, 2))() == 2
    with pytest.raises(ConnectionError, match="1"):
        await hedged(manual_clock)(Slow(manual_clock, -1.5, -2))()


async def test_a_cancelled_hedge_leaves_nothing_running(manual_clock: ManualClock) -> None:
    target, hedge = Slow(manual_clock, 60, 60), hedged(manual_clock)
    task = asyncio.ensure_future(hedge(target)())
    await manual_clock.sleep(2)
    assert target.running == 2
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (target.cancelled, target.running, hedge.budget.active, hedge.budget.extra) == (2, 0, 0, 0)


async def test_the_quantile_of_what_was_seen_and_the_budget(manual_clock: ManualClock) -> None:
    hedge = hedged(manual_clock, after="p95", until_known=7, budget=Budget(capacity=1, per_success=0, least=1))
    assert hedge.delay == 7
    target = Slow(manual_clock, *[index / 100 for index in range(1, 101)], 60, 0.1, 60)
    call = hedge(target)
    for _ in range(100):
        await call()
    assert hedge.delay == pytest.approx(0.95)
    assert await call() == 102
    start = manual_clock.monotonic()
    await call()
    assert manual_clock.monotonic() - start == 60, "it was hedged without budget"


def fallback(clock: ManualClock, **settings) -> FallbackEngine:
    return Fallback(**settings).engine("x", Environment(clock))


async def test_a_value_a_function_and_what_they_are_for(manual_clock: ManualClock) -> None:
    async def ask(error: Exception | None) -> list[int]:
        if error:
            raise error
        return [1]

    value = fallback(manual_clock, value=[])(ask)
    first = await value(BreakerOpen("x", "open"))
    first.append(7)
    assert await value(ConnectionError()) == [], "callers share one list"
    assert await value(None) == [1]
    with pytest.raises(NotFound):
        await value(NotFound())
    with pytest.raises(KeyError):
        await fallback(manual_clock, value=[], counts=Outcomes(failures=(ConnectionError,)))(ask)(KeyError())

    async def instead(error: Exception | None, asked: Exception) -> list[int]:
        assert error is asked
        return [2]

    assert await fallback(manual_clock, function=instead)(ask)(ConnectionError()) == [2]
    engine = fallback(manual_clock, value=None, counts=Outcomes(failed_result=lambda got: got == [1]))
    assert await engine(ask)(None) is None
    assert engine.used == 1


async def test_stale_answers_by_arguments_age_and_size(manual_clock: ManualClock) -> None:
    down = False

    async def rate(currency: str) -> tuple[str, float]:
        if down:
            raise ConnectionError
        return currency, manual_clock.monotonic()

    call = fallback(manual_clock, stale=Stale(max_age=60, size=2))(rate)
    fresh = [await call(currency) for currency in ("A", "B", "C")]
    down = True
    assert [await call("B"), await call("C")] == fresh[1:]
    with pytest.raises(ConnectionError):
        await call("A")
    manual_clock.advance(61)
    with pytest.raises(ConnectionError):
        await call("B")


async def test_stale_first_then_the_value(manual_clock: ManualClock) -> None:
    async def rate(currency: str) -> float:
        raise ConnectionError

    assert await fallback(manual_clock, stale=Stale(max_age=60), value=1.0)(rate)("A") == 1.0
