"""Other applications, behind the same guards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from seawall import Call, Guard, Place, Service, Unauthorized, current_call

service = Service("mounts")
log: list[str] = []


# region: guard
class Key(Guard):
    """Knows one key."""

    name = "key"
    place = Place.AUTHENTICATE

    async def check(self, call: Call) -> None:
        """Refuse who has not got it."""
        if call.header("X-Key") != "sesame":
            raise Unauthorized("Send the key.", headers={"WWW-Authenticate": "Key"})


# endregion


# region: fastapi
@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Run inside the service's own start and stop."""
    log.append("legacy started")
    yield
    log.append("legacy stopped")


legacy = FastAPI(lifespan=lifespan)


@legacy.get("/items/{number}")
async def read_item(number: int) -> dict[str, object]:
    """Stay as it is."""
    return {"number": number, "request": current_call().request_id}


service.mount("/legacy", legacy, guards=[Key()], timeout=5)
# endregion


# region: starlette
async def now(request: Request) -> Response:
    """Stay as it is."""
    return PlainTextResponse("noon")


async def echo(websocket: WebSocket) -> None:
    """Say what was said."""
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()


clock = Starlette(routes=[Route("/now", now), WebSocketRoute("/echo", echo)])
service.mount("/clock", clock, guards=[Key()])
# endregion

# region: static
service.static("/assets", Path(__file__).parent / "assets")
# endregion


# region: middleware
class Signature:
    """A standard ASGI middleware."""

    def __init__(self, app: ASGIApp, text: str) -> None:
        self.app = app
        self.text = text

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sign every answer."""

        async def signed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["x-signed-by"] = self.text
            await send(message)

        await self.app(scope, receive, signed)


service.middleware(Signature, "the harbour master")
service.middleware(GZipMiddleware, minimum_size=100_000)
# endregion


@service.get("/hello")
async def hello() -> str:
    """Say hello."""
    return "hello"
