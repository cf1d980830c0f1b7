"""Work done side by side, beside its peers: what fan_out, pools, pipelines, channels and locks cost for each item.

``python benchmarks/concurrency.py`` measures in the interpreter of benchmarks/.venv, which it makes when it is not
there; ``--here`` measures in the one that runs it, which needs aiostream, aiometer, anyio and uvloop. CPU time of one
process, in turns, the least of the rounds: other work on the machine changes little. Items are trivial (an async
function that returns at once), so that what is measured is the machinery. Results are printed and written to
results/concurrency.json.
"""

# ruff: noqa: PLC0415 - peers are imported where they take part
import argparse
import asyncio
import gc
import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parent
PEERS = ("seawall", "aiostream", "aiometer", "anyio", "uvloop")
WORKERS, QUEUE = 8, 1000
POOL_RATE, POOL_LEAD, FAN_OUT = 200_000, 1.5, 1.5


async def nothing(item=None):
    """Work that costs nothing."""
    return item


async def once(item=None):
    """Work that gives way once."""
    await asyncio.sleep(0)
    return item


# -- several calls for one value


async def bare_group(count):
    for _ in range(count):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(nothing()) for _ in range(3)]
        dict(zip("abc", [task.result() for task in tasks], strict=True))


async def fanned(count):
    from seawall.concurrency import fan_out

    for _ in range(count):
        await fan_out(dict, a=nothing(), b=nothing(), c=nothing())


# -- many items, nothing wanted back


def queue_workers(work):
    async def run(count):
        queue = asyncio.Queue(QUEUE)

        async def worker():
            while True:
                await work(await queue.get())
                queue.task_done()

        workers = [asyncio.create_task(worker()) for _ in range(WORKERS)]
        for number in range(count):
            await queue.put(number)
        await queue.join()
        for each in workers:
            each.cancel()

    return run


def pool(work):
    async def run(count):
        from seawall.concurrency import WorkerPool

        async with WorkerPool(work, workers=WORKERS, queue=QUEUE) as workers:
            for number in range(count):
                await workers.put(number)

    return run


def aiometer_each(work):
    async def run(count):
        import aiometer

        await aiometer.run_on_each(work, range(count), max_at_once=WORKERS)

    return run


def aiostream_map(work, *, ordered):
    async def run(count):
        from aiostream import stream

        taken = stream.map(stream.range(count), work, ordered=ordered, task_limit=WORKERS)
        async with taken.stream() as results:
            async for _ in results:
                pass

    return run


# -- many items, results in order


def pool_results(work):
    async def run(count):
        from seawall.concurrency import WorkerPool

        async with WorkerPool(work, workers=WORKERS, queue=QUEUE) as workers:
            async for _ in workers.results(range(count)):
                pass

    return run


def gathered(work):
    async def run(count):
        from seawall.concurrency import gather

        await gather(work, range(count), limit=WORKERS)

    return run


def aiometer_amap(work):
    async def run(count):
        import aiometer

        async with aiometer.amap(work, range(count), max_at_once=WORKERS) as results:  # not in order: it has no such
            async for _ in results:
                pass

    return run


# -- two stages


async def pipeline(count):
    from seawall.concurrency import Pipeline

    async with Pipeline(nothing, width=WORKERS).then(nothing, width=WORKERS).run(range(count)) as results:
        async for _ in results:
            pass


async def aiostream_stages(count):
    from aiostream import stream

    first = stream.map(stream.range(count), nothing, task_limit=WORKERS)
    async with stream.map(first, nothing, task_limit=WORKERS).stream() as results:
        async for _ in results:
            pass


# -- from task to task


async def channel(count):
    from seawall.concurrency import Channel

    line = Channel(100)

    async def send():
        for number in range(count):
            await line.send(number)
        line.close()

    async with asyncio.TaskGroup() as group:
        group.create_task(send())
        async for _ in line:
            pass


async def memory_stream(count):
    import anyio

    sender, receiver = anyio.create_memory_object_stream(100)

    async def send():
        async with sender:
            for number in range(count):
                await sender.send(number)

    async with asyncio.TaskGroup() as group:
        group.create_task(send())
        async with receiver:
            async for _ in receiver:
                pass


async def plain_queue(count):
    queue = asyncio.Queue(100)

    async def send():
        for number in range(count):
            await queue.put(number)

    async with asyncio.TaskGroup() as group:
        group.create_task(send())
        for _ in range(count):
            await queue.get()


# -- permits, nobody waiting and eight waiting


def permits(make, tasks):
    async def run(count):
        semaphore = make()

        async def use():
            for _ in range(count // tasks):
                async with semaphore.hold() if hasattr(semaphore, "hold") else semaphore:
                    if tasks > 1:
                        await asyncio.sleep(0)

        await asyncio.gather(*[use() for _ in range(tasks)])

    return run


def our_semaphore():
    from seawall.concurrency import Semaphore

    return Semaphore(1)


def anyio_semaphore():
    import anyio

    return anyio.Semaphore(1)


def plain_semaphore():
    return asyncio.Semaphore(1)


RUNS = {
    "three calls for one value": {"TaskGroup": bare_group, "seawall fan_out": fanned},
    "trivial items": {
        "asyncio.Queue and workers": queue_workers(nothing),
        "aiometer": aiometer_each(nothing),
        "aiostream": aiostream_map(nothing, ordered=False),
        "seawall WorkerPool": pool(nothing),
    },
    "items that give way once": {
        "asyncio.Queue and workers": queue_workers(once),
        "aiometer": aiometer_each(once),
        "aiostream": aiostream_map(once, ordered=False),
        "seawall WorkerPool": pool(once),
    },
    "trivial items, results in order": {
        "aiometer (no order)": aiometer_amap(nothing),
        "aiostream": aiostream_map(nothing, ordered=True),
        "seawall gather": gathered(nothing),
        "seawall WorkerPool.results": pool_results(nothing),
    },
    "items that give way once, results in order": {
        "aiometer (no order)": aiometer_amap(once),
        "aiostream": aiostream_map(once, ordered=True),
        "seawall gather": gathered(once),
        "seawall WorkerPool.results": pool_results(once),
    },
    "two stages": {"aiostream": aiostream_stages, "seawall Pipeline": pipeline},
    "from task to task": {
        "asyncio.Queue": plain_queue,
        "anyio memory stream": memory_stream,
        "seawall Channel": channel,
    },
    "a permit that is free": {
        "asyncio.Semaphore": permits(plain_semaphore, 1),
        "anyio.Semaphore": permits(anyio_semaphore, 1),
        "seawall Semaphore": permits(our_semaphore, 1),
    },
    "a permit that eight want": {
        "asyncio.Semaphore": permits(plain_semaphore, 8),
        "anyio.Semaphore": permits(anyio_semaphore, 8),
        "seawall Semaphore": permits(our_semaphore, 8),
    },
}


async def measure(rounds, items):
    """Return the microseconds of CPU time per item of each run, the least of the rounds."""
    best = {(group, name): float("inf") for group, runs in RUNS.items() for name in runs}
    for _ in range(rounds):
        for (group, name), least in best.items():
            gc.collect()
            began = time.process_time()
            await RUNS[group][name](items)
            best[group, name] = min(least, (time.process_time() - began) / items * 1e6)
    return best


def bars(best):
    """Return each bar with what was measured, and whether it is met."""
    ratio = best["three calls for one value", "seawall fan_out"] / best["three calls for one value", "TaskGroup"]
    rate = 1e6 / best["trivial items", "seawall WorkerPool"]
    peers = [cost for (group, name), cost in best.items() if group == "trivial items" and "seawall" not in name]
    lead = min(peers) / best["trivial items", "seawall WorkerPool"]
    return {
        f"fan_out of 3 at most {FAN_OUT} times a bare TaskGroup": (round(ratio, 3), ratio <= FAN_OUT),
        f"worker pool at least {POOL_RATE:,} items/s": (round(rate), rate >= POOL_RATE),
        f"worker pool at least {POOL_LEAD} times the best peer": (round(lead, 2), lead >= POOL_LEAD),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--here", action="store_true", help="measure in this interpreter")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--items", type=int, default=5_000)
    chosen = parser.parse_args()
    if not chosen.here:
        sys.path.insert(0, str(BENCHMARKS.parent))
        from benchmarks.harness.paths import PYTHON
        from benchmarks.harness.setup import prepare_python

        prepare_python(None)
        sys.exit(subprocess.run([str(PYTHON), __file__, "--here", *sys.argv[1:]], check=False).returncode)
    import uvloop

    versions = {name: version(name) for name in PEERS}
    best = uvloop.run(measure(chosen.rounds, chosen.items))
    print(f"Python {platform.python_version()}; {', '.join(f'{name} {number}' for name, number in versions.items())}")
    print(f"CPU time per item, least of {chosen.rounds} rounds of {chosen.items:,}; {WORKERS} workers, on uvloop")
    for group, runs in RUNS.items():
        print(f"\n{group}")
        for name in runs:
            cost = best[group, name]
            print(f"    {name:28} {cost:8.2f} µs  {1e6 / cost:12,.0f}/s")
    print()
    for bar, (value, met) in bars(best).items():
        print(f"{'met' if met else 'MISSED'}: {bar}: {value:,}")
    results = {
        "python": sys.version,
        "machine": {
            "platform": platform.platform(),
            "processors": os.cpu_count(),
            "load": os.getloadavg(),
        },
        "versions": versions,
        "rounds": chosen.rounds,
        "items": chosen.items,
        "us_per_item": {group: {name: round(best[group, name], 3) for name in runs} for group, runs in RUNS.items()},
        "bars": {bar: {"value": value, "met": met} for bar, (value, met) in bars(best).items()},
    }
    (BENCHMARKS / "results" / "concurrency.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
