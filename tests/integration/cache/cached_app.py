"""A service whose answers are kept, served by a real server."""

from __future__ import annotations

from seawall import Service
from seawall.cache import CachePolicy

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
