"""Time limits: who is cancelled, when, and what it becomes."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from seawall.call import Call, enter, leave
from seawall.resilience import Environment, Retry, TimedOut, Timeout, TimeoutEngine
from seawall.testing.clock import ManualClock

pytestmark = pytest.mark.anyio


def limit(clock: ManualClock, seconds: float | str = 2, environment: Environment | None = None) -> TimeoutEngine:
    return Timeout(seconds).engine("x", environment or Environment(clock))


@contextlib.contextmanager
def serving(deadline: float | None):
    call = Call(b"id", "operation", deadline=deadline)
    token = enter(call)
    try:
        yield call
    finally:
        leave(token)


async def test_a_call_within_its_time_is_left_alone(manual_clock: ManualClock) -> None:
    timeout = limit(manual_clock)

    @timeout
    async def call() -> str:
        await manual_clock.sleep(1.9)
        return "done"

    assert await asyncio.gather(*[call() for _ in range(100)]) == ["done"] * 100


async def test_calls_are_cancelled_at_their_own_time(manual_clock: ManualClock) -> None:
    timeout = limit(manual_clock)
    ended: list[float] = []

    @timeout
    async def call() -> None:
        await manual_clock.sleep(60)

    async def begin(after: float) -> None:
        await manual_clock.sleep(after)
        with pytest.raises(TimedOut) as late:
            await call()
        assert late.value.status == 504
        assert late.value.limit == 2
        ended.append(manual_clock.monotonic() - start - after)

    start = manual_clock.monotonic()
    await asyncio.gather(*[begin(index / 10) for index in range(50)])
    assert ended == [pytest.approx(2)] * 50
    assert not timeout.environment.expiries
    assert not timeout.expired


async def test_the_deadline_of_the_call_being_served_comes_first(manual_clock: ManualClock) -> None:
    timeout = limit(manual_clock, 10)

    @timeout
    async def call() -> None:
        await manual_clock.sleep(60)

    start = manual_clock.monotonic()
    with serving(start + 0.3), pytest.raises(TimedOut) as late:
        await call()
    assert manual_clock.monotonic() - start == pytest.approx(0.3)
    assert late.value.limit == pytest.approx(0.3)


async def test_no_call_is_made_once_the_deadline_has_passed(manual_clock: ManualClock) -> None:
    made = []

    @limit(manual_clock)
    async def call() -> None:
        made.append(1)

    with serving(manual_clock.monotonic()), pytest.raises(TimedOut):
        await call()
    assert not made


async def test_a_cancellation_from_outside_stays_one(manual_clock: ManualClock) -> None:
    @limit(manual_clock)
    async def call() -> None:
        await manual_clock.sleep(60)

    task = asyncio.ensure_future(call())
    await manual_clock.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_from_outside_at_the_same_moment_stays_one(manual_clock: ManualClock) -> None:
    @limit(manual_clock)
    async def call() -> None:
        await manual_clock.sleep(60)

    for first in (True, False):
        task = asyncio.ensure_future(call())
        if first:
            manual_clock.call_later(2, task.cancel)
        await asyncio.sleep(0)
        if not first:
            manual_clock.call_later(2, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_limit_that_passes_while_a_cancelled_call_cleans_up_leaves_it_cancelled(
    manual_clock: ManualClock,
) -> None:
    @limit(manual_clock)
    async def call() -> None:
        try:
            await manual_clock.sleep(60)
        finally:
            await manual_clock.sleep(60)

    task = asyncio.ensure_future(call())
    await manual_clock.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


@pytest.mark.parametrize("as_block", [False, True])
async def test_two_limits_that_end_together_are_the_outer_ones(manual_clock: ManualClock, as_block: bool) -> None:
    environment = Environment(manual_clock)
    attempts = []

    async def call() -> None:
        attempts.append(1)
        await manual_clock.sleep(60)

    inner = limit(manual_clock, 1, environment)(call)
    retried = Retry(attempts=10, idempotent=True, budget=None).engine("x", environment)(inner)
    outer = limit(manual_clock, 1.0, environment)
    outer.name = "outer"

    async def within_a_block() -> None:
        async with outer.guard():
            await retried()

    with pytest.raises(TimedOut) as late:
        await (within_a_block if as_block else outer(retried))()
    assert late.value.target == "outer"
    assert len(attempts) == 1
    assert asyncio.current_task().cancelling() == 0
    assert not environment.expiries


async def test_a_call_that_swallows_its_cancellation_is_late_all_the_same(manual_clock: ManualClock) -> None:
    @limit(manual_clock)
    async def call() -> str:
        with contextlib.suppress(asyncio.CancelledError):
            await manual_clock.sleep(60)
        return "too late"

    with pytest.raises(TimedOut):
        await call()
    assert asyncio.current_task().cancelling() == 0


async def test_a_task_group_that_failed_before_does_not_hide_the_limit(manual_clock: ManualClock) -> None:
    @limit(manual_clock)
    async def call() -> None:
        with contextlib.suppress(BaseExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(manual_clock.sleep(60))
                group.create_task(fail())
        await manual_clock.sleep(60)

    async def fail() -> None:
        raise OSError

    with pytest.raises(TimedOut):
        await call()


async def test_a_block(manual_clock: ManualClock) -> None:
    timeout = limit(manual_clock, "500ms")
    async with timeout.guard():
        await manual_clock.sleep(0.4)
    with pytest.raises(TimedOut):
        async with timeout.guard():
            await manual_clock.sleep(0.6)


def test_a_limit_outlives_its_event_loop() -> None:
    clock = ManualClock()
    timeout = limit(clock)

    @timeout
    async def call(seconds: float) -> None:
        await clock.sleep(seconds)

    async def leave_one_behind() -> None:
        left = asyncio.ensure_future(call(50))
        await call(1)
        assert not left.done()

    with asyncio.Runner(loop_factory=clock.loop_factory) as runner:
        runner.run(leave_one_behind())
    with asyncio.Runner(loop_factory=clock.loop_factory) as runner, pytest.raises(TimedOut):
        runner.run(call(50))
