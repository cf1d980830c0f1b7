"""The shared breaker: one view, and what happens without its store."""

from __future__ import annotations

import asyncio

import pytest

from seawall.problems import DeclarationError
from seawall.resilience import Breaker, BreakerOpen, Environment, Event, StateChanged, StoreLost
from seawall.resilience.shared import MemoryBreakerStore, SharedBreaker, SharedBreakerEngine, StoreUnavailable
from seawall.testing.clock import ManualClock

pytestmark = pytest.mark.anyio

POLICY = Breaker(window=4, open_for=10, jitter=0, probes=2)


class Flaky(MemoryBreakerStore):
    """A store that answers, does not, or hangs."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.how = "answers"
        self.asked = 0

    async def admit(self, name: str, policy: Breaker):
        self.asked += 1
        if self.how == "hangs":
            await self._environment.clock.sleep(3600)
        if self.how == "fails":
            raise StoreUnavailable("down") from OSError("refused")
        return await super().admit(name, policy)


def made(clock: ManualClock, **settings) -> tuple[Flaky, SharedBreakerEngine, SharedBreakerEngine, list[Event]]:
    events: list[Event] = []
    environment = Environment(clock, None, [events.append])
    store = Flaky(Environment(clock))
    policy = SharedBreaker(store=store, breaker=POLICY, **settings)
    return store, policy.engine("x", environment), policy.engine("x", environment), events


async def down() -> None:
    raise ConnectionError


async def up() -> str:
    return "answer"


async def fail(breaker: SharedBreakerEngine, times: int) -> None:
    call = breaker(down)
    for _ in range(times):
        with pytest.raises(ConnectionError):
            await call()


async def test_what_one_process_opens_is_open_for_the_other(manual_clock: ManualClock) -> None:
    _, one, other, events = made(manual_clock)
    await fail(one, 2)
    await fail(other, 2)
    with pytest.raises(BreakerOpen) as refused:
        async with one.guard():
            pass
    assert refused.value.retry_after == pytest.approx(10)
    await manual_clock.sleep(10)
    ended = await asyncio.gather(*[breaker(up)() for breaker in (one, other) * 10], return_exceptions=True)
    assert ended.count("answer") >= 2
    assert await one.state() == await other.state() == "closed"
    assert any(isinstance(event, StateChanged) and event.after == "open" for event in events)
    await one.switch("forced-open")
    with pytest.raises(BreakerOpen):
        await other(up)()


@pytest.mark.parametrize("how", ["fails", "hangs"])
async def test_without_its_store_each_process_goes_by_itself(manual_clock: ManualClock, how: str) -> None:
    store, one, other, events = made(manual_clock)
    await fail(one, 3)
    store.how = how
    start = manual_clock.monotonic()
    await fail(one, 4)
    assert manual_clock.monotonic() - start <= 0.1001, "it took longer to notice than the store may take"
    with pytest.raises(BreakerOpen):
        await one(up)()
    assert await other(up)() == "answer"
    lost = [event for event in events if isinstance(event, StoreLost)]
    assert [event.policy for event in lost] == ["local", "local"], "it was asked while it was known to be down"
    store.how = "answers"
    await manual_clock.sleep(1)
    assert await one(up)() == "answer"
    assert one.known == "open", "the store goes on where it was: three of four calls have failed"


async def test_without_its_store_everything_or_nothing_goes_out(manual_clock: ManualClock) -> None:
    store, one, _, _ = made(manual_clock, on_outage="open")
    store.how = "fails"
    await fail(one, 20)
    assert await one(up)() == "answer"
    store, one, _, _ = made(manual_clock, on_outage="closed")
    store.how = "fails"
    with pytest.raises(BreakerOpen):
        await one(up)()
    assert store.asked == 1


async def test_a_cancelled_probe_gives_its_place_back(manual_clock: ManualClock) -> None:
    _, one, other, _ = made(manual_clock)
    await fail(one, 4)
    await manual_clock.sleep(10)

    async def long() -> None:
        await manual_clock.sleep(60)

    probes = [asyncio.ensure_future(one(long)()) for _ in range(2)]
    await manual_clock.sleep(1)
    with pytest.raises(BreakerOpen):
        await other(up)()
    probes[0].cancel()
    await asyncio.wait(probes[:1])
    assert await other(up)() == "answer"
    probes[1].cancel()
    await asyncio.wait(probes)


def test_impossible_settings() -> None:
    store = MemoryBreakerStore()
    with pytest.raises(DeclarationError, match="number of calls"):
        SharedBreaker(store=store, breaker=Breaker(window="10s"))
    with pytest.raises(DeclarationError, match='"local", "open" or "closed"'):
        SharedBreaker(store=store, on_outage="maybe")
    with pytest.raises(DeclarationError, match="store_pause"):
        SharedBreaker(store=store, store_pause=0)
