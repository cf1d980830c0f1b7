"""Scenario 23: a deadline of 300 ms through three hops. Each hop calls the next by the client."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from seawall.call import Call, enter, leave
from seawall.client import Client, remaining_time
from seawall.clock import SystemClock
from seawall.problems import Problem
from seawall.testing import FakeReply, FakeServer

pytestmark = pytest.mark.anyio

CLOCK = SystemClock()
WORK, MARGIN = 0.2, 0.15
"""Seconds a hop works before it calls the next; seconds the way between two hops may take on a busy machine."""


class Hop:
    """A service that does 200 ms of work, then calls the next hop; it notes when work began."""

    def __init__(self, server: FakeServer, following: Client | None, begun: list[float]) -> None:
        self.following = following
        self.begun = begun
        server.on("GET", "/", self.serve)

    async def serve(self, request) -> FakeReply:
        arrived = CLOCK.monotonic()
        told = request.headers.get("grpc-timeout")
        call = Call(b"1", "hop", deadline=arrived + int(told[:-1]) / 1000 if told else None)
        if call.deadline is not None and call.deadline <= arrived:
            return FakeReply(status=504)
        self.begun.append(arrived)
        token = enter(call)
        try:
            await asyncio.sleep(WORK)
            if self.following is not None:
                await self.following.request("GET", "/")
        except Problem as problem:
            return FakeReply(status=problem.status)
        finally:
            leave(token)
        return FakeReply(json=1)


async def begun_after_the_deadline(*, propagate: bool) -> tuple[int, int]:
    """Return how many hops began work, and how many of them after the deadline of 300 ms had passed."""
    begun: list[float] = []
    carried = (remaining_time(CLOCK),) if propagate else ()
    async with contextlib.AsyncExitStack() as stack:
        following = None
        for number in range(4, 0, -1):
            server = await stack.enter_async_context(FakeServer())
            Hop(server, following, begun)
            following = await stack.enter_async_context(Client(f"hop {number}", server.url, propagate=carried))
        assert following is not None
        deadline = CLOCK.monotonic() + 0.3
        token = enter(Call(b"1", "first", deadline=deadline))
        try:
            with pytest.raises(Problem):
                await following.request("GET", "/")
        finally:
            leave(token)
        await asyncio.sleep(0.5)
    return len(begun), sum(at > deadline + MARGIN for at in begun)


async def test_no_work_begins_after_the_deadline() -> None:
    began, late = await begun_after_the_deadline(propagate=True)
    assert began >= 1
    assert late == 0


async def test_without_propagation_it_does() -> None:
    _, late = await begun_after_the_deadline(propagate=False)
    assert late >= 1
