"""The service that both carriers serve in `test_differential.py`."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.responses import PlainTextResponse

from seawall import Conflict, Cookie, Form, Header, Reply, Service

service = Service("carried")


class Line(msgspec.Struct, forbid_unknown_fields=True):
    """One line."""

    sku: Annotated[str, Meta(min_length=1, max_length=8)]
    quantity: Annotated[int, Meta(ge=1)] = 1


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """An order."""

    customer: int
    lines: list[Line] = []


class Login(msgspec.Struct):
    """A form."""

    user: str


@service.get("/items/{item}")
async def read_item(
    item: int, limit: Annotated[int, Meta(ge=1, le=9)] = 3, tag: list[str] | None = None
) -> dict[str, Any]:
    """Return what was asked for."""
    return {"item": item, "limit": limit, "tag": tag}


@service.get("/text/{text}/{rest:path}")
async def read_text(text: str, rest: str) -> list[str]:
    """Return parts of the path."""
    return [text, rest]


@service.get("/fixed")
async def read_fixed(
    agent: Annotated[str, Header("User-Agent")] = "none", pot: Annotated[str, Cookie()] = "none"
) -> list[str]:
    """Return what came beside the path."""
    return [agent, pot]


@service.get("/large")
async def read_large(size: int = 5000) -> str:
    """Return an answer worth compressing."""
    return "ab" * size


@service.get("/slow", timeout=0.2)
async def read_slow(seconds: float = 0.01) -> str:
    """Answer later, or not."""
    await asyncio.sleep(seconds)
    return "done"


@service.get("/broken")
async def read_broken() -> int:
    """Fail."""
    return 1 // 0


@service.get("/plain")
async def read_plain() -> PlainTextResponse:
    """Answer by ASGI."""
    return PlainTextResponse("plain")


@service.post("/orders", status=201, max_body=2000)
async def create_order(order: Order) -> Reply[Order]:
    """Answer with more than a value."""
    if order.customer == 409:
        raise Conflict("There is one already.", headers={"Retry-After": "3"})
    return Reply(order, location=f"/orders/{order.customer}", headers={"X-Lines": str(len(order.lines))})


@service.post("/login")
async def log_in(login: Annotated[Login, Form()]) -> str:
    """Read a form."""
    return login.user


@service.delete("/items/{item}")
async def delete_item(item: int) -> None:
    """Answer with nothing."""
