"""The service that slow clients hold up, or try to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
from starlette.responses import StreamingResponse

from seawall import Service

service = Service("slow")


class Order(msgspec.Struct):
    """A body."""

    customer: int


@service.get("/quick")
async def quick() -> str:
    """Answer at once."""
    return "quick"


@service.post("/orders")
async def create_order(order: Order) -> int:
    """Read a body."""
    return order.customer


@service.get("/large")
async def large() -> str:
    """Answer with more than the system holds for a connection."""
    return LARGE


@service.get("/stream")
async def stream() -> StreamingResponse:
    """Answer without an end."""

    async def pieces() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0)  # without a client nothing else would wait here
            yield PIECE

    return StreamingResponse(pieces(), media_type="application/octet-stream")


LARGE = "x" * 2_000_000
PIECE = b"x" * 16_384
