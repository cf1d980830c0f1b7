"""What the client costs beside aiohttp alone and httpx: CPU time of this process per call, over loopback.

Run ``python benchmarks/client.py``. The target is another process that answers from memory. Every caller does the same:
get one JSON document, decode it. CPU time is measured and not the time that passes, so that a busy machine says the
same.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import aiohttp
import httpx
import msgspec
import uvloop

from seawall.call import Call, enter
from seawall.client import Client, get
from seawall.clock import SystemClock
from seawall.resilience import Breaker, Bulkhead, Resilience, Retry, Timeout

CALLS, SIDE_BY_SIDE, ROUNDS = 3000, 20, 7
BODY = b'{"id":7,"name":"a cup of tea","price":250,"tags":["a","b"]}'
SERVER = f"""
import asyncio, uvloop
ANSWER = b"HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\ncontent-length: {len(BODY)}\\r\\n\\r\\n" + {BODY!r}
class Answers(asyncio.Protocol):
    def connection_made(self, transport): self.transport = transport
    def data_received(self, data): self.transport.write(ANSWER)
async def main():
    server = await asyncio.get_running_loop().create_server(Answers, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
uvloop.run(main())
"""


class Item(msgspec.Struct):
    """What is answered."""

    id: int
    name: str
    price: int
    tags: list[str]


class Items(Protocol):
    """The target."""

    @get("/items/{item_id}")
    async def read(self, item_id: int) -> Item:
        """Return one item."""
        ...


async def cpu(call: Callable[[], Awaitable[object]], calls: int) -> float:
    async def some() -> None:
        for _ in range(calls // SIDE_BY_SIDE):
            await call()

    began = time.process_time()
    await asyncio.gather(*[some() for _ in range(SIDE_BY_SIDE)])
    return (time.process_time() - began) / calls * 1e6


async def measure(url: str) -> dict[str, float]:
    clock = SystemClock()
    call = Call(b"id", "op", {b"traceparent": b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
    policies = (Retry(), Breaker(), Timeout("2s"), Bulkhead(limit=50))
    pipeline = Resilience(hooks=()).pipeline("items", *policies)
    async with (
        aiohttp.ClientSession() as bare,
        httpx.AsyncClient() as other,
        Client("items", url) as plain,
        Client("items", url, pipeline, clock=clock) as client,
    ):
        items, alone = client.bind(Items), plain.bind(Items)

        async def with_aiohttp() -> object:
            async with bare.get(f"{url}/items/7") as answer:
                return await answer.json()

        async def with_aiohttp_and_fields() -> object:
            fields = {
                "Accept": "application/json",
                "X-Request-ID": "id",
                "traceparent": call.metadata[b"traceparent"].decode(),
                "Grpc-Timeout": f"{int((call.deadline or 0) - clock.monotonic())}m",
            }
            async with bare.get(f"{url}/items/7", headers=fields) as answer:
                return await answer.json()

        async def with_aiohttp_bytes() -> object:
            async with bare.get(f"{url}/items/7") as answer:
                return await answer.read()

        async def with_httpx() -> object:
            return (await other.get(f"{url}/items/7")).json()

        async def in_a_call() -> Item:
            call.deadline = clock.monotonic() + 5
            return await items.read(7)

        callers: dict[str, Callable[[], Awaitable[object]]] = {
            "aiohttp, JSON decoded": with_aiohttp,
            "aiohttp, JSON decoded, with four header fields": with_aiohttp_and_fields,
            "aiohttp, bytes only": with_aiohttp_bytes,
            "httpx, JSON decoded": with_httpx,
            "seawall.client, no policies, typed": lambda: alone.read(7),
            "seawall.client, four policies, typed": lambda: items.read(7),
            "the same, with deadline, trace, id, time left": in_a_call,
        }
        best = dict.fromkeys(callers, float("inf"))
        for _ in range(ROUNDS):  # in turn, so that what else the machine does befalls all of them
            for name, function in callers.items():
                count = CALLS // 10 if "httpx" in name else CALLS
                best[name] = min(best[name], await asyncio.create_task(_warm(function, count, call)))
    return best


async def _warm(function: Callable[[], Awaitable[object]], count: int, call: Call) -> float:
    if function.__name__ == "in_a_call":
        enter(call)  # in this task's own context
    await cpu(function, 100)
    return await cpu(function, count)


def main() -> None:
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        results = uvloop.run(measure(f"http://127.0.0.1:{int(server.stdout.readline())}"))
    finally:
        server.terminate()
        server.wait()
    bare = results["aiohttp, JSON decoded"]
    for name, cost in results.items():
        print(f"{name:48} {cost:7.1f} µs  {1e6 / cost:8,.0f}/s of CPU  {bare / cost:5.2f} of bare aiohttp")
    print(json.dumps({"python": sys.version.split()[0], "results_us": results}))


if __name__ == "__main__":
    main()
