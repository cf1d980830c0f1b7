"""Scenarios 1, 2, 4 and 8 over real sockets: a target in a process of its own, which counts who came.

Small by default; scenario 1 in the size it is written in with SEAWALL_FAULTS=full. The seed is printed, and taken from
SEAWALL_TEST_SEED.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from dataclasses import dataclass

import pytest

from seawall.client import Client, RemoteUnavailable
from seawall.clock import SystemRandom
from seawall.problems import Problem
from seawall.resilience import (
    Backoff,
    Breaker,
    BreakerOpen,
    Budget,
    Event,
    Pipeline,
    Resilience,
    Retry,
    Retrying,
    Throttle,
    Throttled,
    Timeout,
)
from seawall.settings import ClientSettings

pytestmark = pytest.mark.anyio
FULL = os.environ.get("SEAWALL_FAULTS") == "full"
SEED = int(os.environ.get("SEAWALL_TEST_SEED", "20261125"))
MANY = ClientSettings(max_connections=5000, max_connections_per_host=5000)


def guarded(*policies, hooks=()) -> Pipeline:
    return Resilience(random=SystemRandom(SEED), hooks=hooks).pipeline("target", *policies)


async def counts(client: Client) -> Counter[str]:
    return Counter((await client.request("GET", "/counts")).decode(dict[str, int]))


# -- 1: retry storms


@dataclass
class Size:
    """Seconds before the trigger, of the trigger, and in which the service must be well again; and of one attempt."""

    before: float = 1.5
    halved: float = 2.5
    after: float = 6.0
    attempt: float = 0.4
    window: float = 1.5


SIZE = Size(20, 10, 60, 1.0, 5.0) if FULL else Size()


async def storm(url: str, budget: Budget | None) -> tuple[float, float | None, float]:
    """Ask 80 times a second for what can be done 100 times, and 50 times for a while.

    Returns:
        The goodput before; how long after the trigger's end 90 % of it was had again, or None; attempts per call.
    """
    print(f"SEAWALL_TEST_SEED={SEED}")
    chance, loop = random.Random(SEED), asyncio.get_running_loop()
    retry = Retry(attempts=4, backoff=Backoff(first="100ms", longest="1s"), budget=budget)
    good: list[float] = []
    well: float | None = None
    again = 0

    def told(event: Event) -> None:
        nonlocal again
        again += isinstance(event, Retrying)

    async with (
        Client("target", url, guarded(retry, Timeout(SIZE.attempt), hooks=[told]), settings=MANY) as client,
        Client("hand", url) as hand,
    ):
        await hand.request("POST", "/forget")
        began = loop.time()
        trigger, ended = SIZE.before, SIZE.before + SIZE.halved

        async def one() -> None:
            try:
                await client.request("GET", "/capacity")
            except Problem:
                return
            good.append(loop.time() - began)

        def rate(begin: float, end: float) -> float:
            return sum(begin <= at < end for at in good) / (end - begin)

        asked, due = 0, 0.0
        switched = 0
        async with asyncio.TaskGroup() as group:
            while (now := loop.time() - began) < ended + SIZE.after and well is None:
                if switched == 0 and now >= trigger:
                    switched = 1
                    await hand.request("PUT", "/capacity/50")
                elif switched == 1 and now >= ended:
                    switched = 2
                    await hand.request("PUT", "/capacity/100")
                while due <= now:  # an open loop: nobody waits for anybody
                    group.create_task(one())
                    asked += 1
                    due += chance.expovariate(80)
                if now - SIZE.window > ended and rate(now - SIZE.window, now) >= 0.9 * rate(0.5, trigger):
                    well = now - ended
                await asyncio.sleep(0.005)
        await hand.request("POST", "/forget")
    # As they are made: in a storm many do not come as far as the target.
    return rate(0.5, trigger), well, 1 + again / asked


async def test_1_a_retry_storm_ends_with_its_cause(target: str) -> None:
    before, well, attempts = await storm(target, Budget())
    assert before > 60, "the target did not do what is asked of it before anything was wrong"
    assert well is not None
    assert attempts <= 1.2


@pytest.mark.full  # that it is needed is shown in virtual time each time
async def test_1_without_a_budget_it_never_ends(target: str) -> None:
    before, well, attempts = await storm(target, None)
    assert before > 60
    assert well is None
    assert attempts > 1.5


# -- 2: the budget


async def failing(url: str, budget: Budget | None) -> tuple[int, float]:
    """Let 50 callers ask what is down; return the most extra attempts there were at once, and attempts per call."""
    retry = Retry(attempts=4, backoff=Backoff(first="20ms", longest="50ms"), budget=budget)
    calls = 0
    async with Client("target", url, guarded(retry), settings=MANY) as client, Client("hand", url) as hand:
        await hand.request("POST", "/forget")
        until = asyncio.get_running_loop().time() + 1

        async def caller() -> None:
            nonlocal calls
            while asyncio.get_running_loop().time() < until:
                calls += 1
                with pytest.raises(RemoteUnavailable):
                    await client.request("GET", "/down/100")

        await asyncio.gather(*[caller() for _ in range(50)])
        seen = await counts(hand)
    return seen["most extra"], seen["down"] / calls


async def test_2_extra_attempts_stay_within_their_share(target: str) -> None:
    # Tokens without end, so that the share alone is what bounds.
    most, attempts = await failing(target, Budget(per_success=0, capacity=1_000_000, share=0.2, least=3))
    assert 0 < most <= 10
    assert attempts > 1


async def test_2_without_a_budget_they_do_not(target: str) -> None:
    most, attempts = await failing(target, None)
    assert most > 20
    assert attempts > 2


# -- 4: throttling by the client


async def throttled(
    url: str, capacity: int, *policies, before: float = 1.2, measured: float = 4
) -> tuple[float, float]:
    """Ask one call after the other, as fast as that goes; return the share that was not sent, and the formula's.

    One at a time: an answer that is not there yet counts as none, and a busy machine would change the share by that.
    """
    loop = asyncio.get_running_loop()
    async with Client("target", url, guarded(*policies) if policies else None) as client:
        asked = held = accepted = 0
        for seconds in (before, measured):  # at first until the window holds nothing else
            asked = held = accepted = 0
            until = loop.time() + seconds
            while loop.time() < until:
                asked += 1
                try:
                    await client.request("GET", f"/accept/{capacity}")
                    accepted += 1
                except Throttled:
                    held += 1
                except RemoteUnavailable:
                    pass
                await asyncio.sleep(0.002)
    return held / asked, max(0.0, (asked - 2 * accepted) / (asked + 1))


async def test_4_calls_are_held_back_by_the_formula(target: str) -> None:
    share, expected = await throttled(target, 30, Throttle(window="1s"))
    assert expected > 0.3
    assert share == pytest.approx(expected, abs=0.05)


async def test_4_without_it_the_target_turns_everything_away_itself(target: str) -> None:
    share, expected = await throttled(target, 30, before=0.1, measured=1)
    assert expected - share > 0.3


# -- 8: the breaker


async def test_8_it_opens_on_the_hundredth_call_and_ten_of_a_thousand_probe(target: str) -> None:
    policy = Breaker(window=100, minimum_calls=100, failure_rate=0.5, open_for="2s", jitter=0, probes=10)
    pipeline = guarded(policy)
    (breaker,) = pipeline.engines
    async with Client("target", target, pipeline, settings=MANY) as client, Client("hand", target) as hand:
        await hand.request("POST", "/forget")
        for number in range(1, 201):
            with pytest.raises(RemoteUnavailable if number <= 100 else BreakerOpen):
                await client.request("GET", "/down/0")
        assert (await counts(hand))["down"] == 100
        await asyncio.sleep(2.1)

        calls = [asyncio.ensure_future(client.request("GET", "/gate")) for _ in range(1000)]
        await reached(hand, 10)
        probes = [task for task in calls if not task.done()]
        assert len(probes) == 10
        for task in probes[:3]:
            task.cancel()
        await asyncio.wait(probes[:3])
        more = [asyncio.ensure_future(client.request("GET", "/gate")) for _ in range(1000)]
        await reached(hand, 13)
        await hand.request("POST", "/gate")
        ended = await asyncio.gather(*calls, *more, return_exceptions=True)
        assert sum(not isinstance(end, BaseException) for end in ended) == 10
        assert breaker.state == "closed"


async def test_8_without_it_all_of_them_reach_the_target(target: str) -> None:
    async with Client("target", target, settings=MANY) as client, Client("hand", target) as hand:
        await hand.request("POST", "/forget")
        calls = [asyncio.ensure_future(client.request("GET", "/gate")) for _ in range(200)]
        await reached(hand, 200)
        await hand.request("POST", "/gate")
        await asyncio.gather(*calls)


async def reached(hand: Client, number: int) -> None:
    """Wait until *number* calls have reached the gate; a little longer, in case there are more."""
    async with asyncio.timeout(15):
        while (await counts(hand))["gate"] < number:  # noqa: ASYNC110 - it comes from another process
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.2)
    assert (await counts(hand))["gate"] == number
