from __future__ import annotations

import asyncio
import contextlib

import pytest

from seawall.lifecycle import Health
from seawall.lifecycle.health import check_document

pytestmark = pytest.mark.anyio


def health_of(clock, run, *, timeout=2.0, cache=1.0):
    made = Health(clock)
    made.add("database", run, timeout, cache)
    return made


async def test_a_hundred_who_ask_at_once_cost_one_look(manual_clock):
    looks = []

    async def look():
        looks.append(1)
        await manual_clock.sleep(0.5)

    health = health_of(manual_clock, look)
    found = await asyncio.gather(*(health.results() for _ in range(100)))
    assert len(looks) == 1
    assert all(result.passed and result.seconds == 0.5 for (result,) in found)


async def test_what_was_found_is_used_for_a_moment(manual_clock):
    looks = []

    async def look():
        looks.append(1)

    health = health_of(manual_clock, look)
    await health.results()
    manual_clock.advance(0.99)
    await health.results()
    assert len(looks) == 1
    manual_clock.advance(0.02)
    await health.results()
    assert len(looks) == 2


async def test_one_who_goes_away_does_not_spoil_it_for_the_others(manual_clock):
    async def look():
        await manual_clock.sleep(0.5)

    health = health_of(manual_clock, look)
    first, second = asyncio.ensure_future(health.results()), asyncio.ensure_future(health.results())
    await asyncio.sleep(0.1)
    first.cancel()
    (result,) = await second
    assert result.passed
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_checks_run_side_by_side(manual_clock):
    health = Health(manual_clock)
    for name in "abc":
        health.add(name, lambda: manual_clock.sleep(1.5), 2.0, 0.0)
    began = manual_clock.monotonic()
    assert [result.name for result in await health.results()] == ["a", "b", "c"]
    assert manual_clock.monotonic() - began == 1.5


async def test_a_late_check_fails_and_says_why(manual_clock):
    health = health_of(manual_clock, asyncio.Event().wait, timeout=0.25)
    (result,) = await health.results()
    assert (result.passed, result.reason, result.seconds) == (False, "no answer within 0.25 s", 0.25)


async def test_one_that_does_not_end_is_not_started_again(manual_clock):
    gate, looks = asyncio.Event(), []

    async def deaf():
        looks.append(1)
        while not gate.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await gate.wait()

    health = health_of(manual_clock, deaf, cache=0)
    for expected in ("no answer within 2 s", "the check before this one still has not ended"):
        (result,) = await health.results()
        assert result.reason == expected
    assert len(looks) == 1
    gate.set()
    await asyncio.sleep(0.1)
    (result,) = await health.results()
    assert (result.passed, len(looks)) == (True, 2)


@pytest.mark.parametrize(("result", "passed"), [(None, True), (True, True), (0, True), (False, False)])
async def test_what_counts_as_passed(manual_clock, result, passed):
    async def look():
        return result

    (found,) = await health_of(manual_clock, look).results()
    assert found.passed is passed


async def test_the_text_of_an_exception_goes_to_the_log_only_and_once(manual_clock, caplog):
    ok = []

    async def look():
        if not ok:
            raise OSError("password=hunter2 refused")

    health = health_of(manual_clock, look, cache=0)
    for _ in range(3):
        (result,) = await health.results()
        assert "hunter2" not in str(check_document([result]))
    assert [record.getMessage() for record in caplog.records] == ["check database fails: it raised an exception"]
    assert "hunter2" in caplog.text
    ok.append(True)
    caplog.set_level("INFO")
    await health.results()
    assert caplog.records[-1].getMessage() == "check database passes again"


async def test_the_document_is_that_of_the_draft(manual_clock):
    (result,) = await health_of(manual_clock, lambda: manual_clock.sleep(0.125)).results()
    assert check_document([result]) == {
        "database:responseTime": [
            {
                "status": "pass",
                "observedValue": 125.0,
                "observedUnit": "ms",
                "time": "2026-01-01T00:00:00.125+00:00",
            }
        ]
    }


async def test_closing_ends_what_is_running(manual_clock):
    ended = []

    async def look():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    health = health_of(manual_clock, look, timeout=60)
    asking = asyncio.ensure_future(health.results())
    await asyncio.sleep(0.1)
    await health.close(1)
    assert ended == [True]
    with pytest.raises(asyncio.CancelledError):
        await asking
