"""What the primitives of `seawall.concurrency` cost: ``python benchmarks/concurrency.py``, CPU time of one process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import anyio
import uvloop

from seawall.concurrency import Channel, WorkerPool, fan_out, gather

ITEMS, ROUNDS = 50_000, 7


async def nothing(_item: object = None) -> None:
    """Work that costs nothing."""


async def bare_group() -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(nothing()) for _ in range(3)]
    dict(zip("abc", [task.result() for task in tasks], strict=True))


async def fanned() -> None:
    await fan_out(dict, a=nothing(), b=nothing(), c=nothing())


async def repeated(call: Callable[[], Awaitable[None]]) -> None:
    for _ in range(5000):
        await call()


async def queue_workers() -> None:
    queue: asyncio.Queue[int] = asyncio.Queue(1000)

    async def work() -> None:
        while True:
            item = await queue.get()
            await nothing(item)
            queue.task_done()

    workers = [asyncio.create_task(work()) for _ in range(8)]
    for number in range(ITEMS):
        await queue.put(number)
    await queue.join()
    for worker in workers:
        worker.cancel()


async def pool_put() -> None:
    async with WorkerPool(nothing, workers=8, queue=1000) as pool:
        for number in range(ITEMS):
            await pool.put(number)


async def pool_put_all() -> None:
    async with WorkerPool(nothing, workers=8, queue=1000) as pool:
        await pool.put_all(range(ITEMS))


async def gathered() -> None:
    await gather(nothing, range(ITEMS), limit=8)


async def through_channel() -> None:
    channel: Channel[int] = Channel(100)

    async def send() -> None:
        for number in range(ITEMS):
            await channel.send(number)
        channel.close()

    async with asyncio.TaskGroup() as group:
        group.create_task(send())
        async for _ in channel:
            pass


async def through_anyio() -> None:
    sender, receiver = anyio.create_memory_object_stream[int](100)

    async def send() -> None:
        async with sender:
            for number in range(ITEMS):
                await sender.send(number)

    async with asyncio.TaskGroup() as group:
        group.create_task(send())
        async with receiver:
            async for _ in receiver:
                pass


async def main() -> None:
    runs: dict[str, tuple[Callable[[], Awaitable[None]], int]] = {
        "TaskGroup of 3": (lambda: repeated(bare_group), 5000),
        "fan_out of 3": (lambda: repeated(fanned), 5000),
        "asyncio.Queue and 8 workers": (queue_workers, ITEMS),
        "WorkerPool of 8, put": (pool_put, ITEMS),
        "WorkerPool of 8, put_all": (pool_put_all, ITEMS),
        "gather, limit 8": (gathered, ITEMS),
        "Channel of 100": (through_channel, ITEMS),
        "anyio memory stream of 100": (through_anyio, ITEMS),
    }
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(ROUNDS):  # in turn, so that what else the machine does befalls all of them
        for name, (run, count) in runs.items():
            began = time.process_time()
            await run()
            best[name] = min(best[name], (time.process_time() - began) / count * 1e6)
    for name, cost in best.items():
        print(f"{name:30} {cost:7.2f} µs  {1e6 / cost:10,.0f}/s of CPU")


if __name__ == "__main__":
    uvloop.run(main())
