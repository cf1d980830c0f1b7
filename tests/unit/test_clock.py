from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest

from seawall.clock import Clock, Random, SystemClock, SystemRandom
from seawall.testing.clock import ManualClock, ManualRandom
from seawall.testing.fixtures import anyio_backend, manual_clock

__all__ = ["anyio_backend", "manual_clock"]


def run(clock: ManualClock, function: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    with asyncio.Runner(loop_factory=clock.loop_factory) as runner:
        return runner.run(function())


# --- the ports


@pytest.mark.parametrize("clock", [SystemClock(), ManualClock()])
def test_clocks_implement_the_port(clock):
    assert isinstance(clock, Clock)
    assert clock.monotonic() <= clock.monotonic()


@pytest.mark.parametrize("chance", [SystemRandom(1), ManualRandom(0.25, 0.5)])
def test_chance_implements_the_port(chance):
    assert isinstance(chance, Random)
    assert 0 <= chance.random() < 1
    assert 0 <= chance.getrandbits(8) < 256


def test_system_random_repeats_its_seed_and_nobody_elses():
    assert [SystemRandom(7).random() for _ in range(2)] == [SystemRandom(7).random()] * 2
    assert SystemRandom(7).getrandbits(64) != SystemRandom(8).getrandbits(64)
    assert SystemRandom().getrandbits(64) != SystemRandom().getrandbits(64)


def test_a_forked_process_draws_numbers_of_its_own():
    chance, seeded = SystemRandom(), SystemRandom(7)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, f"{chance.getrandbits(128)} {seeded.getrandbits(128)}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reading, 1000).decode().split()
    os.close(reading)
    os.close(writing)
    assert int(theirs[0]) != chance.getrandbits(128)
    assert int(theirs[1]) == seeded.getrandbits(128)


@pytest.mark.anyio
async def test_system_clock_calls_later_and_takes_back():
    called: list[str] = []
    clock = SystemClock()
    clock.call_later(0, lambda: called.append("kept"))
    clock.call_later(0, lambda: called.append("taken back")).cancel()
    await clock.sleep(0)
    await clock.sleep(0)
    assert called == ["kept"]


# --- jumping


@pytest.mark.anyio
async def test_a_year_passes_at_once(manual_clock):
    real = time.monotonic()
    before, wall = manual_clock.monotonic(), manual_clock.time()
    await manual_clock.sleep(365 * 86400)
    assert manual_clock.monotonic() - before == pytest.approx(365 * 86400, abs=1e-6)
    assert manual_clock.time() - wall == pytest.approx(365 * 86400, abs=1e-5)
    assert time.monotonic() - real < 5


@pytest.mark.anyio
async def test_everything_on_the_loop_keeps_its_time(manual_clock):
    loop = asyncio.get_running_loop()
    start = manual_clock.monotonic()
    assert loop.time() == start
    await asyncio.sleep(10)
    assert loop.time() == manual_clock.monotonic() == start + 10
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(20):
            await asyncio.Event().wait()
    assert manual_clock.monotonic() == start + 30
    with anyio.move_on_after(5):
        await anyio.sleep_forever()
    assert manual_clock.monotonic() == start + 35
    fired = asyncio.Event()
    manual_clock.call_later(7, fired.set)
    await fired.wait()
    assert manual_clock.monotonic() == start + 42


@pytest.mark.anyio
async def test_timers_fire_in_order_each_at_its_time(manual_clock):
    start = manual_clock.monotonic()
    seen: list[tuple[str, float]] = []

    async def wait(name: str, seconds: float) -> None:
        await manual_clock.sleep(seconds)
        seen.append((name, manual_clock.monotonic() - start))

    async def repeat() -> None:
        for _ in range(3):
            await wait("tick", 2)

    async with asyncio.TaskGroup() as group:
        group.create_task(wait("late", 5))
        group.create_task(repeat())
        group.create_task(wait("early", 1))
    assert seen == [("early", 1), ("tick", 2), ("tick", 4), ("late", 5), ("tick", 6)]


@pytest.mark.anyio
async def test_time_stands_still_while_a_task_can_run(manual_clock):
    start = manual_clock.monotonic()
    sleeper = asyncio.create_task(manual_clock.sleep(1))
    for _ in range(100):
        await manual_clock.sleep(0)
    assert manual_clock.monotonic() == start
    await sleeper


@pytest.mark.anyio
async def test_what_is_ready_to_be_read_comes_before_the_next_timer(manual_clock):
    start = manual_clock.monotonic()
    here, there = socket.socketpair()
    with here, there:
        here.setblocking(False)
        async with asyncio.timeout(1):
            reading = asyncio.create_task(asyncio.get_running_loop().sock_recv(here, 1))
            await manual_clock.sleep(0)
            there.send(b"x")
            assert await reading == b"x"
    assert manual_clock.monotonic() == start


@pytest.mark.anyio
async def test_a_timer_taken_back_does_not_run(manual_clock):
    called: list[int] = []
    manual_clock.call_later(1, lambda: called.append(1)).cancel()
    manual_clock.call_later(2, lambda: called.append(2))
    await manual_clock.sleep(3)
    assert called == [2]


@pytest.mark.anyio
async def test_advance_jumps_over_what_is_due(manual_clock):
    start = manual_clock.monotonic()
    sleeper = asyncio.create_task(manual_clock.sleep(5))
    await manual_clock.sleep(0)
    manual_clock.advance(60)
    await sleeper
    assert manual_clock.monotonic() == start + 60


def test_a_thread_that_is_waited_for_alone_does_not_move_the_time():
    clock = ManualClock()

    async def main() -> tuple[str, float]:
        before = clock.monotonic()
        return await asyncio.to_thread(lambda: "from the thread"), clock.monotonic() - before

    assert run(clock, main) == ("from the thread", 0)


def test_a_threshold_lets_a_thread_answer_before_its_timeout():
    clock = ManualClock(threshold=5)
    go = threading.Event()

    async def main() -> bool:
        asyncio.get_running_loop().call_soon(go.set)
        async with asyncio.timeout(1):
            return await asyncio.to_thread(go.wait, 5)

    assert run(clock, main) is True


@pytest.mark.anyio
@pytest.mark.parametrize("days", [50, 200, 3_000, 200_000])
async def test_a_timer_due_at_exactly_now_runs_however_late_it_is(manual_clock, days):
    manual_clock.advance(days * 86400)
    sleeper = asyncio.create_task(manual_clock.sleep(0.1))
    await manual_clock.sleep(0)
    manual_clock.advance(0.1)
    await sleeper
    before = manual_clock.monotonic()
    await manual_clock.sleep(0.1)
    assert manual_clock.monotonic() - before == pytest.approx(0.1, abs=1e-5)


# --- the wall clock


def test_wall_clock_starts_where_it_is_told_and_moves_with_time():
    clock = ManualClock(wall=datetime(2030, 6, 1, tzinfo=UTC), start=50)
    assert clock.monotonic() == 50
    clock.advance(2.5)
    assert datetime.fromtimestamp(clock.time(), UTC) == datetime(2030, 6, 1, 0, 0, 2, 500000, UTC)
    assert datetime.fromtimestamp(ManualClock().time(), UTC) == datetime(2026, 1, 1, tzinfo=UTC)


def test_the_wall_clock_can_be_set_back_alone():
    clock = ManualClock()
    wall, steady = clock.time(), clock.monotonic()
    clock.shift_wall(-3600)
    assert clock.time() == wall - 3600
    assert clock.monotonic() == steady


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_time_does_not_go_back(seconds):
    with pytest.raises(ValueError, match="0 or more"):
        ManualClock().advance(seconds)
    with pytest.raises(ValueError, match=r"start=.*0 or more"):
        ManualClock(start=seconds)


def test_wrong_wall_clocks_are_refused():
    with pytest.raises(ValueError, match="no time zone"):
        ManualClock(wall=datetime(2026, 1, 1))  # noqa: DTZ001 - the mistake under test
    with pytest.raises(ValueError, match="not finite"):
        ManualClock().shift_wall(float("inf"))


# --- without autojump


def test_only_advance_moves_the_time_from_any_thread():
    clock = ManualClock(autojump=False)
    waiting = threading.Event()

    def advance() -> None:
        waiting.wait(5)
        clock.advance(3600)

    async def main() -> float:
        start = clock.monotonic()
        asyncio.get_running_loop().call_soon(waiting.set)
        await clock.sleep(3600)
        return clock.monotonic() - start

    thread = threading.Thread(target=advance)
    thread.start()
    try:
        assert run(clock, main) == 3600
    finally:
        thread.join()


def test_a_clock_that_nobody_advances_is_an_error_that_names_the_sleeper():
    clock = ManualClock(autojump=False, patience=0.05)

    async def main() -> None:
        await clock.sleep(1)

    with pytest.raises(RuntimeError, match=r"nobody advanced the clock for 0.05 s .*main.*test_clock\.py"):
        run(clock, main)


# --- what never ends


def test_waiting_for_nothing_names_the_tasks_and_lets_them_clean_up():
    clock = ManualClock(patience=0.02)
    cleaned: list[str] = []

    async def stuck() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append("stuck")

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(stuck(), name="the stuck one")

    with pytest.raises(RuntimeError, match="every task waits for something that never comes") as caught:
        run(clock, main)
    assert "the stuck one: " in str(caught.value)
    assert "stuck (test_clock.py:" in str(caught.value)
    assert "> Event.wait (locks.py:" in str(caught.value)
    assert "> TaskGroup.__aexit__ (" in str(caught.value)
    assert cleaned == ["stuck"]


def test_repeating_for_ever_while_the_test_waits_is_an_error():
    clock = ManualClock(max_jumps=50)

    async def tick() -> None:
        while True:
            await clock.sleep(1)

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(tick(), name="ticker")
            await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match=r"time jumped 50 times and the test still waits.*ticker: .*tick"):
        run(clock, main)


def test_sleeping_for_ever_is_an_error():
    with pytest.raises(RuntimeError, match="sleeps for ever"):
        run(ManualClock(max_jumps=50), lambda: asyncio.sleep(float("inf")))


@pytest.mark.anyio
async def test_waiting_on_another_loop_is_an_error_not_a_real_wait():
    clock = ManualClock()
    with pytest.raises(RuntimeError, match="does not rule the running event loop"):
        await clock.sleep(1)
    with pytest.raises(RuntimeError, match="does not rule"):
        clock.call_later(1, print)


# --- scripted chance


def test_manual_random_gives_what_was_scripted_then_says_so():
    chance = ManualRandom(0.0, 0.999, 0.5, 0.5)
    assert chance.random() == 0.0
    assert chance.random() == 0.999
    assert chance.getrandbits(8) == 128
    assert chance.getrandbits(1) == 1
    with pytest.raises(LookupError, match="more often than the 4 times"):
        chance.random()


@pytest.mark.parametrize("value", [1, -0.1, float("nan")])
def test_manual_random_refuses_what_chance_never_brings(value):
    with pytest.raises(ValueError, match="not in"):
        ManualRandom(value)
