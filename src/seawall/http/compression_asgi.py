"""Compression for mounted ASGI apps; operations have it compiled into their plans."""

from __future__ import annotations

import asyncio
import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seawall.http.compression import THREAD_BYTES, Compressor, StreamCompressor, compressible
from seawall.http.negotiation import IDENTITY

__all__ = ["Compression"]

_Headers = list[tuple[bytes, bytes]]

_UNTOUCHED_STATUSES = frozenset({204, 205, 206, 304})
# A digest or signature of the body as the app wrote it: compressing would make it a lie.
_UNTOUCHED_HEADERS = frozenset({b"content-encoding", b"content-range", b"content-digest", b"digest", b"content-md5"})
_NO_TRANSFORM = re.compile(rb"(?:^|,)[ \t]*no-transform[ \t]*(?:,|$)", re.IGNORECASE)
_VARY = re.compile(rb"(?:^|,)[ \t]*(?:accept-encoding|\*)[ \t]*(?:,|$)", re.IGNORECASE)


class Compression:
    """Compresses the answers of an ASGI app as `Accept-Encoding` allows, whole or streamed.

    Left alone: answers that are encoded, partial or without a body, that carry a digest or say
    ``no-transform``, that are small or of a type not worth it. A streamed answer is flushed with every piece,
    so that it still arrives piece by piece. A strong `ETag` of a compressed answer becomes a weak one (RFC
    9110 §8.8.3.3: another coding is another representation), and `Vary` names `Accept-Encoding` whenever the
    choice depended on it. A client that refuses even the plain body is sent it all the same.

    Args:
        app: The app to serve.
        compressor: What compresses; default: every coding that is installed, from 1,024 bytes on.
    """

    def __init__(self, app: ASGIApp, compressor: Compressor | None = None) -> None:
        self.app = app
        self.compressor = compressor or Compressor()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(scope, send, self.compressor)
        await self.app(scope, receive, answer.send)
        await answer.release()


class _Answer:
    """One answer on its way out: held until its first piece of body decides what becomes of it."""

    __slots__ = ("_compressor", "_encoding", "_if_none_match", "_method", "_send", "_start", "_stream")

    def __init__(self, scope: Scope, send: Send, compressor: Compressor) -> None:
        accepted: list[bytes] = []
        self._if_none_match = b""
        for name, value in scope["headers"]:
            if name == b"accept-encoding":
                accepted.append(value)
            elif name == b"if-none-match":
                self._if_none_match = value
        self._encoding = compressor.negotiator(b", ".join(accepted) if accepted else None) or IDENTITY
        self._method: str = scope["method"]
        self._send = send
        self._compressor = compressor
        self._start: Message | None = None
        self._stream: StreamCompressor | None = None

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            headers: _Headers = [(name.lower(), value) for name, value in message.get("headers", ())]
            message = {**message, "headers": headers}
            if self._may_vary(message["status"], headers):
                self._start = message
            else:
                await self._send(message)
        elif kind == "http.response.body" and self._stream is not None:
            await self._send_piece(self._stream, message)
        elif kind == "http.response.body" and self._start is not None:
            await self._begin(self._start, message)
        else:
            # Early hints come before the start and pass; trailers and files sent by path let it go first.
            if kind != "http.response.early_hint":
                await self.release()
            await self._send(message)

    async def release(self) -> None:
        """Send a start that is still held, so that the server sees what the app did."""
        if self._start is not None:
            start, self._start = self._start, None
            await self._send(start)

    def _may_vary(self, status: int, headers: _Headers) -> bool:
        """Whether the answer may be compressed; sets the fields that say so where it is not."""
        fields = dict(headers)
        if status == 304:
            self._match_not_modified(headers, fields)
            return False
        if status == 206 and compressible(fields.get(b"content-type", b"")):
            _add_vary(headers)  # as the whole would have it (RFC 9110 §15.3.7)
            return False
        length = fields.get(b"content-length", b"")
        if (
            status in _UNTOUCHED_STATUSES
            or not _UNTOUCHED_HEADERS.isdisjoint(fields)
            or not compressible(fields.get(b"content-type", b""))
            or (length.isdigit() and int(length) < self._compressor.min_bytes)
            or any(name == b"cache-control" and _NO_TRANSFORM.search(value) for name, value in headers)
        ):
            return False
        if self._method == "HEAD" or self._encoding == IDENTITY:
            _add_vary(headers)
            return False
        return True

    def _match_not_modified(self, headers: _Headers, fields: dict[bytes, bytes]) -> None:
        # What the whole would have had is not known any more; saying too much costs a cache a request at the
        # most, saying too little is against RFC 9110 §15.4.5.
        _add_vary(headers)
        etag = fields.get(b"etag")
        if etag is not None and not etag.startswith(b"W/") and b"W/" + etag in self._if_none_match:
            # The client stored the compressed answer under the weak tag it was given.
            _weaken_etag(headers)

    async def _begin(self, start: Message, message: Message) -> None:
        self._start = None
        headers: _Headers = start["headers"]
        body: bytes = message.get("body", b"")
        if message.get("more_body", False):
            _add_vary(headers)
            self._mark(headers, None)
            self._stream = self._compressor.compressor(self._encoding)
            await self._send(start)
            await self._send_piece(self._stream, message)
            return
        if len(body) >= self._compressor.min_bytes:
            _add_vary(headers)
            compressed = await self._compress(body)
            if len(compressed) < len(body):
                self._mark(headers, len(compressed))
                message = {**message, "body": compressed}
        await self._send(start)
        await self._send(message)

    async def _compress(self, body: bytes) -> bytes:
        if len(body) >= THREAD_BYTES:
            return await asyncio.to_thread(self._compressor.compress, body, self._encoding)
        return self._compressor.compress(body, self._encoding)

    async def _send_piece(self, stream: StreamCompressor, message: Message) -> None:
        body: bytes = message.get("body", b"")
        more: bool = message.get("more_body", False)
        if len(body) >= THREAD_BYTES:
            body = await asyncio.to_thread(stream.feed, body, flush=more)
        else:
            body = stream.feed(body, flush=more)
        if not more:
            body += stream.finish()
        if body or not more:
            await self._send({**message, "body": body})

    def _mark(self, headers: _Headers, length: int | None) -> None:
        """Change the fields of a compressed answer; a *length* of None leaves it to the framing."""
        # Ranges are of the encoded body, which no later request will find the same.
        headers[:] = [pair for pair in headers if pair[0] not in {b"content-length", b"accept-ranges"}]
        headers.append((b"content-encoding", self._encoding.encode("ascii")))
        if length is not None:
            headers.append((b"content-length", b"%d" % length))
        _weaken_etag(headers)


def _weaken_etag(headers: _Headers) -> None:
    for index, (name, value) in enumerate(headers):
        if name == b"etag" and not value.startswith(b"W/"):
            headers[index] = (name, b"W/" + value)


def _add_vary(headers: _Headers) -> None:
    if not any(name == b"vary" and _VARY.search(value) for name, value in headers):
        headers.append((b"vary", b"Accept-Encoding"))
