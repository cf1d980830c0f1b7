"""Every order in which calls at half-open can begin and end."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

import pytest

from seawall.resilience import Breaker, BreakerOpen, Environment
from seawall.testing.clock import ManualClock

PROBES = 2
ENDINGS = ("success", "failure", "cancelled")


def schedules(calls: int, steps: int) -> Iterator[tuple[int, ...]]:
    """Every order of the steps of *calls* calls, each call's own in order. Calls are alike: the first begins first."""

    def grow(left: tuple[int, ...], begun: int) -> Iterator[tuple[int, ...]]:
        if not any(left):
            yield ()
            return
        for call in range(min(begun + 1, calls)):
            if left[call]:
                rest = (*left[:call], left[call] - 1, *left[call + 1 :])
                for tail in grow(rest, max(begun, call + 1)):
                    yield (call, *tail)

    return grow((steps,) * calls, 0)


class Target:
    """Calls that wait at a gate, and end as they are told."""

    def __init__(self) -> None:
        self.gates: dict[int, asyncio.Future[None]] = {}
        self.inside = 0
        self.most = 0
        self.reached = 0

    async def call(self, number: int) -> None:
        self.inside += 1
        self.reached += 1
        self.most = max(self.most, self.inside)
        try:
            self.gates[number] = asyncio.get_running_loop().create_future()
            await self.gates[number]
        finally:
            self.inside -= 1


async def play(clock: ManualClock, order: tuple[int, ...], endings: tuple[str, ...]) -> None:
    breaker = Breaker(window=1, open_for=1, jitter=0, probes=PROBES).engine("x", Environment(clock))
    breaker.acquire().failure()
    clock.advance(1)
    target = Target()
    call = breaker(target.call)
    tasks: dict[int, asyncio.Task[None]] = {}
    half_open = True  # the first generation: what the model speaks of
    successes = failures = out = 0
    counted: dict[int, bool] = {}
    for number in order:
        if number not in tasks:
            expected = not half_open or successes + failures + out < PROBES
            if half_open and expected:
                out += 1
                counted[number] = True
            tasks[number] = asyncio.ensure_future(call(number))
            await asyncio.sleep(0)
            assert (number in target.gates) == (expected and breaker.state != "open"), (order, endings)
            continue
        if number in target.gates:
            ending = endings[number]
            if ending == "success":
                target.gates[number].set_result(None)
            elif ending == "failure":
                target.gates[number].set_exception(OSError())
            else:
                tasks[number].cancel()
            for _ in range(3):
                await asyncio.sleep(0)
            if half_open and counted.get(number):
                out -= 1
                successes += ending == "success"
                failures += ending == "failure"
        if half_open and failures:
            half_open = False  # 1 of 2 is half
            assert breaker.state == "open"
            break
        if half_open and successes == PROBES:
            half_open = False
            assert breaker.state == "closed"
        if half_open:
            assert target.most <= PROBES
            assert breaker.state == "half-open"
            assert breaker.snapshot().probes_left == PROBES - out - successes
    for task in tasks.values():
        task.cancel()
    results = await asyncio.gather(*tasks.values(), return_exceptions=True)
    assert all(
        result is None or isinstance(result, BreakerOpen | OSError | asyncio.CancelledError) for result in results
    )
    assert target.inside == 0


@pytest.mark.anyio
async def test_every_schedule_of_four_calls(manual_clock: ManualClock) -> None:
    orders = list(schedules(4, 2))
    assert len(orders) == 105
    for order in orders:
        for endings in itertools.product(ENDINGS, repeat=4):
            await play(manual_clock, order, endings)
