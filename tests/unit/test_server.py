from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from seawall.server import Lifespan

pytestmark = pytest.mark.anyio


def lifespan(app):
    return Lifespan(SimpleNamespace(loaded_app=app))


async def orderly(scope, receive, send):
    scope["state"]["started"] = True
    assert (await receive())["type"] == "lifespan.startup"
    await send({"type": "lifespan.startup.complete"})
    assert (await receive())["type"] == "lifespan.shutdown"
    scope["state"]["stopped"] = True
    await send({"type": "lifespan.shutdown.complete"})


async def test_starts_and_stops_the_application():
    each = lifespan(orderly)
    await each.startup()
    assert each.state == {"started": True}
    assert not each.should_exit
    await each.shutdown()
    assert each.state["stopped"]
    assert (each.failure, each.message) == (None, "")


async def test_what_start_up_raises_is_kept():
    async def app(scope, receive, send):
        await receive()
        raise OSError("no database")

    each = lifespan(app)
    await each.startup()
    assert each.should_exit
    assert str(each.failure) == "no database"


async def test_what_start_up_reports_is_kept_with_what_it_raises_then():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})
        await asyncio.sleep(0)
        raise OSError("refused")

    each = lifespan(app)
    await each.startup()
    assert each.should_exit
    assert (each.message, str(each.failure)) == ("no database", "refused")


async def test_a_report_without_a_reason_still_stops_the_start():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed"})

    each = lifespan(app)
    await each.startup()
    assert each.should_exit
    assert each.message == "no reason was given"


async def test_an_application_without_lifespan_does_not_start():
    async def app(scope, receive, send):
        return

    each = lifespan(app)
    await each.startup()
    assert each.should_exit


async def test_a_start_that_goes_on_can_be_given_up():
    closed = []

    async def app(scope, receive, send):
        try:
            await asyncio.Event().wait()
        finally:
            closed.append(True)

    each = lifespan(app)
    start = asyncio.ensure_future(each.startup())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    each.abandon()
    await start
    assert each.should_exit
    assert closed == [True]
    assert each.failure is None


async def test_what_stopping_raises_is_kept():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        raise OSError("lost")

    each = lifespan(app)
    await each.startup()
    await each.shutdown()
    assert str(each.failure) == "lost"


async def test_stopping_what_has_ended_already_does_nothing():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})

    each = lifespan(app)
    await each.startup()
    await asyncio.sleep(0)
    await each.shutdown()
    assert each.failure is None


async def test_calls_that_have_not_ended_are_cancelled_and_awaited_before_the_application_stops():
    order = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        order.append("application stopped")
        await send({"type": "lifespan.shutdown.complete"})

    async def call():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            order.append("call ended")

    each = lifespan(app)
    await each.startup()
    running = {asyncio.ensure_future(call())}
    await asyncio.sleep(0)
    each.running = lambda: running
    await each.shutdown()
    assert order == ["call ended", "application stopped"]


async def test_a_start_that_is_given_up_before_its_first_step_ends_too():
    each = lifespan(orderly)
    starting = asyncio.ensure_future(each.startup())
    await asyncio.sleep(0)
    each.abandon()
    async with asyncio.timeout(5):
        await starting
    assert each.should_exit
