"""Tasks of one name are told apart in reports: by the requests they work for, or by a number."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from seawall.call import Call
from seawall.clock import SystemClock
from seawall.concurrency import KeyedLocks
from seawall.profiling.locks import describe_locks, find_circles
from seawall.profiling.names import names_of
from seawall.profiling.tasks import await_chain

pytestmark = pytest.mark.anyio

CLOCK = SystemClock()


def plan():
    """Return a coroutine function that looks to the profiler like a compiled plan."""
    namespace: dict = {}
    source = "async def run(call, work):\n    await work()\n"
    exec(compile(source, "<seawall: read_item>", "exec"), namespace)
    return namespace["run"]


@pytest.fixture
async def tasks() -> AsyncIterator[list[asyncio.Task]]:
    made: list[asyncio.Task] = []
    yield made
    for task in made:
        task.cancel()
    await asyncio.gather(*made, return_exceptions=True)


async def never() -> None:
    await asyncio.Event().wait()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def names(tasks: list[asyncio.Task]) -> list[str]:
    found = names_of({task: await_chain(task) for task in tasks})
    return [found[task] for task in tasks]


async def test_a_call_is_named_with_its_request(tasks):
    run = plan()
    for number in b"1", b"2":
        tasks.append(asyncio.create_task(run(Call(number, "read_item"), never), name="read_item"))
    tasks.append(asyncio.create_task(never(), name="ticks"))
    await settle()
    assert names(tasks) == ["read_item of request 1", "read_item of request 2", "ticks"]


async def test_what_is_still_alike_has_a_number(tasks):
    run = plan()
    for name in "worker", "worker", "worker #2", "worker":
        tasks.append(asyncio.create_task(never(), name=name))
    for _ in range(2):  # clients may send one id twice
        tasks.append(asyncio.create_task(run(Call(b"same", "read_item"), never), name="read_item"))
    await settle()
    assert names(tasks) == [
        "worker #1", "worker #3", "worker #2", "worker #4",
        "read_item of request same #1", "read_item of request same #2",
    ]  # fmt: skip


async def test_calls_of_one_operation_in_a_deadlock_are_told_apart(tasks):
    locks, run = KeyedLocks[str](), plan()

    def within(first: str, second: str):
        async def work() -> None:
            async with locks.hold(first):
                await asyncio.sleep(0)
                async with locks.hold(second):
                    pass

        return work

    for number, work in (b"1", within("a", "b")), (b"2", within("b", "a")):
        tasks.append(asyncio.create_task(run(Call(number, "move"), work), name="move"))
    await settle()
    report = describe_locks([locks], CLOCK.monotonic, 0.0)
    assert [sorted(each.task for each in circle) for circle in report.deadlocks] == [
        ["move of request 1", "move of request 2"]
    ]
    assert {each.behind for each in report.deadlocks[0]} == {"move of request 1", "move of request 2"}
    assert "held by move of request 1 at " in report.text()
    assert "awaited by move of request 2 at " in report.text()


async def test_a_circle_is_the_same_whoever_else_is_there(tasks):
    """It is looked for twice before somebody is told of it, and names may have changed meanwhile."""
    locks = KeyedLocks[str]()

    async def joins() -> None:
        async with locks.hold("a"):
            await tasks[1]

    async def waits() -> None:
        await asyncio.sleep(0)
        async with locks.hold("a"):
            pass

    tasks += [asyncio.create_task(joins(), name="parent"), asyncio.create_task(waits(), name="child")]
    await settle()
    before = find_circles([locks])
    tasks.append(asyncio.create_task(never(), name="child"))
    await settle()
    (after,) = find_circles([locks])
    assert [after] in (before, [before[0][::-1]])
    assert {wait.on for wait in after} != {wait.on for wait in before[0]}
