"""One of several services in a row: it works in small steps, tells of each that it begins, and asks the next one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import httpx

from seawall import Call, Service

NEXT = os.environ.get("HOP_NEXT", "")
PASSES_ON = os.environ.get("HOP_PASSES_ON", "yes") == "yes"
STEP = 0.02

service = Service("hop")


@service.resource
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=20) as made:
        yield made


# To its end whatever its client does: here the deadline alone must stop it.
@service.get("/work", on_disconnect="finish")
async def work(call: Call, client: httpx.AsyncClient) -> int:
    """Work a little, then let the next one do the rest; the last one works on and on."""
    for step in range(3 if NEXT else 150):
        print("step", step, flush=True)
        await asyncio.sleep(STEP)
    if not NEXT:
        return 200
    answer = await client.get(NEXT, headers=service.deadline_headers() if PASSES_ON else {})
    print("next said", answer.status_code, flush=True)
    return answer.status_code


@service.get("/mark")
async def mark() -> None:
    """Show where in the output the test has come to."""
    print("mark", flush=True)
