"""Scenario 15 without streams, and the bars of workers, in full size: minutes, so `make faults` runs them only.

In small they are in `integration/lifecycle`, where it is also shown that they fail without the protection.
"""

from __future__ import annotations

import asyncio
import statistics

import pytest

from support.workers import Group, kill_under_load, roll, roll_under_load

pytestmark = [pytest.mark.full, pytest.mark.anyio]

RATE = 500
RESTARTS = 50
ROLLS = 20
KILLS = 10


def tell(what, load):
    print(
        f"\n{what}: {load.answered} answered, {len(load.failures)} failed, {load.opened} connections, "
        f"{load.reached:.0f} of {load.rate} a second"
    )


@pytest.fixture
def group(tmp_path):
    each = Group(tmp_path)
    yield each
    each.close()


@pytest.mark.parametrize("workers", [1, 2])
async def test_no_request_is_lost_in_fifty_rolling_restarts(workers):
    load, statuses = await roll(RESTARTS, "seawall", RATE, server_workers=str(workers))
    tell(f"{RESTARTS} SIGTERMs, {workers} workers", load)
    assert load.failures == []
    assert statuses == [0] * (RESTARTS + 1)
    assert load.opened >= RESTARTS


async def test_no_request_is_lost_in_twenty_rolls(group):
    load = await roll_under_load(group, await asyncio.to_thread(group.address), ROLLS, RATE)
    tell(f"{ROLLS} SIGHUPs, 2 workers", load)
    assert load.failures == []
    assert await asyncio.to_thread(group.end) == 0


async def test_a_killed_worker_is_back_within_two_seconds_and_only_its_connections_fail(tmp_path):
    times = []
    for number in range(KILLS):
        (folder := tmp_path / str(number)).mkdir()
        each = Group(folder)
        try:
            load, victim, seconds = await kill_under_load(each, RATE)
            tell(f"kill -9 number {number + 1}, back after {seconds:.2f} s", load)
            times.append(seconds)
            assert [failure for failure in load.failures if failure.by not in (None, str(victim))] == []
            assert await asyncio.to_thread(each.end) == 0
        finally:
            each.close()
    print(f"\nback after {statistics.median(times):.2f} s (median), {max(times):.2f} s (slowest)")
    # The median: one start among ten on a busy machine says more of the machine.
    assert statistics.median(times) < 2
