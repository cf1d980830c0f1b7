"""Tests that leave something behind, or wait for themselves, fail and say why."""

from __future__ import annotations

import asyncio

import pytest

from seawall.concurrency import KeyedLocks, ReadWriteLock, Semaphore, Threads
from seawall.testing import Deadlocked, Leaked, ManualClock, no_leaks

pytestmark = pytest.mark.anyio


async def test_a_task_that_is_left() -> None:
    with pytest.raises(Leaked, match=r"(?s)1 tasks and 0 locks were left behind.*task mine.*in sleep"):  # noqa: PT012 - the block is what is judged
        async with no_leaks():
            task = asyncio.create_task(asyncio.sleep(100), name="mine")
            await asyncio.sleep(0)
    task.cancel()


@pytest.mark.parametrize("kind", ["semaphore", "key", "read", "lock", "bounded"])
async def test_a_lock_that_is_left(kind: str) -> None:
    semaphore, locks, both = Semaphore(3), KeyedLocks[str](), ReadWriteLock()
    lock, bounded = asyncio.Lock(), asyncio.BoundedSemaphore(2)
    await semaphore.acquire()
    await bounded.acquire()
    take = {
        "semaphore": lambda: semaphore.acquire(2),
        "key": lambda: locks.hold("k").__aenter__(),
        "read": lambda: both.read().__aenter__(),
        "lock": lock.acquire,
        "bounded": bounded.acquire,
    }[kind]
    async with no_leaks():
        pass
    with pytest.raises(Leaked, match="0 tasks and 1 locks were left behind"):
        async with no_leaks():
            await take()


async def test_what_was_there_before_or_ends_soon_is_none() -> None:
    semaphore, lock = Semaphore(3), asyncio.Lock()
    await semaphore.acquire()
    before = asyncio.create_task(asyncio.sleep(100))
    async with no_leaks(patience=5):
        async with semaphore.hold(), lock:
            ending = asyncio.create_task(asyncio.sleep(0.05))
        async with Threads(1) as threads:
            await threads.run(int, "1")
    assert ending.done()
    before.cancel()


async def test_what_the_block_raises_comes_first() -> None:
    with pytest.raises(KeyError):  # noqa: PT012 - the block is what raises
        async with no_leaks():
            task = asyncio.create_task(asyncio.sleep(100))
            raise KeyError
    task.cancel()


async def both_ways(locks: KeyedLocks[str]) -> None:
    async def hold(first: str, second: str) -> None:
        async with locks.hold(first):
            await asyncio.sleep(0)
            async with locks.hold(second):
                pass

    async with asyncio.TaskGroup() as group:
        group.create_task(hold("a", "b"), name="one")
        group.create_task(hold("b", "a"), name="two")


async def test_a_deadlock_is_ended_and_named() -> None:
    locks = KeyedLocks[str]()
    with pytest.raises(ExceptionGroup) as raised:
        async with no_leaks(look_every=0.02):
            await both_ways(locks)
    (error,) = raised.value.exceptions
    assert isinstance(error, Deadlocked)
    assert "DEADLOCK: 2 tasks wait for each other" in str(error)
    assert len(locks) == 0


async def test_a_deadlock_cannot_be_swallowed() -> None:
    locks = KeyedLocks[str]()
    with pytest.raises(Deadlocked):
        async with no_leaks(look_every=0.02):
            await asyncio.gather(both_ways(locks), return_exceptions=True)


def test_manual_time_says_it_at_once() -> None:
    clock = ManualClock(patience=0.05)

    async def main() -> None:
        async with no_leaks():
            await both_ways(KeyedLocks())

    found = r"(?s)something that never comes.*one waits for KeyedLocks.*key 'b'"
    with asyncio.Runner(loop_factory=clock.loop_factory) as runner, pytest.raises(RuntimeError, match=found):
        runner.run(main())
