"""The breaker: when it opens, whom it lets out half-open, and what does not count."""

from __future__ import annotations

import asyncio
import random

import pytest

from seawall.call import Call, enter, leave
from seawall.problems import Conflict, NotFound, TooManyRequests
from seawall.resilience import (
    Breaker,
    BreakerEngine,
    BreakerOpen,
    BulkheadFull,
    Environment,
    Event,
    Outcome,
    Outcomes,
    StateChanged,
    TimedOut,
)
from seawall.testing.clock import ManualClock, ManualRandom

OPEN_FOR = 60.0


def made(clock: ManualClock, **settings) -> tuple[BreakerEngine, list[Event]]:
    events: list[Event] = []
    settings = {"window": 10, "minimum_calls": 10, "open_for": OPEN_FOR, "jitter": 0.0, "probes": 3, **settings}
    return Breaker(**settings).engine("payments", Environment(clock, None, [events.append])), events


def fail(breaker: BreakerEngine, times: int = 1) -> None:
    for _ in range(times):
        breaker.acquire().failure()


def succeed(breaker: BreakerEngine, times: int = 1) -> None:
    for _ in range(times):
        breaker.acquire().success()


def opened(clock: ManualClock, **settings) -> BreakerEngine:
    breaker, _ = made(clock, **settings)
    fail(breaker, 10)
    assert breaker.state == "open"
    return breaker


@pytest.mark.parametrize("last_fails", [True, False])
def test_it_opens_with_exactly_the_call_that_completes_the_minimum(last_fails: bool) -> None:
    breaker, _ = made(ManualClock(), window=100, minimum_calls=100)
    fail(breaker, 50)
    succeed(breaker, 49)
    assert breaker.state == "closed"
    (fail if last_fails else succeed)(breaker)
    assert breaker.state == "open"


def test_below_its_share_it_stays_closed_for_ever() -> None:
    breaker, _ = made(ManualClock())
    for _ in range(50):
        succeed(breaker, 3)
        fail(breaker, 2)
    assert breaker.state == "closed"
    assert breaker.snapshot().failures == 4


def test_calls_leave_a_count_window_as_others_enter() -> None:
    breaker, _ = made(ManualClock())
    fail(breaker, 4)
    succeed(breaker, 10)
    assert breaker.snapshot().failures == 0
    fail(breaker, 4)
    assert breaker.snapshot().failures == 4
    assert breaker.state == "closed"
    fail(breaker)
    assert breaker.state == "open"


def test_calls_leave_a_time_window_as_time_passes() -> None:
    clock = ManualClock()
    breaker, _ = made(clock, window="10s", minimum_calls=4)
    fail(breaker, 3)
    clock.advance(11)
    assert breaker.snapshot().calls == 0
    fail(breaker, 3)
    assert breaker.state == "closed"
    fail(breaker)
    assert breaker.state == "open"


def test_slow_calls_open_it_though_they_go_well() -> None:
    clock = ManualClock()
    breaker, _ = made(clock, slow_after=1, slow_rate=0.5)
    for _ in range(10):
        permit = breaker.acquire()
        clock.advance(1.5)
        permit.success()
    assert breaker.state == "open"


def test_failures_in_a_row_open_it_before_the_minimum() -> None:
    breaker, _ = made(ManualClock(), consecutive=3)
    fail(breaker, 2)
    succeed(breaker)
    fail(breaker, 2)
    assert breaker.state == "closed"
    fail(breaker)
    assert breaker.state == "open"


def test_open_it_refuses_and_says_when_to_come_back() -> None:
    clock = ManualClock()
    breaker = opened(clock)
    clock.advance(20.5)
    with pytest.raises(BreakerOpen) as refused:
        breaker.acquire()
    assert refused.value.status == 503
    assert refused.value.guard == "breaker"
    assert refused.value.headers["retry-after"] == "40"
    assert "payments" in str(refused.value)
    assert "payments" not in str(refused.value.document())
    assert breaker.snapshot().refused == 1
    assert breaker.snapshot().retry_after == pytest.approx(39.5)


def test_half_open_it_lets_out_exactly_its_probes() -> None:
    clock = ManualClock()
    breaker = opened(clock)
    clock.advance(OPEN_FOR)
    permits = [breaker.acquire() for _ in range(3)]
    assert breaker.state == "half-open"
    with pytest.raises(BreakerOpen):
        breaker.acquire()
    permits[0].success()
    permits[1].success()  # two of three went well: the third cannot change it
    assert breaker.state == "closed"
    permits[2].failure()
    assert breaker.snapshot().failures == 0, "a late probe counted in the new window"


def test_failed_probes_open_it_for_longer_each_time_up_to_a_limit() -> None:
    clock = ManualClock()
    breaker = opened(clock, growth=2, longest_open=150)
    for expected in (120, 150, 150):
        clock.advance(breaker.snapshot().retry_after)
        fail(breaker, 2)
        assert breaker.state == "open"
        assert breaker.snapshot().retry_after == pytest.approx(expected)
    clock.advance(150)
    succeed(breaker, 2)
    fail(breaker, 10)
    assert breaker.snapshot().retry_after == pytest.approx(OPEN_FOR), "closing it forgets how often it had opened"


def test_jitter_spreads_the_openings() -> None:
    policy = Breaker(open_for=100, longest_open=100, jitter=0.1)
    assert policy.open_seconds(1, 0.0) == pytest.approx(90)
    assert policy.open_seconds(1, 0.5) == pytest.approx(100)
    assert policy.open_seconds(10**9, 0.75) == pytest.approx(105)


def test_a_probe_that_was_taken_back_frees_its_place() -> None:
    clock = ManualClock()
    breaker = opened(clock, probes=1)
    clock.advance(OPEN_FOR)
    permit = breaker.acquire()
    permit.release()
    permit.release()
    permit.success()
    assert breaker.snapshot().probes_left == 1
    breaker.acquire().success()
    assert breaker.state == "closed"


def test_probes_that_never_end_do_not_keep_it_half_open() -> None:
    clock = ManualClock()
    breaker = opened(clock, probes=1, probe_patience=30)
    clock.advance(OPEN_FOR)
    lost = breaker.acquire()
    clock.advance(30)
    with pytest.raises(BreakerOpen):
        breaker.acquire()
    assert breaker.state == "open"
    clock.advance(2 * OPEN_FOR)
    breaker.acquire()
    lost.failure()
    assert breaker.state == "half-open", "a probe of the generation before counted"


def test_late_results_of_a_former_generation_do_not_count() -> None:
    clock = ManualClock()
    breaker, _ = made(clock)
    late = [breaker.acquire() for _ in range(100)]
    fail(breaker, 10)
    for permit in late[:50]:
        permit.success()
    assert breaker.state == "open"
    clock.advance(OPEN_FOR)
    probe = breaker.acquire()
    for permit in late[50:80]:
        permit.failure()
    assert breaker.snapshot().calls == 0
    probe.success()
    breaker.acquire().success()
    assert breaker.state == "closed"
    for permit in late[80:]:
        permit.failure()
    assert breaker.snapshot().calls == 0


@pytest.mark.anyio
async def test_a_late_call_through_the_decorator_does_not_count_either(manual_clock: ManualClock) -> None:
    breaker, _ = made(manual_clock)

    @breaker
    async def late() -> None:
        await manual_clock.sleep(5)
        raise OSError

    calls = [asyncio.ensure_future(late()) for _ in range(20)]
    await manual_clock.sleep(1)
    breaker.reset()
    await asyncio.gather(*calls, return_exceptions=True)
    assert breaker.state == "closed"
    assert breaker.snapshot().calls == 0


def test_by_hand() -> None:
    breaker, events = made(ManualClock())
    breaker.force_open()
    with pytest.raises(BreakerOpen):
        breaker.acquire()
    breaker.force_closed()
    fail(breaker, 50)
    assert breaker.state == "forced-closed"
    breaker.reset()
    assert breaker.state == "closed"
    told = [(event.before, event.after) for event in events if isinstance(event, StateChanged)]
    assert told == [("closed", "forced-open"), ("forced-open", "forced-closed"), ("forced-closed", "closed")]


def test_what_says_something_about_the_target_and_what_does_not() -> None:
    counts = Outcomes()
    assert counts.of_error(OSError()) is Outcome.FAILURE
    assert counts.of_error(NotFound()) is Outcome.SUCCESS
    assert counts.of_error(TooManyRequests()) is Outcome.FAILURE
    assert counts.of_error(BulkheadFull("x", "full")) is Outcome.IGNORED
    assert counts.of_error(asyncio.CancelledError()) is Outcome.IGNORED
    assert counts.of_error(KeyboardInterrupt()) is Outcome.IGNORED
    token = enter(Call(b"id", "x", expired=True))
    assert counts.of_error(asyncio.CancelledError()) is Outcome.FAILURE, "the deadline passed while it waited"
    leave(token)
    assert Outcomes(failures=(OSError,)).of_error(TimedOut("x", 1)) is Outcome.FAILURE
    assert Outcomes(ignored=(TimedOut,)).of_error(TimedOut("x", 1)) is Outcome.IGNORED
    narrow = Outcomes(failures=(Conflict, OSError), successes=(FileNotFoundError,), ignored=(ConnectionResetError,))
    assert narrow.of_error(Conflict()) is Outcome.FAILURE
    assert narrow.of_error(ValueError()) is Outcome.SUCCESS
    assert narrow.of_error(FileNotFoundError()) is Outcome.SUCCESS
    assert narrow.of_error(ConnectionResetError()) is Outcome.IGNORED
    assert Outcomes(failed_result=lambda result: result >= 500).of_result(503) is Outcome.FAILURE


@pytest.mark.anyio
async def test_as_a_decorator_and_as_a_block() -> None:
    breaker, _ = made(ManualClock(), window=2, minimum_calls=2, counts=Outcomes(failed_result=lambda got: got == 500))

    @breaker
    async def ask(status: int) -> int:
        return status

    assert await ask(200) == 200
    with pytest.raises(OSError, match="no"):
        async with breaker.guard():
            raise OSError("no")
    assert breaker.state == "open"
    breaker.reset()
    assert [await ask(500), await ask(500)] == [500, 500]
    with pytest.raises(BreakerOpen):
        await ask(200)


def test_jitter_is_drawn_from_injected_chance() -> None:
    clock = ManualClock()
    breaker = Breaker(window=1, jitter=0.5, open_for=10).engine("x", Environment(clock, ManualRandom(0.0)))
    fail(breaker)
    assert breaker.snapshot().retry_after == pytest.approx(5)


@pytest.mark.parametrize("settings", [{"window": "5s"}, {"window": 20}, {"window": "5s", "slow_after": 1}])
def test_the_short_ways_of_the_decorator_count_as_permits_do(settings: dict) -> None:
    chance, clock = random.Random(8), ManualClock()
    settings = {**settings, "minimum_calls": 5, "open_for": 2, "longest_open": 4}
    by_decorator, _ = made(clock, **settings)
    by_permit, _ = made(clock, **settings)
    states = set()
    for step in range(20_000):
        share = 0.45 if step % 1000 > 500 else 0.0
        fails = chance.random() < share

        async def target() -> None:
            if fails:  # noqa: B023 - called at once
                raise ConnectionError

        try:
            by_permit.acquire().report(Outcome.FAILURE if fails else Outcome.SUCCESS)
        except BreakerOpen:
            expected: type[BaseException] = BreakerOpen
        else:
            expected = ConnectionError if fails else StopIteration
        with pytest.raises(expected):
            by_decorator(target)().send(None)
        one, other = by_decorator.snapshot(), by_permit.snapshot()
        assert one == other
        states.add(one.state)
        clock.advance(chance.choice([0, 0.01, 0.1, 1]) * chance.random())
    assert states == {"closed", "open", "half-open"}
