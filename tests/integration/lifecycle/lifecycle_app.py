"""The service whose life the tests of this folder look at; variables say how it misbehaves."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator

from seawall import Service, current_call
from seawall.call import current

MISBEHAVE = os.environ.get("APP_MISBEHAVES", "")

service = Service("lifecycle")


class First:
    """A resource."""


class Second:
    """A resource that needs the first."""


def say(text: str) -> None:
    print(text, flush=True)


async def never() -> None:
    """Wait, whatever happens."""
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            say("not heeded")


@service.resource
async def first() -> AsyncIterator[First]:
    yield First()
    say("first closed")


@service.resource(start_timeout=0.3, stop_timeout=0.5)
async def second(first: First) -> AsyncIterator[Second]:
    if "never starts" in MISBEHAVE:
        await asyncio.Event().wait()
    if "cannot start" in MISBEHAVE:
        await never()
    yield Second()
    if "never stops" in MISBEHAVE:
        await asyncio.Event().wait()
    if "cannot stop" in MISBEHAVE:
        await never()
    say("second closed")


@service.check(cache=0)
async def switch(second: Second) -> bool:
    return "unhealthy" not in MISBEHAVE


@service.background(name="flusher")
async def flusher(first: First) -> None:
    await service.tasks.stopping()
    if "flushes long" in MISBEHAVE:
        await asyncio.sleep(1000)
    say("flushed")


@service.lifecycle.on_drain(order=2)
async def end_late() -> None:
    say("late hook")


@service.lifecycle.on_drain
async def end_early() -> None:
    say("early hook")
    if "hook fails" in MISBEHAVE:
        raise RuntimeError("the hook failed")


@service.get("/hello")
async def hello(second: Second) -> str:
    return "hello"


@service.get("/slow", timeout=None)
async def slow(seconds: float) -> str:
    say("in the call")
    try:
        await asyncio.sleep(seconds)
    finally:
        say("call over")
    return "slow"


@service.get("/block")
async def block(seconds: float) -> str:
    say("in the call")
    time.sleep(seconds)  # noqa: ASYNC251 - it shall block
    return "blocked"


@service.post("/later")
async def later(seconds: float) -> str:
    async def work() -> None:
        await asyncio.sleep(seconds)
        call = current_call()
        say(f"done for {call.request_id} in {call.operation}, deadline {call.deadline}")

    service.tasks.start(work(), name="later")
    return current.get().request_id


@service.get("/tasks")
async def tasks() -> dict[str, int]:
    counts = service.tasks.counts
    return {"running": counts.running, "finished": counts.finished}
