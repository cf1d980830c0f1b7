"""Work in threads: context, limits, and what becomes of work that nobody waits for any more."""

from __future__ import annotations

import asyncio
import random
import threading

import pytest

from seawall.call import Call, current_call, enter, leave
from seawall.concurrency import Threads, ThreadsBusy, ThreadsClosed, should_stop
from seawall.problems import DeadlineExceeded, DeclarationError

pytestmark = pytest.mark.anyio


async def test_work_runs_under_the_callers_context_beside_the_loop() -> None:
    token = enter(Call(b"id-1", "op"))
    try:
        async with Threads(2) as threads:
            assert await threads.run(lambda: (current_call().request_id, should_stop())) == ("id-1", False)
            assert await threads.run(threading.current_thread) is not threading.main_thread()
            with pytest.raises(ZeroDivisionError):
                await threads.run(divmod, 1, 0)
            current_call().deadline = 0.0
            with pytest.raises(DeadlineExceeded):
                await threads.run(pytest.fail, "it was begun")
    finally:
        leave(token)
    assert not should_stop()
    with pytest.raises(ThreadsClosed):
        await threads.run(int)
    for wrong in ({"workers": 0}, {"workers": 1, "queue": -1}):
        with pytest.raises(DeclarationError):
            Threads(**wrong)


async def test_so_many_at_once_and_no_more_wait() -> None:
    go = threading.Event()
    async with Threads(2, queue=3) as threads:
        tasks = [asyncio.create_task(threads.run(go.wait, 10)) for _ in range(5)]
        await asyncio.sleep(0)
        assert (threads.running, threads.waiting) == (2, 3)
        with pytest.raises(ThreadsBusy):
            await threads.run(int)
        go.set()
        assert await asyncio.gather(*tasks) == [True] * 5


async def test_abandoned_work_keeps_its_place_until_it_ends() -> None:
    begun, go, told = threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        go.wait(10)
        told.append(should_stop())

    async with Threads(1) as threads:
        task = asyncio.create_task(threads.run(work))
        await asyncio.sleep(0)
        begun.wait(10)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        following = asyncio.create_task(threads.run(int, "7"))
        await asyncio.sleep(0)
        assert (threads.running, threads.waiting) == (1, 1)
        go.set()
        assert await following == 7
    assert told == [True]


async def test_the_end_of_the_block_waits_and_refuses_who_waits() -> None:
    begun = threading.Event()

    def work() -> int:
        begun.set()
        while not should_stop():
            pass
        return 1

    async with Threads(1) as threads:
        first, second = asyncio.create_task(threads.run(work)), asyncio.create_task(threads.run(work))
        await asyncio.sleep(0)
        begun.wait(10)
    assert threads.running == 0
    results = await asyncio.gather(first, second, return_exceptions=True)
    assert results[0] == 1
    assert isinstance(results[1], ThreadsClosed)


async def test_a_thousand_cancellations_lose_no_place() -> None:
    chance = random.Random(7)
    async with Threads(3, queue=1000) as threads:
        for _ in range(25):
            tasks = [asyncio.create_task(threads.run(sum, range(chance.randrange(2000)))) for _ in range(40)]
            for task in tasks:
                for _ in range(chance.randrange(3)):
                    await asyncio.sleep(0)
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert await asyncio.gather(*[threads.run(int, "7") for _ in range(20)]) == [7] * 20
    assert (threads.running, threads.waiting) == (0, 0)
