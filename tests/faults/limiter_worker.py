"""One of several processes that take from the same allowances; told what to do by its arguments.

Usage: ``python limiter_worker.py STORE WHERE RATE WINDOWS CALLS``; prints JSON, what it was granted in each window.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from seawall.clock import SystemClock
from seawall.host import Arena
from seawall.limit import Rate
from seawall.limit.lease import LeasedStore
from seawall.limit.memory import MemoryStore
from seawall.limit.redis import RedisStore, connect
from seawall.limit.rule import refused, rule_of
from seawall.limit.shared import SharedStore

AT_ONCE = 64


class GetThenSet:
    """What a limiter must not be: it reads, decides and writes in three steps."""

    def __init__(self, url: str, prefix: str) -> None:
        self._client = connect(url, 30.0)()
        self._prefix = prefix

    async def take(self, rules: Any, key: str, cost: int) -> tuple[float, ...]:
        name = f"{self._prefix}{{{key}}}"
        used = int(await self._client.get(name) or 0)
        if used + cost > rules[0].burst:
            return (-1.0,)
        await self._client.set(name, used + cost, ex=600)
        return (0.0,)

    async def close(self) -> None:
        await self._client.aclose()


def make(store: str, where: str) -> Any:
    clock = SystemClock()
    if store == "memory":
        return MemoryStore(clock, 1000)
    if store == "shared":
        return SharedStore(Arena(int(where)), clock, 1000)
    url, prefix = where.split(" ")
    if store == "get-then-set":
        return GetThenSet(url, prefix)
    redis = RedisStore(connect(url, 30.0), 30.0, prefix)
    return LeasedStore(redis, clock, 20, 60.0, 1000) if store == "leased" else redis


async def main(store: Any, rate: str, windows: int, calls: int) -> list[int]:
    rules = [rule_of(Rate(rate), "exact", 0)]
    granted = []
    for window in range(windows):
        left, count = calls, 0

        async def some(key: str) -> None:
            nonlocal left, count
            while left > 0:
                left -= 1
                lefts = store.take(rules, key, 1)
                if not isinstance(lefts, tuple):
                    lefts = await lefts
                count += not refused(lefts)

        await asyncio.gather(*(some(f"window-{window}") for _ in range(AT_ONCE)))
        granted.append(count)
    if hasattr(store, "close"):
        await store.close()
    return granted


if __name__ == "__main__":
    _, kind, where, rate, windows, calls = sys.argv
    made = make(kind, where)
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(asyncio.run(main(made, rate, int(windows), int(calls)))), flush=True)
