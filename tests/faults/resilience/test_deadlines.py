"""Scenario 23, within one service: no work starts after a deadline has passed, and what hangs is seen to hang."""

from __future__ import annotations

import asyncio

import pytest

from seawall import DeadlineExceeded, Service, current_call
from seawall.resilience import Backoff, Breaker, Resilience, Retry, Timeout

pytestmark = pytest.mark.anyio


def serving(*policies) -> tuple[Service, Resilience, list[float]]:
    service, resilience, began = Service("hops", timeout="600ms"), Resilience(hooks=()), []
    loop = asyncio.get_running_loop()

    async def hang() -> None:
        began.append(loop.time() - current_call().deadline)
        await asyncio.sleep(0.04)
        raise ConnectionError

    async def hang_for_ever() -> None:
        began.append(loop.time())
        await asyncio.sleep(3600)

    guard = resilience.pipeline("x", *policies)

    @service.operation("fails")
    async def fails() -> None:
        await guard(hang)()

    @service.operation("hangs")
    async def hangs() -> None:
        await guard(hang_for_ever)()

    return service, resilience, began


RETRY = Retry(attempts=50, idempotent=True, backoff=Backoff(first=0.01, jitter="none"), budget=None)


async def test_23_no_attempt_starts_past_the_deadline_of_the_operation() -> None:
    service, _, began = serving(RETRY, Timeout(10))
    with pytest.raises((DeadlineExceeded, ConnectionError)):
        await service.call("fails")
    assert began
    assert max(began) < 0.05, "an attempt began past the deadline"
    made = len(began)
    await asyncio.sleep(0.1)
    assert len(began) == made


async def test_23_a_target_that_outlasts_the_deadline_opens_the_breaker() -> None:
    service, resilience, _ = serving(Breaker(consecutive=2), Timeout(10))
    for _ in range(2):
        with pytest.raises(DeadlineExceeded):
            await service.call("hangs")
    assert resilience.breakers["x"].state == "open"
    assert not resilience.environment.expiries
