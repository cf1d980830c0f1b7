"""Mounts: other ASGI applications behind the service's guards, with their own lifespans, paths and failures."""

import asyncio
import contextlib
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from fastapi import Request as FastAPIRequest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route

from seawall import (
    Call,
    ConfigurationError,
    DeclarationError,
    Forbidden,
    Guard,
    Place,
    Reply,
    TooManyRequests,
    current_call,
)
from support.exchange import exchange, running, scope_of
from support.settings import service

pytestmark = pytest.mark.anyio


class Key(Guard):
    name = "key"
    place = Place.AUTHENTICATE

    def __init__(self) -> None:
        self.released: list[BaseException | None] = []

    async def check(self, call: Call) -> None:
        call.add_header("x-guarded", "yes")
        if call.header("x-key") != "k":
            raise Forbidden("No key.")

    async def release(self, call: Call, error: BaseException | None) -> None:
        self.released.append(error)


def legacy() -> FastAPI:
    app = FastAPI()

    @app.get("/items/{item_id}")
    async def item(item_id: str, request: FastAPIRequest) -> dict[str, Any]:
        return {"item": item_id, "root": request.scope["root_path"], "call": current_call().operation}

    @app.get("/boom")
    async def boom() -> None:
        raise ValueError("secret")

    @app.get("/half")
    async def half() -> StreamingResponse:
        async def pieces():
            yield b"a"
            raise ValueError("half way")

        return StreamingResponse(pieces())

    @app.websocket("/ws")
    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(f"{current_call().operation} {await socket.receive_text()}")
        await socket.close()

    return app


async def test_a_mounted_application_answers_below_its_path_with_the_services_fields():
    app = service(http={"cors_origins": ("https://a.example",)})
    app.mount("/legacy", legacy(), sunset="2030-01-01")
    answer = await exchange(
        app, "GET", "/legacy/items/a%20b", headers={"origin": "https://a.example", "x-request-id": "r"}
    )
    assert (answer.status, answer.json()) == (200, {"item": "a b", "root": "/legacy", "call": "mount /legacy"})
    assert answer.headers["x-request-id"] == "r"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["access-control-allow-origin"] == "https://a.example"
    assert answer.headers["sunset"].endswith("2030 00:00:00 GMT")
    assert (await exchange(app, "GET", "/legacy/nothing")).status == 404
    assert (await exchange(app, "GET", "/legacyx/items/1")).headers["content-type"] == "application/problem+json"
    assert (await exchange(app, "POST", "/legacy/items/1")).status == 405


async def test_the_services_own_routes_come_first_and_the_longest_mount_next():
    app = service()

    @app.get("/legacy/own")
    async def own() -> str:
        return "own"

    def saying(text: str):
        return Starlette(routes=[Mount("/", app=PlainTextResponse(text))])

    app.mount("/legacy", saying("outer"))
    app.mount("/legacy/deep/", saying("inner"))
    app.mount("/", saying("root"))
    for path, text in (
        ("/legacy/own", b'"own"'),
        ("/legacy/x", b"outer"),
        ("/legacy/deep/x", b"inner"),
        ("/legacy/deeper", b"outer"),
        ("/x", b"root"),
        ("/", b"root"),
    ):
        assert (await exchange(app, "GET", path)).body == text


async def test_a_service_can_be_mounted_in_a_service():
    inner, outer = service("inner"), service("outer")

    @inner.get("/orders/{name}")
    async def read(name: str, call: Call) -> Reply[str]:
        return Reply(name, headers={"x-call": call.operation})

    outer.mount("/inner", inner)
    answer = await exchange(outer, "GET", "/inner/orders/a%2Fb")
    assert (answer.json(), answer.headers["x-call"]) == ("a/b", "read")
    assert len(answer.all("x-request-id")) == 1
    deeper = service("deeper")
    deeper.mount("/very", outer)
    assert (await exchange(deeper, "GET", "/very/inner/orders/a%2Fb")).json() == "a/b"


async def test_guards_stand_in_front_of_a_mount():
    guard = Key()
    app = service()
    app.mount("/legacy", legacy(), guards=[guard])
    answer = await exchange(app, "GET", "/legacy/items/1")
    assert (answer.status, answer.json()["detail"], guard.released) == (403, "No key.", [])
    answer = await exchange(app, "GET", "/legacy/items/1", headers={"x-key": "k"})
    assert (answer.status, answer.headers["x-guarded"], guard.released) == (200, "yes", [None])


async def test_an_error_before_the_answer_is_a_problem(caplog):
    app = service()

    async def broken(scope, receive, send):
        raise ValueError("secret")

    async def refusing(scope, receive, send):
        raise TooManyRequests("Slow down.")

    app.mount("/broken", broken)
    app.mount("/refusing", refusing)
    answer = await exchange(app, "GET", "/broken/x")
    assert (answer.status, "secret" in answer.body.decode()) == (500, False)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await exchange(app, "GET", "/refusing/x")).status == 429


async def test_an_error_after_the_answer_began_leaves_it_unfinished(caplog):
    guard = Key()
    app = service()
    app.mount("/legacy", legacy(), guards=[guard])
    answer = await exchange(app, "GET", "/legacy/half", headers={"x-key": "k"})
    assert answer.status == 200
    assert all(message.get("more_body") for message in answer.messages if message["type"] == "http.response.body")
    assert "after its answer had begun" in caplog.text
    assert guard.released != [None]


async def test_large_answers_of_a_mount_are_compressed_once():
    app = service()
    app.mount("/m", Starlette(routes=[Route("/x", lambda request: PlainTextResponse("abc" * 1000))]))
    app.mount(
        "/plain", Starlette(routes=[Route("/x", lambda request: PlainTextResponse("abc" * 1000))]), compress=False
    )
    fields = {"accept-encoding": "gzip"}
    assert (await exchange(app, "GET", "/m/x", headers=fields)).all("content-encoding") == ["gzip"]
    assert (await exchange(app, "GET", "/plain/x", headers=fields)).all("content-encoding") == []


def recording(log: list[str], name: str, *, fail: str | None = None) -> Starlette:
    @contextlib.asynccontextmanager
    async def lifespan(app):
        if fail == "start":
            raise RuntimeError(f"{name} cannot start")
        log.append(f"{name} up")
        yield {"name": name}
        log.append(f"{name} down")
        if fail == "stop":
            raise RuntimeError(f"{name} cannot stop")

    async def state(request):
        return JSONResponse({"name": request.state.name})

    return Starlette(lifespan=lifespan, routes=[Route("/state", state)])


async def test_lifespans_run_inside_the_services_and_leave_their_state():
    app, log = service(), []
    app.mount("/a", recording(log, "a"))
    app.mount("/b", recording(log, "b"))
    async with running(app):
        assert sorted(log) == ["a up", "b up"]
        assert (await exchange(app, "GET", "/a/state")).json() == {"name": "a"}
        assert (await exchange(app, "GET", "/b/state")).json() == {"name": "b"}
        app.rebuild()
        assert (await exchange(app, "GET", "/a/state")).json() == {"name": "a"}
    assert sorted(log[2:]) == ["a down", "b down"]
    assert log[2] != log[0]


async def test_a_mount_that_cannot_start_stops_the_start_and_the_others_are_stopped():
    app, log = service(), []
    app.mount("/long-prefix", recording(log, "first"))
    app.mount("/b", recording(log, "second", fail="start"))
    with pytest.raises(ConfigurationError, match="second cannot start"):
        async with running(app):
            raise AssertionError("it runs")
    assert log == ["first up", "first down"]


async def test_what_ends_the_service_is_not_wrapped_by_its_mounts():
    app = service()
    app.mount("/a", recording([], "a"))
    app.mount("/legacy", legacy())
    with pytest.raises(KeyError, match="mine"):
        async with running(app):
            raise KeyError("mine")


async def test_an_application_without_a_lifespan_is_left_alone():
    async def http_only(scope, receive, send):
        assert scope["type"] == "http"
        await PlainTextResponse("ok")(scope, receive, send)

    app = service()
    app.mount("/m", http_only)
    async with running(app):
        assert (await exchange(app, "GET", "/m")).body == b"ok"


async def connect(
    app: Any, path: str, headers: dict[str, str] | None = None, text: str = "hi", **scope: Any
) -> list[Any]:
    inbox: asyncio.Queue[Any] = asyncio.Queue()
    inbox.put_nowait({"type": "websocket.connect"})
    inbox.put_nowait({"type": "websocket.receive", "text": text})
    sent: list[Any] = []

    async def send(message):
        sent.append(message)

    made = scope_of("GET", path, headers=headers, **scope)
    await app({**made, "type": "websocket", "scheme": "ws", "subprotocols": []}, inbox.get, send)
    return sent


async def test_websockets_of_a_mount_pass_its_guards():
    guard = Key()
    app = service()
    app.mount("/legacy", legacy(), guards=[guard])
    sent = await connect(app, "/legacy/ws", {"x-key": "k"})
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.send", "websocket.close"]
    assert sent[1]["text"] == "mount /legacy hi"
    assert guard.released == [None]
    sent = await connect(app, "/legacy/ws")
    assert sent == [{"type": "websocket.close", "code": 1008, "reason": "No key."}]
    assert guard.released == [None]


async def test_websockets_pass_trusted_hosts_and_proxies():
    app = service(http={"trusted_hosts": ("a.example",), "trusted_proxies": ("10.0.0.1",)})
    seen = []

    class Seeing(Guard):
        name = "seeing"

        async def check(self, call: Call) -> None:
            seen.append(call.client)

    app.mount("/legacy", legacy(), guards=[Seeing()])
    sent = await connect(app, "/legacy/ws", {"host": "evil.example"})
    assert [(message["type"], message["code"]) for message in sent] == [("websocket.close", 1008)]
    fields = {"host": "a.example", "x-forwarded-for": "203.0.113.9"}
    sent = await connect(app, "/legacy/ws", fields, client=("10.0.0.1", 1))
    assert sent[0]["type"] == "websocket.accept"
    assert seen == ["203.0.113.9"]


async def test_a_websocket_where_nothing_is_mounted_is_refused():
    app = service()
    sent = await connect(app, "/nothing")
    assert [message["type"] for message in sent] == ["websocket.close"]


@pytest.mark.parametrize("path", ["legacy", "", "/{a}", "/a/{b}/c"])
def test_an_impossible_mount_is_refused(path):
    with pytest.raises(DeclarationError, match="the path must begin with '/'"):
        service().mount(path, legacy())


def test_two_mounts_in_one_place_are_refused():
    app = service()
    app.mount("/a", legacy())
    with pytest.raises(DeclarationError, match="there is one already"):
        app.mount("/a/", legacy())


async def test_a_mount_may_have_a_deadline(manual_clock):
    app = service(clock=manual_clock)

    async def slow(scope, receive, send):
        await asyncio.sleep(60)

    app.mount("/slow", slow, timeout=5)
    app.mount("/patient", slow)
    assert (await exchange(app, "GET", "/slow")).status == 504
    assert (await exchange(app, "GET", "/patient")).status == 0  # ended by itself, a minute later
