from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging

import pytest

from seawall.call import Call, current, current_call, enter, leave
from seawall.lifecycle import Backoff, Budget, Tasks, TaskState
from seawall.problems import Unavailable
from seawall.testing import ManualRandom

pytestmark = pytest.mark.anyio


@pytest.fixture
def tasks(manual_clock):
    made = Tasks(manual_clock, ManualRandom(*[0.5] * 50), limit=5)
    made.open()
    made.begin()
    return made


def budget(clock, seconds=10.0):
    return Budget(seconds, clock)


async def nothing():
    return None


async def test_work_runs_beside_and_is_counted(tasks):
    task = tasks.start(nothing, name="once")
    assert (task.name, task.state, tasks.counts.running) == ("once", TaskState.WAITING, 1)
    await task.wait()
    assert task.state is TaskState.FINISHED
    assert (tasks.counts.running, tasks.counts.finished, tasks.live) == (0, 1, ())


async def test_a_coroutine_is_work_as_well(tasks):
    task = tasks.start(nothing())
    await task.wait()
    assert (task.name, task.state) == ("nothing", TaskState.FINISHED)


async def test_a_failure_is_logged_counted_and_kept(tasks, caplog):
    async def fails():
        raise OSError("no disk")

    task = tasks.start(fails, name="writer")
    await task.wait()
    assert (task.state, str(task.error), tasks.counts.failed) == (TaskState.FAILED, "no disk", 1)
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.ERROR, "background task writer failed")
    assert record.exc_info[1] is task.error


async def test_restarts_wait_longer_and_longer_up_to_the_most(tasks, manual_clock):
    moments = []

    async def fails():
        moments.append(manual_clock.monotonic())
        if len(moments) == 6:
            return
        raise OSError

    task = tasks.start(fails, restart="on-failure", backoff=Backoff(first=1, most=5))
    await task.wait()
    waits = [round(after - before, 6) for before, after in itertools.pairwise(moments)]
    assert waits == [0.75, 1.5, 3.0, 3.75, 3.75], "chance of 0.5 takes three quarters of 1, 2, 4, 5, 5"
    assert (task.state, task.restarts) == (TaskState.FINISHED, 5)
    counts = tasks.counts
    assert (counts.failed, counts.restarted, counts.finished) == (5, 5, 1)


async def test_work_that_ran_long_begins_anew_with_the_first_wait(tasks, manual_clock):
    ends = []

    async def fails():
        if len(ends) == 2:
            await manual_clock.sleep(100)
        ends.append(manual_clock.monotonic())
        if len(ends) == 4:
            return
        raise OSError

    await tasks.start(fails, restart="on-failure", backoff=Backoff(first=1, most=50)).wait()
    assert round(ends[1] - ends[0], 6) == 0.75
    assert round(ends[2] - ends[1], 6) == 101.5
    assert round(ends[3] - ends[2], 6) == 0.75


@pytest.mark.parametrize(("restart", "runs"), [("never", 1), ("on-failure", 1), ("always", 3)])
async def test_who_is_started_again_after_a_success(tasks, restart, runs):
    seen = []

    async def work():
        seen.append(1)
        if len(seen) == 3:
            await asyncio.Event().wait()

    task = tasks.start(work, restart=restart)
    await asyncio.sleep(60)
    assert len(seen) == runs
    task.cancel()
    await task.wait()


async def test_a_failure_with_never_is_the_end(tasks):
    seen = []

    async def fails():
        seen.append(1)
        raise OSError

    await tasks.start(fails).wait()
    assert len(seen) == 1


async def test_cancelled_by_its_owner_it_does_not_come_back(tasks):
    task = tasks.start(asyncio.Event().wait, name="waits", restart="always")
    await asyncio.sleep(0)
    task.cancel()
    await task.wait()
    assert (task.state, tasks.counts.cancelled, tasks.counts.restarted) == (TaskState.CANCELLED, 1, 0)


async def test_what_it_waits_for_may_be_cancelled_without_it(tasks):
    inner = asyncio.get_running_loop().create_future()
    inner.cancel()

    async def work():
        await inner

    task = tasks.start(work)
    await task.wait()
    assert task.state is TaskState.FAILED
    assert "cancelled" in str(task.error)


async def test_the_call_it_came_from_stays_current_without_its_deadline(tasks):
    seen = []
    gate = asyncio.Event()

    async def work():
        await gate.wait()
        seen.append(current_call())

    call = Call(b"id-7", "create_order", deadline=5.0)
    token = enter(call)
    task = tasks.start(work)
    leave(token)
    gate.set()
    await task.wait()
    assert current.get(None) is None
    assert task.origin == "id-7"
    assert (seen[0].request_id, seen[0].operation, seen[0].deadline) == ("id-7", "create_order", None)
    assert call.deadline == 5.0


async def test_started_too_early_or_too_late_it_is_refused(manual_clock):
    tasks = Tasks(manual_clock, ManualRandom())
    with pytest.raises(RuntimeError, match="does not run"):
        tasks.start(nothing())
    tasks.open()
    tasks.begin()
    await tasks.drain(budget(manual_clock))
    with pytest.raises(RuntimeError, match=r"does not run.*@service\.background"):
        tasks.start(nothing)


async def test_while_starting_it_waits_for_the_rest(manual_clock):
    tasks = Tasks(manual_clock, ManualRandom())
    tasks.open()
    task = tasks.start(nothing)
    await asyncio.sleep(1)
    assert task.state is TaskState.WAITING
    assert tasks.counts.running == 1
    tasks.begin()
    await task.wait()
    assert task.state is TaskState.FINISHED


async def test_what_never_began_is_forgotten(manual_clock):
    tasks = Tasks(manual_clock, ManualRandom())
    tasks.open()
    task = tasks.start(nothing())
    tasks.close()
    await task.wait()
    assert (task.state, tasks.live) == (TaskState.CANCELLED, ())


async def test_there_is_a_limit(tasks):
    waiting = [tasks.start(asyncio.Event().wait) for _ in range(5)]
    with pytest.raises(Unavailable):
        tasks.start(nothing())
    for each in waiting:
        each.cancel()
        await each.wait()
    await tasks.start(nothing).wait()


@pytest.mark.parametrize(
    "options", [{"restart": "always"}, {"restart": "sometimes"}], ids=["coroutine twice", "unknown restart"]
)
async def test_what_cannot_be_is_refused(tasks, options):
    with pytest.raises(ValueError, match="background task nothing"):
        tasks.start(nothing(), **options)


@pytest.mark.parametrize("numbers", [(0, 1, 2), (2, 1, 2), (1, 2, 0.5), (1, 2, 11)])
def test_an_impossible_backoff_is_refused(numbers):
    with pytest.raises(ValueError, match="must hold"):
        Backoff(*numbers)


class TestDrain:
    async def test_work_is_asked_and_has_time(self, tasks, manual_clock):
        async def flushes():
            await tasks.stopping()
            await manual_clock.sleep(5)

        async def ticks():
            while await tasks.pause(60):
                pass

        both = [tasks.start(flushes), tasks.start(ticks, restart="always")]
        await asyncio.sleep(1)
        began = manual_clock.monotonic()
        assert await tasks.drain(budget(manual_clock)) == []
        assert manual_clock.monotonic() - began == 5
        assert [each.state for each in both] == [TaskState.FINISHED] * 2

    async def test_what_is_late_is_cut_awaited_and_named(self, tasks, manual_clock):
        closed = []

        async def stubborn():
            try:
                await asyncio.Event().wait()
            finally:
                await manual_clock.sleep(0.5)
                closed.append(True)

        task = tasks.start(stubborn, name="stubborn")
        await asyncio.sleep(0)
        began = manual_clock.monotonic()
        assert await tasks.drain(budget(manual_clock)) == ["stubborn"]
        assert manual_clock.monotonic() - began == pytest.approx(8.5 + 0.5)
        assert closed == [True]
        assert (task.state, tasks.counts.cut, tasks.counts.cancelled) == (TaskState.CUT, 1, 0)

    async def test_what_does_not_heed_its_cancellation_is_left(self, tasks, manual_clock, caplog):
        gate = asyncio.Event()

        async def deaf():
            while not gate.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await gate.wait()

        task = tasks.start(deaf, name="deaf")
        await asyncio.sleep(0)
        assert await tasks.drain(budget(manual_clock)) == ["deaf"]
        assert "do not end when they are cancelled" in caplog.text
        gate.set()
        await task.wait()

    async def test_a_restart_that_is_due_does_not_come(self, tasks, manual_clock):
        runs = []

        async def fails():
            runs.append(1)
            raise OSError

        task = tasks.start(fails, restart="on-failure", backoff=Backoff(first=100, most=100))
        await asyncio.sleep(1)
        assert task.state is TaskState.WAITING
        assert await tasks.drain(budget(manual_clock)) == []
        assert (len(runs), task.state) == (1, TaskState.FAILED)

    async def test_hurried_there_is_only_a_moment(self, tasks, manual_clock):
        tasks.start(asyncio.Event().wait, name="waits")
        tasks.start(tasks.stopping)
        await asyncio.sleep(0)
        there = budget(manual_clock)
        manual_clock.call_later(2, there.hurry)
        began = manual_clock.monotonic()
        assert await tasks.drain(there) == ["waits"]
        assert manual_clock.monotonic() - began == 2.25
