"""The service the tests of this folder attack: small limits, and an operation for every kind of input."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from seawall import Body, Form, Header, Query, Service


class Line(msgspec.Struct):
    """A line of an order."""

    sku: str
    quantity: Annotated[int, Meta(ge=1)]


class Order(msgspec.Struct):
    """An order."""

    customer_id: int
    lines: list[Line]
    note: str | None = None


@dataclass
class Point:
    """A point."""

    x: float
    y: float


class Page(msgspec.Struct):
    """What part of a list is wanted."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 10
    ratio: float | None = None


class Signup(msgspec.Struct):
    """A form."""

    email: str


def create() -> Service:
    """Return the service; plain requests go from the parser straight to their plans."""
    service = Service("hostile")

    @service.get("/alive")
    async def alive() -> str:
        """Say that the server lives."""
        return "yes"

    @service.get("/orders/{order_id}")
    async def read_order(
        order_id: int, page: Annotated[Page, Query()], x_n: Annotated[int, Header()] = 0
    ) -> dict[str, Any]:
        """Return what was asked for."""
        return {"id": order_id, "limit": page.limit, "n": x_n}

    @service.post("/orders", status=201)
    async def create_order(order: Order) -> Order:
        """Return what was sent."""
        return order

    @service.post("/strict", duplicate_keys="refuse")
    async def strict(order: Order) -> Order:
        """Return what was sent, if no key stood there twice."""
        return order

    @service.post("/points")
    async def points(points: list[Point]) -> int:
        """Count points."""
        return len(points)

    @service.post("/any")
    async def anything(value: Annotated[Any, Body()]) -> dict[str, Any]:
        """Return what was sent."""
        return {"value": value}

    @service.post("/form")
    async def form(form: Annotated[Signup, Form()]) -> str:
        """Return what was sent."""
        return form.email

    @service.post("/small", max_body=100)
    async def small(value: dict[str, str]) -> int:
        """Count what was sent."""
        return len(value)

    @service.get("/slow", timeout=0.2)
    async def slow() -> None:
        """Take too long."""
        await asyncio.sleep(60)

    @service.get("/boom")
    async def boom() -> int:
        """Fail."""
        raise ValueError("hunter2")

    @service.get("/files/{name}")
    async def file(name: str) -> str:
        """Return the name."""
        return name

    @service.get("/stream")
    async def stream() -> StreamingResponse:
        """Break off half way."""

        async def pieces() -> Any:
            yield b"half"
            raise ValueError("hunter2")

        return StreamingResponse(pieces())

    service.mount("/mounted", Starlette(routes=[Route("/x", lambda _: PlainTextResponse("mounted"))]))
    return service


class Passing:
    """A middleware that does nothing, behind which every request goes the ASGI way."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


def behind_middleware() -> Service:
    """Return the service behind a middleware."""
    service = create()
    service.middleware(Passing)
    return service
