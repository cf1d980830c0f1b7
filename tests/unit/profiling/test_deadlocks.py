"""Who waits for whom: circles found and named, and nothing taken for one that is none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from seawall.clock import SystemClock
from seawall.concurrency import KeyedLocks, ReadWriteLock, Semaphore
from seawall.profiling.locks import LockReport, describe_locks

pytestmark = pytest.mark.anyio

CLOCK = SystemClock()
Work = Callable[[], Awaitable[object]]


async def look(locks: list, **works: Work) -> LockReport:
    """Start *works* by name, let them come to rest, look, and cancel them."""
    tasks = [asyncio.create_task(_await(work), name=name) for name, work in works.items()]
    for _ in range(10):
        await asyncio.sleep(0)
    report = describe_locks(locks, CLOCK.monotonic, 0.0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return report


async def _await(work: Work) -> object:
    return await work()


def within(first, second) -> Work:
    """Return work that takes *first*, and then *second*."""

    async def work() -> None:
        async with first():
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            async with second():
                pass

    return work


def circles(report: LockReport) -> list[list[str]]:
    return [sorted(each.task for each in circle) for circle in report.deadlocks]


async def never() -> None:
    await asyncio.Event().wait()


async def test_two_keys_in_two_orders_are_named_with_who_waits_behind() -> None:
    locks = KeyedLocks[str]()
    report = await look(
        [locks],
        a=within(lambda: locks.hold("x"), lambda: locks.hold("y")),
        b=within(lambda: locks.hold("y"), lambda: locks.hold("x")),
        c=within(lambda: locks.hold("z"), lambda: locks.hold("x")),
        d=within(lambda: locks.hold("z"), lambda: locks.hold("v")),
    )
    assert circles(report) == [["a", "b"]]
    assert report.stuck == 4, "c waits for x, and d for z, which c holds"
    text = report.text()
    assert "DEADLOCK: 2 tasks wait for each other" in text
    assert "a waits for KeyedLocks" in text
    assert "key 'y': b comes first" in text
    assert "async with second():" in text, "with their stacks"


@pytest.mark.parametrize("kind", ["asyncio", "semaphore", "mixed"])
async def test_locks_of_all_kinds_make_circles(kind: str) -> None:
    plain, other, semaphore = asyncio.Lock(), asyncio.Lock(), Semaphore(3)
    first, second = {
        "asyncio": (lambda: plain, lambda: other),
        "semaphore": (lambda: semaphore.hold(2), lambda: semaphore.hold(2)),
        "mixed": (lambda: plain, lambda: semaphore.hold(3)),
    }[kind]
    if kind == "semaphore":
        report = await look([semaphore], a=within(lambda: semaphore.hold(1), second), b=within(first, first))
    else:
        report = await look([plain, other, semaphore], a=within(first, second), b=within(second, first))
    assert circles(report) in ([["a", "b"]], [["a"]], [["b"]])
    assert report.stuck == 2


async def test_a_reader_behind_a_writer_that_waits_for_it() -> None:
    both, other = ReadWriteLock(), KeyedLocks[str]()

    async def reads_and_waits() -> None:
        async with both.read():
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            async with other.hold("k"):
                pass

    async def holds_and_reads() -> None:
        async with other.hold("k"):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            async with both.read():
                pass

    report = await look([both, other], r=reads_and_waits, h=holds_and_reads, w=lambda: both.write().__aenter__())
    assert circles(report) == [["h", "r", "w"]], "r waits for h's key, h stands behind w, w waits for r"


async def test_tasks_that_await_each_other() -> None:
    tasks: dict[str, asyncio.Task] = {}

    async def other(name: str) -> None:
        await asyncio.sleep(0)
        await asyncio.wait({tasks[name]})  # a cancellation would go round in circles between tasks that await by name

    async def start() -> None:
        tasks["p"] = asyncio.create_task(other("q"), name="p")
        tasks["q"] = asyncio.create_task(other("p"), name="q")
        await never()

    report = await look([], s=start)
    assert circles(report) == [["p", "q"]]
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


async def test_a_child_that_wants_what_its_parent_holds() -> None:
    locks = KeyedLocks[str]()

    async def child() -> None:
        async with locks.hold("x"):
            pass

    async def by_group() -> None:
        async with locks.hold("x"), asyncio.TaskGroup() as group:
            group.create_task(child(), name="child")

    async def by_gather() -> None:
        async with locks.hold("x"):
            await asyncio.gather(asyncio.create_task(child(), name="child"), never())

    async def by_wait() -> None:
        async with locks.hold("x"):
            await asyncio.wait({asyncio.create_task(child(), name="child")})

    for parent in (by_group, by_gather, by_wait):
        assert circles(await look([locks], parent=parent)) == [["child", "parent"]], parent
        for task in asyncio.all_tasks():
            if task.get_name() == "child":
                task.cancel()
        await asyncio.sleep(0)


async def test_what_may_go_on_is_no_deadlock() -> None:
    locks, semaphore, plain = KeyedLocks[str](), Semaphore(3), asyncio.Lock()

    async def holds_and_sleeps() -> None:
        async with locks.hold("x"), plain:
            await never()

    async def has_a_choice() -> None:
        async with semaphore.hold(1):
            await semaphore.acquire(2)

    async def holds_one() -> None:
        async with semaphore.hold(1):
            await never()

    async def first_of_two() -> None:
        async with locks.hold("v"):
            waits = {asyncio.create_task(never()), asyncio.create_task(_await(lambda: locks.hold("v").__aenter__()))}
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in waits:
                    each.cancel()

    report = await look(
        [locks, semaphore, plain],
        a=holds_and_sleeps,
        b=lambda: locks.hold("x").__aenter__(),
        c=plain.acquire,
        d=has_a_choice,
        e=holds_one,
        f=first_of_two,
    )
    assert (report.deadlocks, report.stuck) == ((), 0)
    assert report.busy == 4


async def test_a_permit_of_a_task_that_has_ended_is_pointed_out() -> None:
    semaphore = Semaphore(2)

    async def forget() -> None:
        await semaphore.acquire(2)

    await asyncio.create_task(forget(), name="forgetful")
    report = await look([semaphore], waiter=semaphore.acquire)
    assert "held by forgetful (2 of 2), WHICH HAS ENDED and did not give it back" in report.text()
    assert report.deadlocks == (), "somebody else may still give it back"
    assert report.locks[0].waiters[0].task == "waiter"


async def test_a_lock_that_is_free_but_not_yet_taken_is_none() -> None:
    plain = asyncio.Lock()
    await plain.acquire()
    task = asyncio.create_task(plain.acquire(), name="next")
    await asyncio.sleep(0)
    plain.release()
    assert describe_locks([plain], CLOCK.monotonic, 0.0).stuck == 0
    await task
