"""The ``wire`` carrier: plans that the server's protocol class calls itself, one task and one write a request.

What stands between such a plan and the socket is a `PlainRequest`; the protocol class that makes them is the
server's (`seawall.wire`), so that nothing here knows which server it is.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Protocol

from seawall.call import Call
from seawall.http.exchange import HELD, AnswerForm, Exchange, emit_call, emit_compression, emit_fields, emit_held
from seawall.plan import Fragment, Place, Writer

__all__ = ["EAGER", "PlainRequest", "WireCarrier", "WirePlan", "lines_of"]

Fields = list[tuple[bytes, bytes]]

EAGER = sys.version_info >= (3, 12)
"""Whether a plan's first step runs before its task is known to the request: where asyncio has eager tasks."""


@dataclass(slots=True, eq=False)
class WirePlan:
    """A plan compiled for ``wire``, or the note that a path is served over ASGI alone.

    Args:
        run: The coroutine function that the plan has in common with others, for a request and `own`; None where the
            request must go the ASGI way.
        own: What is the plan's own; see `seawall.plan.Form`.
        max_body: Bytes of body the operation accepts.
        name: The operation's name.
    """

    run: Callable[[Any, Any], Coroutine[Any, Any, None]] | None
    own: tuple[Any, ...]
    max_body: int
    name: str


class PlainRequest(Protocol):
    """One request as the protocol class hands it over: complete, its body within the operation's limit."""

    fields: Fields
    headers: dict[bytes, bytes]
    path: str
    parts: list[str]
    raw_query: bytes
    scheme: str
    body: bytes
    peer: tuple[str, int] | None
    paused: bool
    task: asyncio.Task[None] | None
    call: Call | None
    """The call, from when it has been made, if it is to be cancelled when the client goes away."""

    async def drain(self) -> None:
        """Wait until the client has read enough of earlier answers."""

    def write(self, status: int, fields: bytes, body: bytes) -> None:
        """Write the whole answer and make the connection free for the next."""

    def write_dated(self, status: int, fields: bytes, body: bytes) -> None:
        """Do the same with an answer that has a ``Date`` of its own: when it was made."""

    def write_first(self, status: int, fields: bytes, body: bytes) -> None:
        """Do the same while the call goes on; the server waits for it when it stops."""

    def fail(self) -> None:
        """Close the connection: no answer could be made."""


class WireCarrier:
    """Writes the head and tail of plans for the server's protocol class."""

    name = "wire"
    signature = "request"

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def receive(self, answer: AnswerForm) -> Fragment:
        """Return the outermost fragment."""
        return _Receive(self._exchange, answer)

    def watch(self, answer: AnswerForm) -> None:
        """Return nothing: the protocol class, which sees the client go, is told of the call."""

    def read_body(self, writer: Writer, limit: int) -> None:  # noqa: ARG002 - other carriers enforce it here
        """Write the line that leaves the body in ``raw_body``; the protocol class keeps it within *limit*."""
        writer.line("raw_body = request.body")


@dataclass(frozen=True, slots=True)
class _Receive:
    exchange: Exchange
    answer: AnswerForm
    name: str = "receive"
    place: Place = Place.RECEIVE

    @property
    def note(self) -> str:
        return self.answer.note

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        if self.answer.kept:
            writer.lines("held = None", "first = False")
            writer.answer_first = lambda: self._emit_first(writer)
        with writer.block("try:"):
            self._emit(writer, inner)
        # Nothing may leave a client waiting: a plan that cannot answer closes the connection.
        with writer.block("except BaseException:"):
            if self.answer.kept:
                with writer.block("if first:"):  # the client has its answer, and may have sent its next request
                    writer.line("raise")
            writer.lines("request.fail()", "raise")

    def _emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        writer.lines(
            "scope = None",
            "fields = request.fields",
            "headers = request.headers",
            "path = request.path",
            "parts = request.parts",
            "raw_query = request.raw_query",
            "scheme = request.scheme",
        )
        if not EAGER:
            writer.task = "request.task"

        def known() -> None:
            if self.answer.cancels:
                writer.line("request.call = call")
            inner()

        emit_call(writer, self.exchange, self.answer.operation, "request.peer", known, alone=True)
        if self.answer.kept:
            with writer.block("if call.answered:"):
                writer.line("return")
        lines = writer.bind("lines_of", lines_of)
        base = writer.bind("base_lines", b"".join(b"%b: %b\r\n" % field for field in self.answer.base))
        with writer.block("if request.paused:"):
            writer.line("await request.drain()")
        if self.answer.kept:
            with writer.block(f"if {HELD}:"):
                self._emit_held(writer, "write_dated")
                writer.line("return")
        general = []
        if self.answer.compressor is not None:
            general.append(f"len(body) >= {writer.bind('compress_from', self.answer.compressor.min_bytes)}")
        if self.answer.empty:
            general.append("content_type is None")
        with ExitStack() as stack:
            if general:
                with writer.block(f"if {' or '.join(general)}:"):
                    emit_fields(writer, self.answer)
                    emit_compression(writer, self.answer)
                    writer.line(f"request.write(status, {lines}(out), body)")
                stack.enter_context(writer.block("else:"))
            writer.line(f"own_lines = {lines}(call.fields) if call.fields else b''")
            writer.line(
                'request.write(status, b"content-type: %b\\r\\ncontent-length: %d\\r\\nx-request-id: %b\\r\\n%b%b" '
                f"% (content_type, len(body), request_id, {base}, own_lines), body)"
            )

    def _emit_first(self, writer: Writer) -> None:
        writer.line("first = True")
        self._emit_held(writer, "write_first")

    def _emit_held(self, writer: Writer, write: str) -> None:
        lines = writer.bind("lines_of", lines_of)

        def send(body: str) -> None:
            writer.line(f'request.{write}(held.status, b"date: %b\\r\\n%b" % (held.date, {lines}(out)), {body})')

        def plain() -> None:
            writer.lines(
                f"own_lines = {lines}(call.fields) if call.fields else b''",
                f'request.{write}(held.status, b"%bx-request-id: %b\\r\\n%b" % (held.lines, request_id, own_lines), '
                "held.body)",
            )

        emit_held(writer, self.answer, send, plain)


def lines_of(fields: Fields) -> bytes:
    """Return header fields as they are sent."""
    lines = b""
    for field in fields:  # they are few: a list to join would cost more than the copies
        lines += b"%b: %b\r\n" % field
    return lines
