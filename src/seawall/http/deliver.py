"""Sends an answer that is an ASGI application of its own: files, redirects, HTML, streams (Starlette's)."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from seawall.call import Call

__all__ = ["deliver_response"]


async def deliver_response(
    response: Response, scope: Any, receive: Any, send: Any, call: Call, base: list[tuple[bytes, bytes]]
) -> None:
    """Send *response* with the service's header fields, those it sets itself left as they are."""
    present = {name for name, _ in response.raw_headers}
    own = [(b"x-request-id", call.id), *base, *(call.fields or ())]
    response.raw_headers.extend(pair for pair in own if pair[0] not in present or pair[0] == b"set-cookie")
    await response(scope, receive, send)
