"""What policies did is counted for metrics, and breakers are switched by name."""

from __future__ import annotations

import pytest

from seawall.resilience import (
    Backoff,
    Breaker,
    BreakerOpen,
    Bulkhead,
    BulkheadFull,
    Fallback,
    Hedge,
    Resilience,
    Retry,
    TimedOut,
    Timeout,
)
from seawall.resilience.counting import MOST, OTHERS
from seawall.resilience.shared import MemoryBreakerStore, SharedBreaker
from seawall.testing import ManualClock, ManualRandom

pytestmark = pytest.mark.anyio


async def test_events_are_counted_by_what_was_done(manual_clock: ManualClock) -> None:
    resilience = Resilience(manual_clock, ManualRandom(*[0.5] * 50), hooks=())

    async def fail() -> str:
        raise ConnectionResetError

    async def slow(seconds: float = 5.0) -> str:
        await manual_clock.sleep(seconds)
        return "done"

    retry = Retry(attempts=3, idempotent=True, backoff=Backoff(first="1s"), budget=None)
    with pytest.raises(ConnectionResetError):
        await resilience.pipeline("a", retry, Breaker(window=10, minimum_calls=3)).call(fail)
    with pytest.raises(BreakerOpen):
        await resilience.pipelines["a"].call(fail)
    with pytest.raises(TimedOut):
        await resilience.pipeline("b", Timeout(1)).call(slow)
    assert await resilience.pipeline("c", Hedge(after=1.0)).call(slow) == "done"
    assert await resilience.pipeline("d", Fallback(value="none")).call(fail) == "none"
    full = resilience.engine("e", Bulkhead(limit=1))
    permit = await full.acquire()
    with pytest.raises(BulkheadFull):
        await full.acquire()
    permit.release()
    assert dict(resilience.counts) == {
        ("retried", "retry", "a"): 2,
        ("became_open", "breaker", "a"): 1,
        ("gave_up", "retry", "a"): 1,
        ("refused", "breaker", "a"): 1,
        ("timed_out", "timeout", "b"): 1,
        ("hedged", "hedge", "c"): 1,
        ("fell_back", "fallback", "d"): 1,
        ("refused", "bulkhead", "e"): 1,
    }


async def test_there_are_so_many_series_and_no_more(manual_clock: ManualClock) -> None:
    resilience = Resilience(manual_clock, hooks=())
    for number in range(MOST + 10):
        resilience.engine(f"user {number}", Breaker()).force_open()
    counts = resilience.counts
    assert len(counts) == MOST + 1
    assert counts["became_forced_open", "breaker", OTHERS] == 10
    assert sum(counts.values()) == MOST + 10


async def test_every_breaker_is_switched_by_its_name(manual_clock: ManualClock) -> None:
    resilience = Resilience(manual_clock, hooks=())
    own = resilience.engine("own", Breaker())
    store = MemoryBreakerStore(resilience.environment)
    shared = resilience.engine("shared", SharedBreaker(store=store))
    assert resilience.states() == {"own": "closed", "shared": "closed"}
    for name in ("own", "shared"):
        assert await resilience.switch(name, "open") == "forced-open"
        with pytest.raises(BreakerOpen):
            async with (own if name == "own" else shared).guard():
                pytest.fail("it is open")
        assert await resilience.switch(name, "closed") == "forced-closed"
        assert await resilience.switch(name, "auto") == "closed"
    assert await store.state("shared") == "closed"
    with pytest.raises(KeyError):
        await resilience.switch("none", "open")
