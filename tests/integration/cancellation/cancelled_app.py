"""The service whose calls `test_disconnect.py` leaves behind: it tells what becomes of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import Request

from seawall import Call, Guard, Place, Service

service = Service("cancelled")


def say(*words: object) -> None:
    print(*words, flush=True)


class Witness(Guard):
    """Says how calls end."""

    name = "witness"
    place = Place.ARRIVE

    async def check(self, call: Call) -> None: ...

    async def release(self, call: Call, error: BaseException | None) -> None:
        say("over", call.request_id, call.ended or "-", type(error).__name__)


class Session:
    """Stands for a transaction."""


@service.resource(scope="call")
async def session() -> AsyncIterator[Session]:
    try:
        yield Session()
    except BaseException:
        await asyncio.sleep(0.05)
        say("rolled back")
        raise
    say("committed")


async def _work(call: Call, seconds: float) -> str:
    say("began", call.request_id)
    await asyncio.sleep(seconds)
    say("finished", call.request_id)
    return "done"


group = service.group(guards=[Witness()])


@group.get("/slow")
async def slow(call: Call, session: Session, seconds: float = 10) -> str:
    """Take long."""
    return await _work(call, seconds)


@group.post("/slow")
async def slow_post(call: Call, body: dict[str, int], session: Session, seconds: float = 10) -> str:
    """Take long, with a body."""
    return await _work(call, seconds)


@group.get("/finish", on_disconnect="finish")
async def finish(call: Call, session: Session, seconds: float = 0.5) -> str:
    """Go on whatever the client does."""
    return await _work(call, seconds)


@group.get("/late", timeout="100ms")
async def late(call: Call, session: Session) -> str:
    """Take too long."""
    return await _work(call, 10)


@group.get("/request")
async def request(call: Call, request: Request, session: Session) -> str:
    """Take the request itself."""
    return await _work(call, 0.5)


@group.get("/large")
async def large(call: Call, session: Session) -> str:
    """Answer with more than a connection holds."""
    return "x" * 20_000_000
