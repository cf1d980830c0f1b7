"""Operations that keep a server from stopping."""

from __future__ import annotations

import asyncio
import os
import time

from seawall import Service

service = Service("blocking")


def say(text: str) -> None:
    os.write(1, f"{text}\n".encode())  # in one piece, between the lines of the log


@service.get("/block")
async def block() -> str:
    say("blocked")
    while True:
        time.sleep(0.2)  # noqa: ASYNC251 - the mistake whose consequences are looked at


@service.get("/heedless")
async def heedless() -> str:
    say("begun")
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            say("not heeded")
