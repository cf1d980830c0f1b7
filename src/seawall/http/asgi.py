"""The ``asgi`` carrier: plans that any ASGI server can call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from seawall.call import Call, current
from seawall.clock import Random
from seawall.http.compression import THREAD_BYTES, Compressor, compressible
from seawall.plan import Fragment, Place, Writer
from seawall.problems import ContentTooLarge, RequestTimeout, SeawallError

__all__ = ["AsgiCarrier", "Disconnected", "Exchange", "RequestIds", "merge_fields", "read_rest"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_MAX_REQUEST_ID = 128
_REQUEST_ID = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~+/=:-")


class Disconnected(SeawallError):
    """The client went away before the request was complete; nobody is left to answer."""


class RequestIds:
    """Makes request ids: a random prefix for the process, and a number."""

    __slots__ = ("number", "prefix")

    def __init__(self, random: Random) -> None:
        self.prefix = b"%012x-" % random.getrandbits(48)
        self.number = count(1).__next__

    def __call__(self) -> bytes:
        """Return an id no other call of any process has."""
        return b"%b%x" % (self.prefix, self.number())

    def accept(self, field: bytes) -> bytes:
        """Return the id a client sent in ``X-Request-ID``, or a new one if that cannot go into logs."""
        return field if 0 < len(field) <= _MAX_REQUEST_ID and _REQUEST_ID.issuperset(field) else self()


def merge_fields(fields: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Combine repeated header fields as RFC 9110 §5.3 allows; cookies by RFC 9113 §8.2.3."""
    merged: dict[bytes, bytes] = {}
    for name, value in fields:
        if name in merged:
            value = merged[name] + (b"; " if name == b"cookie" else b", ") + value  # noqa: PLW2901
        merged[name] = value
    return merged


@dataclass(frozen=True, slots=True)
class Exchange:
    """What every exchange of a service shares.

    Args:
        request_ids: Makes ids for requests that bring none.
        body_timeout: Seconds a body may take to arrive.
        compressor: Compresses answers; None where no answer is compressed.
        base: Header fields of every answer.
    """

    request_ids: RequestIds
    body_timeout: float
    compressor: Compressor | None
    base: tuple[tuple[bytes, bytes], ...]


class AsgiCarrier:
    """Writes the head and tail of plans for ASGI servers."""

    name = "asgi"
    signature = "scope, receive, send, parts"
    query = 'scope["query_string"]'

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def receive(
        self,
        operation: str,
        *,
        empty: bool,
        base: tuple[tuple[bytes, bytes], ...] = (),
        compress: bool = True,
        deliver: Callable[..., Awaitable[None]] | None = None,
    ) -> Fragment:
        """Return the outermost fragment.

        Args:
            operation: The operation's name.
            empty: Whether a success may have no body.
            base: Header fields of every answer of this operation.
            compress: Whether its answers may be compressed.
            deliver: Sends an answer that is an ASGI application of its own, where one can be returned.
        """
        compressor = self._exchange.compressor if compress else None
        return _Receive(self._exchange, operation, empty, (*self._exchange.base, *base), compressor, deliver)

    def read_body(self, writer: Writer, limit: int) -> None:
        """Write lines that leave the body in ``raw_body``; the usual body comes in one message."""
        bound = writer.bind("max_body", limit)
        rest = writer.bind("read_rest", read_rest)
        timeout = writer.bind("body_timeout", self._exchange.body_timeout)
        too_large = writer.bind("too_large", too_large_body)
        writer.lines(
            "message = await receive()",
            'raw_body = message.get("body")',
        )
        with writer.block('if raw_body is None or message.get("more_body"):'):
            writer.line(f"raw_body = await {rest}(message, receive, headers, {bound}, {timeout})")
        with writer.block(f"elif len(raw_body) > {bound}:"):
            writer.line(f"raise {too_large}({bound})")


@dataclass(frozen=True, slots=True)
class _Receive:
    exchange: Exchange
    operation: str
    empty: bool
    base: tuple[tuple[bytes, bytes], ...]
    compressor: Compressor | None
    deliver: Callable[..., Awaitable[None]] | None
    name: str = "receive"
    place: Place = Place.RECEIVE

    @property
    def note(self) -> str:
        parts = ["request id", "answer"]
        return ", ".join([*parts, "compression"] if self.compressor else parts)

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        merge = writer.bind("merge_fields", merge_fields)
        ids = self.exchange.request_ids
        accept = writer.bind("accept_request_id", ids.accept)
        prefix = writer.bind("request_id_prefix", ids.prefix)
        number = writer.bind("next_number", ids.number)
        call = writer.bind("Call", Call)
        operation = writer.bind("operation_name", self.operation)
        writer.lines(
            'fields = scope["headers"]',
            "headers = dict(fields)",
        )
        with writer.block("if len(headers) != len(fields):"):
            writer.line(f"headers = {merge}(fields)")
        writer.lines(
            'request_id = headers.get(b"x-request-id")',
            f'request_id = b"%b%x" % ({prefix}, {number}()) if request_id is None else {accept}(request_id)',
            f'call = {call}(request_id, {operation}, headers, scope.get("client"))',
            f"token = {writer.bind('enter', current.set)}(call)",
        )
        with writer.block("try:"):
            inner()
        with writer.block("finally:"):
            writer.line(f"{writer.bind('leave', current.reset)}(token)")
        self._emit_answer(writer)

    def _emit_answer(self, writer: Writer) -> None:
        base = writer.bind("base_fields", list(self.base))
        if self.deliver is not None:
            with writer.block("if body is None:"):
                deliver = writer.bind("deliver", self.deliver)
                writer.lines(f"await {deliver}(response, scope, receive, send, call, {base})", "return")
        with writer.block("if status == 499:"):  # the client is gone: see Disconnected
            writer.line("return")
        writer.line(
            'out = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), '
            f'(b"x-request-id", request_id), *{base}]'
        )
        if self.empty:
            with writer.block("if content_type is None:"):
                writer.line(f'out = [(b"x-request-id", request_id), *{base}]')
        with writer.block("if call.fields:"):
            writer.line("out += call.fields")
        if self.compressor is not None:
            least = writer.bind("compress_from", self.compressor.min_bytes)
            compress = writer.bind("compress", compress_answer)
            compressor = writer.bind("compressor", self.compressor)
            with writer.block(f"if len(body) >= {least}:"):
                writer.line(f'body = await {compress}({compressor}, headers.get(b"accept-encoding"), out, body)')
        writer.lines(
            'await send({"type": "http.response.start", "status": status, "headers": out})',
            'await send({"type": "http.response.body", "body": body})',
        )


def too_large_body(limit: int) -> ContentTooLarge:
    """Return the problem for a body over *limit* bytes."""
    return ContentTooLarge(f"The body may have {limit} bytes at the most.")


async def read_rest(
    message: Message, receive: Receive, headers: Mapping[bytes, bytes], limit: int, seconds: float
) -> bytes:
    """Read a body that does not come in one message.

    Args:
        message: The first message.
        receive: Gives the next ones.
        headers: The request's fields; a ``Content-Length`` over *limit* is refused before reading on.
        limit: Bytes accepted.
        seconds: How long the rest may take.

    Raises:
        ContentTooLarge: The body is, or says it is, larger than *limit*.
        RequestTimeout: It did not arrive in time.
        Disconnected: The client went away.
    """
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > limit:
        raise too_large_body(limit)
    chunks, total = [], 0
    try:
        async with asyncio.timeout(seconds):
            while True:
                if message["type"] != "http.request":
                    raise Disconnected("the client went away while sending the body")
                chunk = message.get("body", b"")
                total += len(chunk)
                if total > limit:
                    raise too_large_body(limit)
                chunks.append(chunk)
                if not message.get("more_body"):
                    return b"".join(chunks)
                message = await receive()
    except TimeoutError:
        raise RequestTimeout(f"The body did not arrive within {seconds:g} s.") from None


async def compress_answer(
    compressor: Compressor,
    accepted: bytes | None,
    out: list[tuple[bytes, bytes]],
    body: bytes,
) -> bytes:
    """Compress *body* in the coding the client likes best, and say so in *out*.

    A body that has a coding already, or a type that does not shrink, is left alone. A large one is
    compressed in a thread, so that other calls go on.
    """
    content_type = out[0][1]
    if not compressible(content_type) or any(name == b"content-encoding" for name, _ in out):
        return body
    out.append((b"vary", b"accept-encoding"))
    coding = compressor.negotiator(accepted)
    if coding is None or coding == "identity":
        return body
    if len(body) > THREAD_BYTES:
        smaller = await asyncio.to_thread(compressor.compress, body, coding)
    else:
        smaller = compressor.compress(body, coding)
    out[1] = (b"content-length", b"%d" % len(smaller))
    out.append((b"content-encoding", coding.encode()))
    return smaller
