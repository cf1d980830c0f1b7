"""The ``asgi`` carrier: plans that any ASGI server can call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from seawall.http.exchange import (
    HELD,
    AnswerForm,
    Exchange,
    emit_call,
    emit_compression,
    emit_fields,
    emit_held,
    emit_hsts,
    merge_fields,
)
from seawall.http.watch import Watched
from seawall.plan import Disconnected, Fragment, Place, Writer
from seawall.problems import ContentTooLarge, RequestTimeout

__all__ = ["AsgiCarrier", "Send", "body_timed_out", "read_rest", "refuse_length", "too_large_body"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


class AsgiCarrier:
    """Writes the head and tail of plans for ASGI servers."""

    name = "asgi"
    signature = "scope, receive, send, parts"

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def receive(self, answer: AnswerForm) -> Fragment:
        """Return the outermost fragment."""
        return _Receive(self._exchange, answer)

    def watch(self, answer: AnswerForm) -> Fragment | None:
        """Return what ends a call whose client goes away, if that is wanted."""
        return Watched(self._exchange.watch, answers=answer.deliver is not None) if answer.cancels else None

    def read_body(self, writer: Writer, limit: int) -> None:
        """Write lines that leave the body in ``raw_body``; the usual body comes in one message.

        Until it is there the call stands in the table of bodies, whose sweeper ends it when that takes too long:
        the first message can be as slow as every other.
        """
        if writer.body_read:
            return
        writer.body_read = True
        deadlines = self._exchange.body_deadlines
        bound = writer.bind("max_body", limit)
        rest = writer.bind("read_rest", read_rest)
        table = writer.bind("body_deadlines", deadlines)
        arriving = writer.bind("arriving", deadlines.calls)
        seconds = writer.bind("body_timeout", deadlines.seconds)
        refuse = writer.bind("refuse_length", refuse_length)
        digits = writer.bind("length_digits", len(str(limit)))
        with writer.block(f'if len(headers.get(b"content-length", b"")) >= {digits}:'):
            writer.line(f"{refuse}(headers, {bound})")
        writer.lines(
            f"call.deadline = {writer.bind('monotonic', self._exchange.monotonic)}() + {seconds}",
            f"task = {arriving}[call] = {writer.bind('current_task', asyncio.current_task)}()",
        )
        writer.task = "task"
        with writer.block(f"if {table}.idle:"):
            writer.line(f"{table}.arm()")
        with writer.block("try:"):
            writer.lines("message = await receive()", 'raw_body = message.get("body")')
            with writer.block('if raw_body is None or message.get("more_body"):'):
                writer.line(f"raw_body = await {rest}(message, receive, {bound})")
            with writer.block(f"elif len(raw_body) > {bound}:"):
                writer.line(f"raise {writer.bind('too_large', too_large_body)}({bound})")
        with writer.block(f"except {writer.bind('CancelledError', asyncio.CancelledError)}:"):
            with writer.block('if call.ended == "deadline" and call.settle():'):
                writer.line(f"raise {writer.bind('body_timed_out', body_timed_out)}({seconds}) from None")
            writer.line("raise")
        with writer.block("finally:"):
            writer.lines(f"{arriving}.pop(call, None)", "call.deadline = None")


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
        writer.lines(
            'fields = scope["headers"]',
            "headers = dict(fields)",
        )
        with writer.block("if len(headers) != len(fields):"):
            writer.line(f"headers = {writer.bind('merge_fields', merge_fields)}(fields)")
        writer.lines('path = scope["path"]', 'raw_query = scope["query_string"]', 'scheme = scope["scheme"]')
        if self.answer.kept:
            writer.line("held = None")
            writer.answer_first = lambda: self._emit_held(writer)
        emit_call(writer, self.exchange, self.answer.operation, 'scope.get("client")', inner)
        if self.answer.deliver is not None:
            with writer.block("if body is None:"):  # it has been sent: see `Send`, and mounts
                writer.line("return")
        with writer.block("if status == 499:"):  # the client is gone: see Disconnected
            writer.line("return")
        if self.answer.kept:
            with writer.block("if call.answered:"):
                writer.line("return")
            with writer.block(f"if {HELD}:"):
                self._emit_held(writer)
                writer.line("return")
        emit_fields(writer, self.answer)
        emit_compression(writer, self.answer)
        writer.lines(
            'await send({"type": "http.response.start", "status": status, "headers": out})',
            'await send({"type": "http.response.body", "body": body})',
        )

    def _emit_held(self, writer: Writer) -> None:
        def send(body: str) -> None:
            writer.lines(
                'await send({"type": "http.response.start", "status": held.status, "headers": out})',
                f'await send({{"type": "http.response.body", "body": {body}}})',
            )

        def plain() -> None:
            writer.line('out = [*held.pairs, (b"x-request-id", request_id)]')
            with writer.block("if call.fields:"):
                writer.line("out += call.fields")
            send("held.body")

        emit_held(writer, self.answer, send, plain)


@dataclass(frozen=True, slots=True)
class Send:
    """The fragment that sends an answer which is an ASGI application, within what is recorded of the call.

    Args:
        exchange: What every exchange shares.
        base: Header fields of every answer.
        deliver: Sends such an answer; returns its status.
    """

    exchange: Exchange
    base: tuple[tuple[bytes, bytes], ...]
    deliver: Callable[..., Awaitable[int]]
    name: str = "send"
    place: Place = Place.SEND
    note: str = "files, streams"

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        """Write the lines that send what is further in has left in ``response``."""
        inner()
        with writer.block("if body is None:"):
            emit_hsts(writer, self.exchange)
            deliver = writer.bind("deliver", self.deliver)
            base = writer.bind("base_fields", list(self.base))
            writer.line(f"status = await {deliver}(response, scope, receive, send, call, {base})")


def too_large_body(limit: int) -> ContentTooLarge:
    """Return the problem for a body over *limit* bytes."""
    return ContentTooLarge(f"The body may have {limit} bytes at the most.")


def body_timed_out(seconds: float) -> RequestTimeout:
    """Return the problem for a body that took longer than *seconds* to arrive."""
    return RequestTimeout(f"The body did not arrive within {seconds:g} s.")


def refuse_length(headers: Mapping[bytes, bytes], limit: int) -> None:
    """Refuse a body that says it is larger than *limit* bytes before any of it is read."""
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length[:20]) > limit:
        raise too_large_body(limit)


async def read_rest(message: Message, receive: Receive, limit: int) -> bytes:
    """Read a body that does not come in one message.

    Args:
        message: The first message.
        receive: Gives the next ones.
        limit: Bytes accepted.

    Raises:
        ContentTooLarge: The body is larger than *limit*.
        Disconnected: The client went away.
    """
    chunks, total = [], 0
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
