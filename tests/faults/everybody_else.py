"""Requests at a fixed rate on kept connections, from a process of their own: prints how long each took, in seconds.

Called with host, port, seconds and requests a second. A process of its own, so that what the slow clients of a test
cost that test is not taken for what they cost the server.
"""

from __future__ import annotations

import asyncio
import json
import sys

REQUEST = b"GET /quick HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def others(host: str, port: int, seconds: float, rate: float) -> list[float]:
    loop = asyncio.get_running_loop()
    took: list[float] = []
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def one(due: float) -> None:
        reader, writer = idle.pop() if idle else await asyncio.open_connection(host, port)
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        await reader.readexactly(7)
        took.append(loop.time() - due)
        idle.append((reader, writer))

    began, sent = loop.time(), 0
    async with asyncio.TaskGroup() as group:
        while loop.time() < began + seconds:
            sent += 1
            group.create_task(one(loop.time()))
            await asyncio.sleep(max(0.0, began + sent / rate - loop.time()))
    for _, writer in idle:
        writer.close()
    return took


if __name__ == "__main__":
    host, port, seconds, rate = sys.argv[1:]
    print(json.dumps(asyncio.run(others(host, int(port), float(seconds), float(rate)))))
