"""A service whose answers are kept, served by a real server."""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated

from starlette.responses import HTMLResponse, Response

from seawall import Header, Service
from seawall.cache import CachePolicy

logger = logging.getLogger("kept")
service = Service("kept")
calls: list[str] = []


@service.get("/items/{item}", cache=CachePolicy("60s", tags=["items"]))
async def read_item(item: str, q: str = "") -> list[str]:
    """Return what was asked for, and which call this is."""
    calls.append(item)
    return [item, q, str(len(calls))]


@service.get("/large", cache="60s")
async def read_large() -> list[str]:
    """Return an answer worth compressing."""
    return ["abc"] * 2000


@service.put("/items/{item}")
async def write_item(item: str) -> None:
    """Change an item."""


@service.post("/forget")
async def forget() -> None:
    """Forget all items."""
    await service.cache.invalidate_tags("items")


@service.get("/alive")
async def alive() -> str:
    """Say so."""
    return "yes"


@service.get("/slow", cache=CachePolicy("1s", stale_while_revalidate="60s"))
async def read_slow() -> str:
    """Return which call this is; all but the first take a second."""
    calls.append("slow")
    number = calls.count("slow")
    if number > 1:
        await asyncio.sleep(1)
    logger.warning("slow call %d is over", number)
    return str(number)


@service.get("/page", cache=CachePolicy(None))
async def read_page(if_none_match: Annotated[str | None, Header("if-none-match")] = None) -> Response:
    """Return a page that says itself how long it may be kept, or that it is still the same."""
    calls.append("page")
    said = {"Cache-Control": "max-age=1", "ETag": '"v1"', "X-Calls": str(calls.count("page"))}
    if if_none_match == '"v1"':
        return Response(status_code=304, headers=said)
    return HTMLResponse("<p>0123456789</p>", headers=said)
