"""Scenarios 1, 2 and 3: retries that do not become the load their target dies of, and those that do.

Virtual time; the seed of the schedules is in the test's name.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque

import pytest

from seawall.call import Call, enter, leave
from seawall.clock import SystemRandom
from seawall.problems import Unavailable
from seawall.resilience import (
    ATTEMPT_HEADER,
    Backoff,
    Budget,
    Environment,
    Event,
    Pipeline,
    Retry,
    Retrying,
    TimedOut,
    Timeout,
    attempt,
)
from seawall.testing.clock import ManualClock

pytestmark = pytest.mark.anyio


class Capacity:
    """A server with a first-come queue that does so much a second, and cannot tell which callers have given up."""

    def __init__(self, clock: ManualClock, per_second: float) -> None:
        self.clock = clock
        self.per_second = per_second
        self.queue: deque[asyncio.Future[None]] = deque()
        self.attempts = 0
        self.came = asyncio.Event()

    async def ask(self) -> None:
        self.attempts += 1
        done = asyncio.get_running_loop().create_future()
        self.queue.append(done)
        self.came.set()
        await done

    async def serve(self) -> None:
        while True:
            while not self.queue:
                self.came.clear()
                await self.came.wait()
            await self.clock.sleep(1 / self.per_second)
            done = self.queue.popleft()  # work for a caller who has left is work all the same
            if not done.done():
                done.set_result(None)


async def storm(clock: ManualClock, seed: int, budget: Budget | None) -> tuple[float, float, float]:
    """80 calls a second at a server of 100, halved for 10 s; its goodput before, 60 s after, and attempts per call."""
    chance, server = random.Random(seed), Capacity(clock, 100)
    environment = Environment(clock, SystemRandom(seed))
    retry = Retry(attempts=4, idempotent=True, backoff=Backoff(first=0.1, longest=1), budget=budget)
    call = Pipeline("c", [retry.engine("c", environment), Timeout(1).engine("c", environment)])(server.ask)
    good: list[float] = []
    start = clock.monotonic()

    async def request() -> None:
        try:
            await call()
        except TimedOut:
            return
        good.append(clock.monotonic() - start)

    async def load(seconds: float) -> int:
        sent = 0
        async with asyncio.TaskGroup() as group:
            while clock.monotonic() - start < seconds:
                group.create_task(request())
                sent += 1
                await clock.sleep(chance.expovariate(80))
        return sent

    async def trigger() -> None:
        await clock.sleep(20)
        server.per_second = 50
        await clock.sleep(10)
        server.per_second = 100

    serving, halving = asyncio.ensure_future(server.serve()), asyncio.ensure_future(trigger())
    sent = await load(110)
    serving.cancel()
    await asyncio.gather(serving, halving, return_exceptions=True)
    before = sum(5 <= at < 20 for at in good) / 15
    after = sum(90 <= at < 105 for at in good) / 15
    return before, after, server.attempts / sent


@pytest.mark.parametrize("seed", [1, 2])
async def test_1_a_retry_storm_ends_with_its_cause(manual_clock: ManualClock, seed: int) -> None:
    before, after, attempts = await storm(manual_clock, seed, Budget())
    assert after >= 0.9 * before
    assert attempts <= 1.2


async def test_1_without_a_budget_it_never_ends(manual_clock: ManualClock) -> None:
    before, after, attempts = await storm(manual_clock, 1, None)
    assert after < 0.5 * before
    assert attempts > 2


async def failing(clock: ManualClock, budget: Budget | None, callers: int) -> tuple[int, int, int]:
    """Everything fails for 60 s; the most extra attempts beyond what is allowed, attempts, and calls."""
    active = extra = attempts = calls = 0
    worst = -(10**6)

    def told(event: Event) -> None:
        nonlocal extra, worst
        if isinstance(event, Retrying):
            extra += 1
            worst = max(worst, extra - int(max(0.2 * active, 3)))

    environment = Environment(clock, SystemRandom(5), [told])
    retry = Retry(attempts=4, idempotent=True, backoff=Backoff(first=0.05, longest=0.2), budget=budget).engine(
        "x", environment
    )

    async def down() -> None:
        nonlocal extra, attempts
        attempts += 1
        await clock.sleep(0.1)
        extra -= attempt.get() > 1
        raise OSError

    call = retry(down)

    async def caller() -> None:
        nonlocal active, calls
        until = clock.monotonic() + 60
        while clock.monotonic() < until:
            active += 1
            calls += 1
            try:
                await call()
            except OSError:
                pass
            finally:
                active -= 1
            await clock.sleep(0.01)

    await asyncio.gather(*[caller() for _ in range(callers)])
    return worst, attempts, calls


# Tokens without end, so that the share alone is what bounds.
SHARE_ALONE = Budget(per_success=0, capacity=1_000_000, share=0.2, least=3)


@pytest.mark.parametrize("callers", [2, 50])
async def test_2_extra_attempts_stay_within_their_share(manual_clock: ManualClock, callers: int) -> None:
    worst, attempts, calls = await failing(manual_clock, SHARE_ALONE, callers)
    assert worst <= 0
    assert attempts > calls, "nothing was retried, so nothing was shown"


async def test_2_without_a_budget_they_do_not(manual_clock: ManualClock) -> None:
    worst, attempts, calls = await failing(manual_clock, None, 50)
    assert worst > 0
    assert attempts > 2 * calls


async def layers(clock: ManualClock, *, protected: bool) -> float:
    """A calls B, B calls C, all of them retry, C is down; calls at C for each call of A."""
    environment = Environment(clock, SystemRandom(9))
    at_c, requests = 0, 300

    def retried(function):
        budget = Budget() if protected else None
        policy = Retry(attempts=3, idempotent=True, backoff=Backoff(first=0.01), budget=budget)
        return policy.engine("x", environment)(function)

    def hop(function, *, plain: bool):
        """What goes over the wire: the attempt on the way there, the fields of the problem on the way back."""

        async def over() -> None:
            metadata = {} if plain else {ATTEMPT_HEADER.lower().encode(): str(attempt.get()).encode()}

            async def served() -> None:
                enter(Call(b"id", "x", metadata))
                attempt.set(1)  # another process
                await function()

            try:
                await asyncio.create_task(served())
            except Unavailable as problem:
                raise Unavailable(headers={} if plain else problem.headers) from None

        return over

    async def c() -> None:
        nonlocal at_c
        at_c += 1
        raise Unavailable

    to_c = retried(hop(c, plain=not protected))
    to_b = retried(hop(to_c, plain=not protected))
    to_a = retried(hop(to_b, plain=not protected))
    for _ in range(requests):
        with pytest.raises(Unavailable):
            await to_a()
    return at_c / requests


async def test_3_layers_do_not_multiply_retries(manual_clock: ManualClock) -> None:
    assert await layers(manual_clock, protected=True) <= 1.3


async def test_3_without_protection_they_do(manual_clock: ManualClock) -> None:
    assert await layers(manual_clock, protected=False) == 27


async def test_3_even_without_a_budget_layers_do_not_multiply(manual_clock: ManualClock) -> None:
    """The attempt fields alone: three calls for each, made by the lowest layer."""
    request = Call(b"id", "x", {ATTEMPT_HEADER.lower().encode(): b"1"})
    token = enter(request)
    try:
        environment, calls = Environment(manual_clock), 0
        retry = Retry(attempts=3, idempotent=True, budget=None)

        async def down() -> None:
            nonlocal calls
            calls += 1
            raise Unavailable

        call = down
        for _ in range(3):
            call = retry.engine("x", environment).wrap(call)
        with pytest.raises(Unavailable):
            await call()
        assert calls == 3
    finally:
        leave(token)
