"""Sends an answer that is an ASGI application of its own: files, redirects, HTML, streams (Starlette's)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from seawall.call import Call, enter, leave
from seawall.http.answers import Failures
from seawall.http.compression import Compressor
from seawall.http.compression_asgi import Compression

__all__ = ["Deliver"]

Fields = list[tuple[bytes, bytes]]

_VARY_ACCEPT = (b"vary", b"accept")


@dataclass(frozen=True, slots=True)
class Deliver:
    """Sends the responses of one operation, compressed where that is worth it and wanted."""

    compressor: Compressor | None
    failures: Failures

    async def __call__(self, response: Response, scope: Any, receive: Any, send: Any, call: Call, base: Fields) -> int:
        """Send *response* with the service's header fields, those it sets itself left as they are; return the status.

        What fails before anything was sent becomes a problem; after that, the server must break the connection.
        """
        started = 0

        async def send_with_fields(message: Any) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = message["status"]
                # Not added to the response itself: nothing says that it was made for this call alone.
                message = {**message, "headers": [*message["headers"], *_missing(message["headers"], call, base)]}
            await send(message)

        app: Any = response if self.compressor is None else Compression(response, self.compressor)
        token = enter(call)  # a stream's pieces are made now, and belong to the call as well
        try:
            await app(scope, receive, send_with_fields)
        except Exception as error:
            if started:
                raise
            call.fields = []
            status, content_type, body = self.failures(error, call, scope["path"])
            length = (b"content-length", b"%d" % len(body))
            fields = [(b"content-type", content_type), length, (b"x-request-id", call.id), *base]
            await send({"type": "http.response.start", "status": status, "headers": [*fields, *call.fields]})
            await send({"type": "http.response.body", "body": body})
            return status
        else:
            return started
        finally:
            leave(token)


def _missing(fields: Fields, call: Call, base: Fields) -> Fields:
    """Return the service's header fields that are not among *fields*."""
    present = {name for name, _ in fields}
    # A response has one representation, whatever the client accepts.
    own = [(b"x-request-id", call.id), *(pair for pair in base if pair != _VARY_ACCEPT), *(call.fields or ())]
    return [pair for pair in own if pair[0] not in present or pair[0] in (b"set-cookie", b"vary")]
