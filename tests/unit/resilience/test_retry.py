"""Retries: what is tried again, how long they wait, and what stops them."""

from __future__ import annotations

import asyncio

import pytest

from seawall.call import Call, enter, leave
from seawall.problems import NotFound, Unavailable
from seawall.resilience import (
    ATTEMPT_HEADER,
    RETRIED_HEADER,
    Backoff,
    BreakerOpen,
    Budget,
    BulkheadFull,
    Environment,
    GaveUp,
    Outcomes,
    Retry,
    RetryEngine,
    Retrying,
    Throttled,
    attempt,
    is_retried,
)
from seawall.resilience.backoff import asked_to_wait
from seawall.testing.clock import ManualClock, ManualRandom

pytestmark = pytest.mark.anyio

EXACT = Backoff(first=1, factor=2, longest=10, jitter="none")


class Target:
    """Fails so many times, then answers; notes when it was called, and as which attempt."""

    def __init__(self, clock: ManualClock, *errors: Exception) -> None:
        self.clock = clock
        self.errors = list(errors)
        self.start = clock.monotonic()
        self.times: list[float] = []
        self.attempts: list[int] = []

    async def __call__(self) -> str:
        self.times.append(self.clock.monotonic() - self.start)
        self.attempts.append(attempt.get())
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


def made(clock: ManualClock, **settings) -> tuple[RetryEngine, list]:
    events: list = []
    settings = {"attempts": 4, "idempotent": True, "backoff": EXACT, **settings}
    return Retry(**settings).engine("x", Environment(clock, None, [events.append])), events


async def test_a_call_is_made_again_until_it_goes_well(manual_clock: ManualClock) -> None:
    retry, events = made(manual_clock)
    target = Target(manual_clock, ConnectionError(), ConnectionError(), ConnectionError())
    assert await retry(target)() == "answer"
    assert target.times == [0, 1, 3, 7]
    assert target.attempts == [1, 2, 3, 4]
    assert attempt.get() == 1
    assert [event.attempt for event in events] == [2, 3, 4]
    assert all(isinstance(event, Retrying) for event in events)


async def test_the_last_error_is_raised_and_says_that_it_was_retried(manual_clock: ManualClock) -> None:
    retry, events = made(manual_clock, attempts=3)
    errors = [ConnectionError("1"), ConnectionError("2"), Unavailable("3", headers={"Retry-After": "1"})]
    with pytest.raises(Unavailable, match="3") as last:
        await retry(Target(manual_clock, *errors))()
    assert is_retried(last.value)
    assert last.value.headers[RETRIED_HEADER] == "3"
    assert isinstance(events[-1], GaveUp)
    outer = Target(manual_clock, last.value)
    with pytest.raises(Unavailable):
        await retry(outer)()
    assert len(outer.times) == 1, "what a lower layer has retried was retried again"
    assert retry.budget.active == retry.budget.extra == 0


async def test_what_may_have_had_an_effect_is_not_repeated_by_default(manual_clock: ManualClock) -> None:
    retry, _ = made(manual_clock, idempotent=False, unsent=(KeyError,))
    for error in (ConnectionError(), TimeoutError(), Unavailable()):
        target = Target(manual_clock, error)
        with pytest.raises(type(error)):
            await retry(target)()
        assert len(target.times) == 1
    for error in (BulkheadFull("x", "full"), ConnectionRefusedError(), KeyError()):
        assert await retry(Target(manual_clock, error))() == "answer"


@pytest.mark.parametrize("refusal", [BreakerOpen("x", "open", 1), Throttled("x", "busy")])
async def test_a_target_that_is_to_be_left_alone_is(manual_clock: ManualClock, refusal: Exception) -> None:
    retry, _ = made(manual_clock)
    target = Target(manual_clock, refusal)
    with pytest.raises(type(refusal)):
        await retry(target)()
    assert len(target.times) == 1


async def test_what_is_no_failure_is_not_repeated(manual_clock: ManualClock) -> None:
    retry, _ = made(manual_clock)
    target = Target(manual_clock, NotFound())
    with pytest.raises(NotFound):
        await retry(target)()
    assert len(target.times) == 1


async def test_results_can_be_failures(manual_clock: ManualClock) -> None:
    answers = [500, 500, 200]
    retry, _ = made(manual_clock, counts=Outcomes(failed_result=lambda status: status >= 500))

    @retry
    async def ask() -> int:
        return answers.pop(0)

    assert await ask() == 200
    answers[:] = [500, 501, 502, 503, 504]
    assert await ask() == 503


async def test_the_target_says_how_long_to_wait(manual_clock: ManualClock) -> None:
    retry, _ = made(manual_clock)
    target = Target(manual_clock, Unavailable(headers={"retry-after": "5"}))
    await retry(target)()
    assert target.times == [0, 6]
    patient = Target(manual_clock, Unavailable(headers={"retry-after": "3600"}))
    with pytest.raises(Unavailable):
        await retry(patient)()
    assert len(patient.times) == 1


async def test_retry_after_is_seconds_or_a_date() -> None:
    def told(value: object) -> float | None:
        return asked_to_wait(Unavailable(headers={"Retry-After": value}), 1_700_000_000.0)

    assert told("120") == 120
    assert told("Tue, 14 Nov 2023 22:14:00 GMT") == pytest.approx(40)
    assert told("Tue, 14 Nov 2000 22:14:00 GMT") == 0
    assert told("soon") is None
    assert told("-1") is None
    assert told("9" * 400) is None
    assert asked_to_wait(ConnectionError(), 0) is None


async def test_no_attempt_begins_past_the_deadline(manual_clock: ManualClock) -> None:
    retry, events = made(manual_clock)
    target = Target(manual_clock, ConnectionError("first"), ConnectionError("second"))
    token = enter(Call(b"id", "x", deadline=manual_clock.monotonic() + 2.5))
    try:
        with pytest.raises(ConnectionError, match="second"):
            await retry(target)()
    finally:
        leave(token)
    assert target.times == [0, 1], "it waited for an attempt that could not be made"
    assert manual_clock.monotonic() - target.start == 1
    assert "deadline" in events[-1].reason


async def test_who_serves_a_second_attempt_makes_none_of_its_own(manual_clock: ManualClock) -> None:
    retry, _ = made(manual_clock)
    target = Target(manual_clock, ConnectionError())
    token = enter(Call(b"id", "x", {ATTEMPT_HEADER.lower().encode(): b"2"}))
    try:
        with pytest.raises(ConnectionError):
            await retry(target)()
    finally:
        leave(token)
    assert len(target.times) == 1


async def test_a_retry_within_a_second_attempt_makes_none_of_its_own(manual_clock: ManualClock) -> None:
    inner, _ = made(manual_clock)
    outer, _ = made(manual_clock)
    target = Target(manual_clock, *[ConnectionError() for _ in range(100)])

    async def middle() -> None:
        try:
            await inner(target)()
        except ConnectionError:
            raise LookupError from None  # loses the mark

    with pytest.raises(LookupError):
        await outer(middle)()
    assert len(target.times) == 4 + 3, "four for the first attempt, one for each further one"


async def test_a_budget_bounds_retries_over_time_and_at_once(manual_clock: ManualClock) -> None:
    budget = Budget(capacity=5, per_success=0.5, least=2, share=0.0)
    retry, _ = made(manual_clock, attempts=2, budget=budget)
    for index in range(10):
        target = Target(manual_clock, ConnectionError(), ConnectionError())
        with pytest.raises(ConnectionError):
            await retry(target)()
        assert len(target.times) == (2 if index < 5 else 1)
    for _ in range(2):
        await retry(Target(manual_clock))()
    with pytest.raises(ConnectionError):
        await retry(target := Target(manual_clock, ConnectionError(), ConnectionError()))()
    assert len(target.times) == 2, "two successes pay for one retry"
    assert retry.budget.refused == 5
    retry.budget.tokens = 5
    calls = [retry(Target(manual_clock, ConnectionError()))() for _ in range(6)]
    ended = await asyncio.gather(*calls, return_exceptions=True)
    assert ended.count("answer") == 2, "at once there may be two"
    assert retry.budget.active == retry.budget.extra == 0


async def test_where_the_budget_is_spent_the_layer_above_is_told_not_to_retry_instead(
    manual_clock: ManualClock,
) -> None:
    retry, _ = made(manual_clock, budget=Budget(share=0.0, least=0))
    with pytest.raises(Unavailable) as last:
        await retry(Target(manual_clock, Unavailable()))()
    assert last.value.headers[RETRIED_HEADER] == "1"
    above, _ = made(manual_clock)
    outer = Target(manual_clock, last.value)
    with pytest.raises(Unavailable):
        await above(outer)()
    assert len(outer.times) == 1


async def test_a_cancelled_wait_gives_its_budget_back(manual_clock: ManualClock) -> None:
    retry, _ = made(manual_clock)
    task = asyncio.ensure_future(retry(Target(manual_clock, ConnectionError()))())
    await manual_clock.sleep(0.5)
    assert retry.budget.extra == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert retry.budget.active == retry.budget.extra == 0


async def test_as_attempts_of_a_block(manual_clock: ManualClock) -> None:
    retry, _ = made(manual_clock, attempts=3)
    numbers = []
    async for tried in retry.attempts():
        async with tried:
            numbers.append(tried.number)
            if tried.number < 3:
                raise ConnectionError
    assert numbers == [1, 2, 3]
    numbers.clear()

    async def fail() -> None:
        async for tried in retry.attempts():
            async with tried:
                numbers.append(tried.number)
                raise ConnectionError

    with pytest.raises(ConnectionError):
        await fail()
    assert numbers == [1, 2, 3]
    async for tried in retry.attempts():
        async with tried:
            break
    assert retry.budget.active == retry.budget.extra == 0
    assert attempt.get() == 1


def test_waits() -> None:
    full = Backoff(first=1, factor=2, longest=5).waits()
    assert [full(made, 0, 0.5) for made in (1, 2, 3, 4, 10**6)] == [0.5, 1, 2, 2.5, 2.5]
    decorrelated = Backoff(first=1, longest=5, jitter="decorrelated").waits()
    assert decorrelated(1, 0, 0) == 1
    assert decorrelated(1, 0, 0.5) == 2
    assert decorrelated(2, 2, 0.5) == pytest.approx(3.5)
    assert decorrelated(3, 5, 0.99) == 5


async def test_jitter_is_drawn_from_injected_chance(manual_clock: ManualClock) -> None:
    policy = Retry(idempotent=True, backoff=Backoff(first=1))
    retry = policy.engine("x", Environment(manual_clock, ManualRandom(0.25)))
    target = Target(manual_clock, ConnectionError())
    await retry(target)()
    assert target.times == [0, 0.25]
