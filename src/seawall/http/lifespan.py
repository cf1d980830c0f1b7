"""The ASGI lifespan of a service: resources and mounts start before the first call and stop after the last."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

__all__ = ["Runs", "lifespan_target"]


class Runs(Protocol):
    """What can be started for the time of a block."""

    def running(self) -> AbstractAsyncContextManager[Any]:
        """Start for the time of the block."""
        ...


def lifespan_target(service: Runs) -> Callable[[Any, Any, Any, Any], Awaitable[None]]:
    """Return what answers the lifespan protocol by starting *service*."""

    def target(_scope: Any, receive: Any, send: Any, _parts: Any) -> Awaitable[None]:
        return _lifespan(service, receive, send)

    return target


async def _lifespan(service: Runs, receive: Any, send: Any) -> None:
    await receive()
    started = False
    try:
        async with service.running():
            started = True
            await send({"type": "lifespan.startup.complete"})
            await receive()
    except Exception as error:
        kind = "shutdown" if started else "startup"
        await send({"type": f"lifespan.{kind}.failed", "message": str(error)})
        raise  # the server tells it in its own way
    await send({"type": "lifespan.shutdown.complete"})
