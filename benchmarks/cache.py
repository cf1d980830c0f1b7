"""Caches beside their peers: what a hit costs, and who loads once when many want the same (scenario 10).

``python benchmarks/cache.py`` measures in the interpreter of benchmarks/.venv, which it makes when it is not there;
``--here`` measures in the one that runs it. It needs a Redis (``--redis``), in which it touches keys of its own only.
CPU time, in turns, the least of the rounds: other work on the machine changes little. A hit in Redis finds, decodes and
keeps a copy, which is dropped before the next, on the clock too; a bare ``GET`` fetches the bytes of the same entry and
does nothing with them. Both go through one client and one pool. They are also compared turn by turn, by CPU time and by
wall time: the median of the ratios. Results are printed and written to results/cache.json.
"""

# ruff: noqa: PLC0415 - each peer is imported where it takes part
import argparse
import asyncio
import gc
import json
import logging
import os
import platform
import statistics
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parent
PACKAGES = ("seawall", "cashews", "aiocache", "fastapi-cache2", "litestar", "redis", "uvloop")
VALUE = {"sku": "lamp", "name": "A lamp for the desk", "price": 40, "tags": "light,desk,home", "text": "x" * 200}
TTL = 3600
LOCAL_BAR, SHARED_BAR = 1.0, 1.15
PROCESSES, CALLERS = 3, 100
AT_ONCE = 16


class Failed(Exception):
    """What the origin raises."""


class Seawall:
    """Ours, with both tiers; a hit of the shared tier is one whose copy in the process was dropped before."""

    def __init__(self, url, space):
        from seawall.cache import Cache
        from seawall.cache.cache import CacheOptions
        from seawall.cache.codec import Codec
        from seawall.cache.redis import RedisStore
        from seawall.clock import SystemClock, SystemRandom
        from seawall.data.redis import connect
        from seawall.settings import RedisSettings

        self.client = connect(RedisSettings(url=url, timeout=30, pool_wait=30))
        prefix = f"{space}:seawall:"
        store = RedisStore(lambda: self.client, "bench", prefix)
        self.cache = Cache(SystemClock(), SystemRandom(), CacheOptions(timeout=30), store)
        self.name_of = Codec(dict[str, int | str]).fingerprint
        self.entries = f"{prefix}{{bench}}:e:{self.name_of}"

    def guard(self, load):
        get = self.cache.get_or_load
        return lambda key: get(key, load, TTL)

    def local(self, load):
        return self.guard(load)

    def shared(self, load):
        get, drop = self.guard(load), self.cache.copies.entries.drop

        async def call(key):
            drop(self.name_of + key)
            return await get(key)

        return call

    async def close(self):
        await self.cache.close()


class Cashews:
    """As its documentation has it; ``lock`` is what it offers against stampedes."""

    lock = False

    def __init__(self, url, space):
        from cashews import Cache

        self.space = f"{space}:{type(self).__name__}"
        self.memory, self.redis = Cache(), Cache()
        self.memory.setup("mem://", size=10_000)
        self.redis.setup(url, client_side=False)

    def local(self, load):
        return self._cached(self.memory, load)

    def shared(self, load):
        return self._cached(self.redis, load)

    guard = shared

    def _cached(self, cache, load):
        @cache(ttl=TTL, key=self.space + ":{key}", lock=self.lock)
        async def call(key):
            return await load()

        return call

    async def close(self):
        await self.redis.close()


class CashewsLock(Cashews):
    lock = True


class Aiocache:
    def __init__(self, url, space):
        from urllib.parse import urlsplit

        self.space = f"{space}:{type(self).__name__}"
        parts = urlsplit(url)
        self.where = {"endpoint": parts.hostname, "port": parts.port or 6379, "db": int(parts.path.strip("/") or 0)}
        self.made = []

    def local(self, load):
        return self._cached(load, "memory")

    def shared(self, load):
        return self._cached(load, "redis")

    guard = shared

    def decorator(self, **options):
        from aiocache import cached

        return cached(**options)

    def _cached(self, load, kind):
        from aiocache import Cache
        from aiocache.serializers import JsonSerializer, NullSerializer

        options = (
            {"cache": Cache.REDIS, "serializer": JsonSerializer(), **self.where}
            if kind == "redis"
            else {"cache": Cache.MEMORY, "serializer": NullSerializer()}
        )
        decorator = self.decorator(ttl=TTL, key_builder=lambda _, key: f"{self.space}:{key}", **options)

        @decorator
        async def call(key):
            return await load()

        self.made.append(decorator)
        return call

    async def close(self):
        for decorator in self.made:
            if decorator.cache is not None:
                await decorator.cache.close()


class AiocacheStampede(Aiocache):
    def decorator(self, **options):
        from aiocache.decorators import cached_stampede

        return cached_stampede(lease=10, **options)


class FastapiCache:
    def __init__(self, url, space):
        from fastapi_cache.backends.inmemory import InMemoryBackend
        from fastapi_cache.backends.redis import RedisBackend
        from redis.asyncio import Redis

        self.client = Redis.from_url(url)
        self.space = f"{space}:fastapi"
        self.backends = {"memory": InMemoryBackend(), "redis": RedisBackend(self.client)}

    def local(self, load):
        return self._cached("memory", load)

    def shared(self, load):
        return self._cached("redis", load)

    guard = shared

    def _cached(self, kind, load):
        from fastapi_cache import FastAPICache
        from fastapi_cache.decorator import cache

        @cache(expire=TTL, namespace=kind)
        async def cached(key: str):
            return await load()

        async def call(key):
            # The library has one backend for a process: it is switched where both are measured.
            FastAPICache._backend = self.backends[kind]  # noqa: SLF001 - there is no other way to switch
            return await cached(key=key)

        FastAPICache.init(self.backends[kind], prefix=self.space)
        return call

    async def close(self):
        await self.client.aclose()


class Litestar:
    """Its stores are read and decoded for hits; its response cache is asked where it is about loads."""

    def __init__(self, url, space):
        from litestar.stores.memory import MemoryStore
        from litestar.stores.redis import RedisStore
        from redis.asyncio import Redis

        self.client = Redis.from_url(url)
        self.stores = {"memory": MemoryStore(), "redis": RedisStore(self.client, namespace=f"{space}:litestar")}

    def local(self, load):
        return self._read("memory", load)

    def shared(self, load):
        return self._read("redis", load)

    def _read(self, kind, load):
        import msgspec

        store = self.stores[kind]

        async def call(key):
            found = await store.get(key)
            if found is None:
                value = await load()
                await store.set(key, msgspec.json.encode(value), TTL)
                return value
            return msgspec.json.decode(found)

        return call

    def guard(self, load):
        from httpx import ASGITransport, AsyncClient
        from litestar import Litestar as App
        from litestar import get
        from litestar.config.response_cache import ResponseCacheConfig

        @get("/{key:str}", cache=TTL)
        async def read(key: str) -> dict:
            return await load()

        app = App(
            [read],
            stores={"response_cache": self.stores["redis"]},
            response_cache_config=ResponseCacheConfig(store="response_cache"),
        )
        http = AsyncClient(transport=ASGITransport(app, raise_app_exceptions=False), base_url="http://x")

        async def call(key):
            answer = await http.get(f"/{key}")
            if answer.status_code >= 500:
                raise Failed
            return answer.json()

        return call

    async def close(self):
        await self.client.aclose()


CONTENDERS = {
    "seawall": Seawall,
    "cashews": Cashews,
    "cashews lock": CashewsLock,
    "aiocache": Aiocache,
    "aiocache stampede": AiocacheStampede,
    "fastapi-cache2": FastapiCache,
    "litestar": Litestar,
}
GET = "GET by seawall's client"
MEASURED = ("seawall", "cashews", "aiocache", "fastapi-cache2", "litestar")


async def value() -> dict[str, int | str]:
    return VALUE


async def measure(url, space, rounds):
    """Microseconds of a hit, (CPU, wall) of each turn: in the process, in Redis alone, among others; of a bare GET."""
    from redis.asyncio import Redis

    from seawall.data.redis.reading import read

    plain = Redis.from_url(url)
    made = {name: CONTENDERS[name](url, space) for name in MEASURED}
    ours, entries = made["seawall"].client, made["seawall"].entries

    def get(client):
        return lambda key: client.get(entries + key)

    fill = made["seawall"].shared(value)
    for key in ("hit", *(f"hit{each}" for each in range(AT_ONCE))):
        await fill(key)
        if await plain.get(entries + key) is None:
            raise RuntimeError(f"no entry at {entries + key}: a bare GET would find nothing")
    calls = {
        ("GET by a plain client", "shared"): get(plain),
        (GET, "shared"): get(ours),
        ("GET as the cache sends it", "shared"): lambda key: read(ours, (entries + key,)),
    }
    for name, contender in made.items():
        calls[name, "local"], calls[name, "shared"] = contender.local(value), contender.shared(value)

    async def alone(call, number):
        for _ in range(number):
            await call("hit")

    async def among(call, number):
        await asyncio.gather(*(_each(call, f"hit{each}", number // AT_ONCE) for each in range(AT_ONCE)))

    turns = {}
    gc.disable()
    for turn in range(rounds):
        for (name, kind), call in (*calls.items(),)[:: 1 if turn % 2 else -1]:
            for run, number in ((alone, 3000),) if kind == "local" else ((alone, 200), (among, 320)):
                await run(call, AT_ONCE)
                cpu, wall = time.process_time(), time.perf_counter()
                await run(call, number)
                took = (time.process_time() - cpu) / number * 1e6, (time.perf_counter() - wall) / number * 1e6
                turns.setdefault((name, "among" if run is among else kind), []).append(took)
        gc.collect()
    gc.enable()
    for contender in made.values():
        await contender.close()
    await plain.aclose()
    return turns


def least(turns):
    """The least CPU time of each."""
    return {key: min(cpu for cpu, _ in taken) for key, taken in turns.items()}


def beside_get(turns):
    """A hit in Redis beside a bare GET of the same turn: the median of the ratios, by CPU time and by wall time."""
    table = {}
    for kind in ("shared", "among"):
        pairs = [*zip(turns["seawall", kind], turns[GET, kind], strict=True)]
        for at, clock in enumerate(("cpu", "wall")):
            ratio = statistics.median(hit[at] / get[at] for hit, get in pairs)
            table[f"{kind}, {clock}"] = round(ratio, 3)
    return table


async def _each(call, key, number):
    for _ in range(number):
        await call(key)


async def work(name, url, space, mode):
    """Be one of several processes that want one value at the same moment."""
    from redis.asyncio import Redis

    contender, redis = CONTENDERS[name](url, space), Redis.from_url(url)

    async def load() -> dict[str, int | str]:
        await redis.incr(f"{space}:loads")
        await asyncio.sleep(0.5)
        if mode == "fails":
            raise Failed
        return VALUE

    call = contender.guard(load)
    await redis.ping()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    tasks = [asyncio.ensure_future(call("one")) for _ in range(CALLERS)]
    if mode == "cancelled":
        await asyncio.sleep(0.25)
        tasks[0].cancel()
    got = await asyncio.gather(*tasks, return_exceptions=True)
    again = await asyncio.gather(call("one"), return_exceptions=True) if mode == "fails" else []
    good = sum(isinstance(each, dict) for each in got)
    print(json.dumps({"good": good, "again": len(again)}), flush=True)
    await contender.close()
    await redis.aclose()


async def loads(name, url, mode, processes):
    """How often the origin is asked, and how many callers get a value."""
    from redis.asyncio import Redis

    space = f"seawall:bench:{uuid.uuid4().hex}"
    redis = Redis.from_url(url)
    command = [sys.executable, __file__, "--worker", name, mode, space, "--redis", url]
    pipe = asyncio.subprocess.PIPE
    running = [
        await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL)
        for _ in range(processes)
    ]
    try:
        for each in running:
            await asyncio.wait_for(each.stdout.readline(), 60)
        for each in running:
            each.stdin.write(b"go\n")
        told = await asyncio.gather(*(asyncio.wait_for(each.communicate(), 60) for each in running))
        good = sum(json.loads(out.splitlines()[-1])["good"] for out, _ in told)
        return int(await redis.get(f"{space}:loads") or 0), good
    finally:
        for each in running:
            if each.returncode is None:
                each.kill()
        await clean(redis, space)
        await redis.aclose()


async def clean(redis, space):
    async for key in redis.scan_iter(match=f"*{space}*", count=1000):
        await redis.delete(key)


CASES = {
    f"{CALLERS} want what nobody has, in one process (1 load)": ("", 1, lambda n, good: (n, good) == (1, CALLERS)),
    f"{CALLERS} in each of {PROCESSES} processes (1 load)": (
        "",
        PROCESSES,
        lambda n, good: (n, good) == (1, PROCESSES * CALLERS),
    ),
    "who loads is cancelled (at most 2 loads, all others get it)": (
        "cancelled",
        1,
        lambda n, good: n <= 2 and good >= CALLERS - 1,
    ),
    "the origin fails, and is asked once more (2 loads: the error is not kept)": ("fails", 1, lambda n, _: n == 2),
}


async def judge(url):
    """What each contender does in each case, and whether that is right."""
    table = {}
    for case, (mode, processes, right) in CASES.items():
        for name in CONTENDERS:
            try:
                number, good = await loads(name, url, mode, processes)
                result = {"loads": number, "got a value": good, "right": right(number, good)}
            except Exception as error:
                result = {"loads": f"raised {type(error).__name__}", "got a value": None, "right": False}
            table.setdefault(case, {})[name] = result
    return table


def show(turns, table):
    costs = least(turns)
    print(f"\nCPU µs of a hit ({len(json.dumps(VALUE))} bytes of JSON)\n")
    print(f"{'':26}{'in the process':>16}{'in Redis':>12}{f'{AT_ONCE} at once':>12}")
    for name in ("GET by a plain client", GET, "GET as the cache sends it", *MEASURED):
        row = [costs.get((name, kind)) for kind in ("local", "shared", "among")]
        cells = ["" if cost is None else f"{cost:.2f}" for cost in row]
        print(f"{name:26}{cells[0]:>16}{cells[1]:>12}{cells[2]:>12}")
    print()
    for case, results in table.items():
        told = ", ".join(f"{name}: {each['loads']}{'' if each['right'] else ' ✗'}" for name, each in results.items())
        print(f"{case}\n    {told}")
    print()
    local = costs["seawall", "local"]
    print(f"bar local hit ≤ {LOCAL_BAR} µs: {local:.2f} {'kept' if local <= LOCAL_BAR else 'MISSED'}")
    for kind, text in (("shared", "alone"), ("among", f"{AT_ONCE} at once")):
        ratio = costs["seawall", kind] / costs[GET, kind]
        print(f"bar Redis hit ≤ {SHARED_BAR} GET, {text}: {ratio:.2f} {'kept' if ratio <= SHARED_BAR else 'MISSED'}")
    print("the same turn by turn:", ", ".join(f"{key} {ratio:.2f}" for key, ratio in beside_get(turns).items()))


def versions():
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def run(work):
    try:
        from uvloop import run as start
    except ImportError:
        from asyncio import run as start
    return start(work)


async def everything(url, rounds):
    from redis.asyncio import Redis

    space = f"seawall:bench:{uuid.uuid4().hex}"
    redis = Redis.from_url(url)
    try:
        server = (await redis.info("server"))["redis_version"]
        return server, await measure(url, space, rounds), await judge(url)
    finally:
        await clean(redis, space)
        await redis.aclose()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--here", action="store_true", help="measure in this interpreter")
    parser.add_argument("--redis", default="redis://127.0.0.1:6379/0")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if chosen.worker:
        name, mode, space = chosen.worker
        run(work(name, chosen.redis, space, mode))
        return
    if not chosen.here:
        sys.path.insert(0, str(BENCHMARKS.parent))
        from benchmarks.harness.paths import PYTHON
        from benchmarks.harness.setup import prepare_python

        prepare_python(None)
        sys.exit(subprocess.run([str(PYTHON), __file__, "--here", *sys.argv[1:]], check=False).returncode)
    machine = {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "kernel": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "load_average_1m": round(os.getloadavg()[0], 2),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    server, turns, table = run(everything(chosen.redis, chosen.rounds))
    print(f"Python {sys.version.split(' (')[0]}, Redis {server}; {', '.join(map(' '.join, versions().items()))}")
    show(turns, table)
    results = BENCHMARKS / "results" / "cache.json"
    results.write_text(
        json.dumps(
            {
                "machine": machine,
                "python": sys.version,
                "redis": server,
                "versions": versions(),
                "hit_us": {f"{name}, {kind}": round(cost, 3) for (name, kind), cost in least(turns).items()},
                "hit_beside_get": beside_get(turns),
                "scenario_10": table,
            },
            indent=2,
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
