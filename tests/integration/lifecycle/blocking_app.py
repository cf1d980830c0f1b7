"""Operations that keep a server from stopping."""

from __future__ import annotations

import asyncio
import time

from seawall import Service

service = Service("blocking")


@service.get("/block")
async def block() -> str:
    print("blocked", flush=True)
    while True:
        time.sleep(0.2)  # noqa: ASYNC251 - the mistake whose consequences are looked at


@service.get("/heedless")
async def heedless() -> str:
    print("begun", flush=True)
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            print("not heeded", flush=True)
