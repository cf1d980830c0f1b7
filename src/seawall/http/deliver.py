"""Sends an answer that is an ASGI application of its own: files, redirects, HTML, streams (Starlette's)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from seawall.call import Call
from seawall.http.compression import Compressor
from seawall.http.compression_asgi import Compression

__all__ = ["Deliver"]

_VARY_ACCEPT = (b"vary", b"accept")


@dataclass(frozen=True, slots=True)
class Deliver:
    """Sends the responses of one operation, compressed where that is worth it and wanted."""

    compressor: Compressor | None

    async def __call__(
        self, response: Response, scope: Any, receive: Any, send: Any, call: Call, base: list[tuple[bytes, bytes]]
    ) -> None:
        """Send *response* with the service's header fields, those it sets itself left as they are."""
        present = {name for name, _ in response.raw_headers}
        # A response has one representation, whatever the client accepts.
        own = [(b"x-request-id", call.id), *(pair for pair in base if pair != _VARY_ACCEPT), *(call.fields or ())]
        response.raw_headers.extend(
            pair for pair in own if pair[0] not in present or pair[0] in (b"set-cookie", b"vary")
        )
        app: Any = response if self.compressor is None else Compression(response, self.compressor)
        await app(scope, receive, send)
