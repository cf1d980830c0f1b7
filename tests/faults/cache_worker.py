"""One of several processes that want one value; told what to do by its arguments.

Usage: ``python cache_worker.py URL PREFIX LEASE LOAD MODE WANTED``. The origin is a counter of the same Redis. MODE:
``cache``, ``bare`` (no protection), ``error`` (the origin fails), ``hang`` (says so, and never ends its load). It waits
for a line on its input, asks, and prints JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys

from seawall.cache import Cache
from seawall.cache.cache import CacheOptions
from seawall.cache.redis import RedisStore
from seawall.clock import SystemClock, SystemRandom
from seawall.data.redis import connect
from seawall.settings import RedisSettings


async def main(url: str, prefix: str, lease: str, load: str, mode: str, wanted: str) -> None:
    settings = RedisSettings(url=url, timeout=30, pool_wait=30)
    origin = connect(settings)
    clock = SystemClock()
    store = RedisStore(lambda: connect(settings), "test", prefix)
    cache = Cache(clock, SystemRandom(), CacheOptions(lease=float(lease), timeout=30.0), store)

    async def value() -> int:
        number = int(await origin.incr(f"{prefix}origin"))
        if mode == "hang":
            print("loading", flush=True)
            await asyncio.sleep(600)
        await asyncio.sleep(float(load))
        if mode == "error":
            raise ValueError("500")
        return number

    async def ask() -> object:
        try:
            return await (value() if mode == "bare" else cache.get_or_load("a", value, "5m"))
        except ValueError:
            return "error"

    await origin.ping()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    began = clock.monotonic()
    got = await asyncio.gather(*(ask() for _ in range(int(wanted))))
    print(json.dumps({"got": sorted({str(each) for each in got}), "took": clock.monotonic() - began}), flush=True)
    await cache.close()
    await origin.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
