"""A client that goes away ends its call over ASGI: once, for good, and nobody else's messages are read for it."""

import asyncio

import pytest

from seawall import Call, Guard, Place, Service
from seawall.http.watch import ROUND
from support.exchange import JSON, answer_of, scope_of
from support.settings import service

pytestmark = pytest.mark.anyio


class Client:
    """A client whose messages come when the test says so, as any ASGI server hands them over."""

    def __init__(self, app: Service, method="GET", path="/x", body=b"", headers=None):
        self.messages: asyncio.Queue = asyncio.Queue()
        self.sent, self.waiting = [], 0
        self.messages.put_nowait({"type": "http.request", "body": body, "more_body": False})
        self.task = asyncio.create_task(app(scope_of(method, path, headers=headers), self.receive, self.send))

    async def receive(self):
        self.waiting += 1
        assert self.waiting == 1, "two wait for the same messages"
        try:
            return await self.messages.get()
        finally:
            self.waiting -= 1

    async def send(self, message):
        self.sent.append(dict(message))

    def leave(self):
        self.messages.put_nowait({"type": "http.disconnect"})

    async def end(self):
        await asyncio.wait([self.task])
        assert not self.waiting
        return answer_of(self.sent)


class Witness(Guard):
    """Notes how calls end, at the outer edge of what a guard may see."""

    name = "witness"
    place = Place.ARRIVE

    def __init__(self):
        self.seen = []

    async def check(self, call):
        self.calls = call

    async def release(self, call, error):
        self.seen.append((call.ended, type(error).__name__))


def slow(clock, **policy):
    app = service(clock=clock)
    app.log, app.witness = [], Witness()

    async def work(call: Call) -> str:
        app.log.append("began")
        try:
            await asyncio.sleep(10)
            app.log.append("finished")
        except asyncio.CancelledError:
            app.log.append("cancelled")
            raise
        finally:
            await asyncio.sleep(1)
            app.log.append("cleaned up")
        return call.ended

    app.get("/x", guards=[app.witness], **policy)(work)

    @app.post("/x", name="post", guards=[app.witness], **policy)
    async def write(body: dict[str, int], call: Call) -> str:
        return await work(call)

    return app


def idle(app):
    watch = app.build().watch
    return (dict(watch.calls), dict(watch._older), watch.watched, watch.idle) == ({}, {}, 0, True)


@pytest.mark.parametrize("limit", [30, None])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_call_is_cancelled_once_and_cleans_up(manual_clock, method, limit):
    app = slow(manual_clock, timeout=limit)
    client = Client(app, method, body=b"{}", headers=JSON)
    await asyncio.sleep(2)
    began = manual_clock.monotonic()
    client.leave()
    client.leave()
    answer = await client.end()
    assert (answer.status, app.log) == (0, ["began", "cancelled", "cleaned up"])
    assert manual_clock.monotonic() - began == pytest.approx(1)
    assert app.witness.seen == [("disconnect", "CancelledError")]
    # To whoever runs the application, the call has ended well: there is just nobody to answer.
    assert (client.task.cancelled(), client.task.exception(), client.task.cancelling()) == (False, None, 0)
    assert idle(app)


async def test_one_that_is_to_finish_does(manual_clock):
    app = slow(manual_clock, on_disconnect="finish")
    client = Client(app)
    await asyncio.sleep(2)
    client.leave()
    answer = await client.end()
    assert (answer.json(), app.log) == ("", ["began", "finished", "cleaned up"])
    assert app.witness.seen == [("", "NoneType")]


async def test_a_client_that_left_early_is_noticed_as_well(manual_clock):
    app = slow(manual_clock)
    client = Client(app)
    client.leave()
    began = manual_clock.monotonic()
    assert (await client.end()).status == 0
    assert manual_clock.monotonic() - began <= 1 + 3 * ROUND


async def test_a_deadline_during_the_cleanup_does_not_cut_it_short(manual_clock):
    app = slow(manual_clock, timeout=2.5)
    client = Client(app)
    await asyncio.sleep(2)
    client.leave()
    assert (await client.end()).status == 0
    assert (app.log[-1], app.witness.seen) == ("cleaned up", [("disconnect", "CancelledError")])


async def test_a_client_that_leaves_during_the_cleanup_does_not_cut_it_short(manual_clock):
    app = slow(manual_clock, timeout=2)
    client = Client(app)
    await asyncio.sleep(2.5)
    client.leave()
    answer = await client.end()
    assert (answer.status, app.log[-1], app.witness.seen) == (504, "cleaned up", [("deadline", "DeadlineExceeded")])
    assert idle(app)


async def test_a_cancellation_from_outside_stays_one(manual_clock):
    app = slow(manual_clock)
    client = Client(app)
    await asyncio.sleep(2)
    client.leave()
    await asyncio.sleep(0.5)  # it is cleaning up
    client.task.cancel()
    await asyncio.wait([client.task])
    assert client.task.cancelled()
    assert idle(app)


@pytest.mark.parametrize("instead", [None, ValueError("mine")])
async def test_an_operation_that_makes_something_else_of_it_is_not_answered(manual_clock, instead, caplog):
    app, witness = service(clock=manual_clock), Witness()

    @app.get("/x", guards=[witness])
    async def stubborn() -> str:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            if instead is not None:
                raise instead from None
        return "done"

    client = Client(app)
    await asyncio.sleep(1)
    client.leave()
    assert (await client.end()).status == 0
    assert (witness.seen, caplog.messages) == ([("disconnect", "Disconnected")], [])
    assert client.task.cancelling() == 0


async def test_quick_calls_get_no_watcher(manual_clock):
    app = service(clock=manual_clock)

    @app.get("/x")
    async def quick() -> int:
        await asyncio.sleep(ROUND / 2)
        return app.build().watch.watched

    for _ in range(20):
        answer = await Client(app).end()
        assert answer.json() == 0
    await asyncio.sleep(3 * ROUND)
    assert idle(app)


async def test_a_body_that_nobody_reads_is_let_go(manual_clock):
    app = slow(manual_clock)
    client = Client(app)
    await asyncio.sleep(1)
    for _ in range(100):
        client.messages.put_nowait({"type": "http.request", "body": b"more", "more_body": True})
    await asyncio.sleep(1)
    assert (client.messages.qsize(), app.log) == (0, ["began"])
    client.leave()
    assert (await client.end()).status == 0


async def test_who_takes_the_request_reads_its_messages_alone(manual_clock):
    from starlette.requests import Request

    app = service(clock=manual_clock)

    @app.post("/x")
    async def read(request: Request) -> str:
        await asyncio.sleep(5)
        return (await request.body()).decode() + str(await request.is_disconnected())

    client = Client(app, "POST", body=b"all of it")
    await asyncio.sleep(1)
    client.leave()
    assert (await client.end()).json() == "all of itTrue"


async def test_a_stream_is_cancelled_by_its_own_watcher(manual_clock):
    from starlette.responses import StreamingResponse

    app, log = service(clock=manual_clock), []

    @app.get("/x")
    async def read() -> StreamingResponse:
        await asyncio.sleep(5)  # long enough to be watched, until the answer takes over

        async def pieces():
            try:
                while True:
                    yield b"piece"
                    await asyncio.sleep(1)
            finally:
                log.append("ended")

        return StreamingResponse(pieces())

    client = Client(app)
    await asyncio.sleep(7.5)
    client.leave()
    await asyncio.wait([client.task])
    assert (client.sent[0]["status"], len(client.sent), log) == (200, 4, ["ended"])
    assert idle(app)


async def test_a_stream_whose_client_leaves_before_it_begins(manual_clock):
    from starlette.responses import StreamingResponse

    app, made = service(clock=manual_clock), []

    @app.get("/x")
    async def read() -> StreamingResponse:
        await asyncio.sleep(5)
        made.append(1)
        return StreamingResponse(iter(()))

    client = Client(app)
    await asyncio.sleep(1)
    client.leave()
    assert ((await client.end()).status, made) == (0, [])


async def test_it_reaches_a_call_within_the_call(manual_clock):
    app, log = service(clock=manual_clock), []

    @app.operation("inner", timeout=3)
    async def inner(call: Call) -> None:
        try:
            await asyncio.sleep(10)
        finally:
            await asyncio.sleep(5)  # past its own deadline
            log.append(("inner", call.ended, call.outer.ended))

    @app.get("/x", timeout=20)
    async def outer(call: Call) -> None:
        try:
            await app.call("inner")
        finally:
            log.append(("outer", call.ended))

    client = Client(app)
    await asyncio.sleep(1)
    client.leave()
    assert (await client.end()).status == 0
    assert log == [("inner", "", "disconnect"), ("outer", "disconnect")]


async def test_a_client_that_goes_away_with_half_its_body_is_recorded_as_gone(manual_clock):
    app = slow(manual_clock)
    client = Client(app, "POST", headers=JSON)
    client.messages = asyncio.Queue()
    client.messages.put_nowait({"type": "http.request", "body": b"{", "more_body": True})
    client.leave()
    assert ((await client.end()).status, app.log) == (0, [])
    assert (app.witness.calls.ended, app.witness.seen) == ("disconnect", [("", "Disconnected")])


async def test_a_service_that_stops_watches_nobody(manual_clock):
    app = slow(manual_clock)
    client = Client(app)
    await asyncio.sleep(1)
    assert app.build().watch.watched == 1
    app.build().close()
    client.leave()
    answer = await client.end()
    assert (answer.status, idle(app)) == (200, True)


async def test_calls_that_are_cut_when_the_service_stops_say_so(manual_clock):
    app = slow(manual_clock)
    client = Client(app)
    await asyncio.sleep(1)
    stranger = asyncio.create_task(asyncio.sleep(10))
    app.build().cancel({client.task, stranger})
    await asyncio.wait([client.task, stranger])
    assert (client.task.cancelled(), stranger.cancelled()) == (True, True)
    assert (app.witness.seen, app.log[-1]) == ([("shutdown", "CancelledError")], "cleaned up")
