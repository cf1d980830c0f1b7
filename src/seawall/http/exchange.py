"""What carriers share: request ids, the form of an answer, the lines every plan begins and ends with."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from typing import Protocol

from seawall.call import Call, current
from seawall.clock import Random
from seawall.http.compression import THREAD_BYTES, Compressor, compressible
from seawall.http.watch import ClientWatch
from seawall.plan import TimeoutField, Writer
from seawall.plan.deadline import DeadlineTable

__all__ = [
    "HELD",
    "AnswerForm",
    "Exchange",
    "Keeper",
    "RequestIds",
    "compress_answer",
    "emit_call",
    "emit_compression",
    "emit_fields",
    "emit_held",
    "emit_hsts",
    "merge_fields",
]

_MAX_REQUEST_ID = 128
_REQUEST_ID = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~+/=:-")


class RequestIds:
    """Makes request ids: a random prefix for the process, and a number."""

    __slots__ = ("number", "prefix")

    def __init__(self, random: Random) -> None:
        self.prefix = b"%012x-" % random.getrandbits(48)
        self.number = count(1).__next__

    def __call__(self) -> bytes:
        """Return an id no other call of any process has."""
        return b"%b%d" % (self.prefix, self.number())

    def accept(self, field: bytes) -> bytes:
        """Return the id a client sent in ``X-Request-ID``, or a new one if that cannot go into logs."""
        return field if 0 < len(field) <= _MAX_REQUEST_ID and _REQUEST_ID.issuperset(field) else self()


class Keeper(Protocol):
    """Keeps the compressed forms of one body."""

    codings: dict[str, bytes]

    def remember(self, coding: str, body: bytes) -> None:
        """Keep one more, if that is worth it."""


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
        body_deadlines: The calls whose bodies are arriving.
        monotonic: The clock their deadlines are on.
        compressor: Compresses answers; None where no answer is compressed.
        base: Header fields of every answer.
        watch: Sees clients go away.
        timeout_field: By which callers say how long they will wait; None where they cannot.
        hsts: The ``Strict-Transport-Security`` field for answers over https (RFC 6797 §7.2), if there is one.
    """

    request_ids: RequestIds
    body_deadlines: DeadlineTable
    monotonic: Callable[[], float]
    compressor: Compressor | None
    base: tuple[tuple[bytes, bytes], ...]
    watch: ClientWatch
    timeout_field: TimeoutField | None = None
    hsts: tuple[bytes, bytes] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerForm:
    """How the answers of one plan look.

    Args:
        operation: The operation's name.
        base: Header fields of every answer.
        empty: Whether a success may have no body.
        compressor: Compresses answers; None where none is compressed.
        deliver: Sends an answer that is an ASGI application of its own, where one can be returned.
        cancels: Whether a call is cancelled when its client goes away.
        kept: Whether answers can be kept ones: what is further in may then leave one in ``held``.
    """

    operation: str
    base: tuple[tuple[bytes, bytes], ...]
    empty: bool = False
    compressor: Compressor | None = None
    deliver: Callable[..., Awaitable[int]] | None = None
    cancels: bool = False
    kept: bool = False

    @property
    def note(self) -> str:
        """What the fragment does, for people."""
        return "request id, answer, compression" if self.compressor else "request id, answer"


def emit_call(
    writer: Writer, exchange: Exchange, operation: str, peer: str, inner: Callable[[], None], *, alone: bool = False
) -> None:
    """Write the lines that make the `Call` current while what is further in runs.

    Args:
        writer: Where to.
        exchange: What every exchange shares.
        operation: The operation's name.
        peer: An expression for the transport's address of the client.
        inner: Writes what is further in.
        alone: Whether nothing but the call runs in its task, so that nobody sees which one is current after it.
    """
    ids = exchange.request_ids
    accept = writer.bind("accept_request_id", ids.accept)
    prefix = writer.bind("request_id_prefix", ids.prefix)
    number = writer.bind("next_number", ids.number)
    call = writer.bind("Call", Call)
    name = writer.bind("operation_name", operation)
    writer.lines(
        'request_id = headers.get(b"x-request-id")',
        f'request_id = b"%b%d" % ({prefix}, {number}()) if request_id is None else {accept}(request_id)',
        f"call = {call}(request_id, {name}, headers, {peer})",
        f"{'' if alone else 'token = '}{writer.bind('enter', current.set)}(call)",
    )
    if exchange.timeout_field is not None:
        writer.sooner = "asked"
        name = writer.bind("timeout_field", exchange.timeout_field.name.encode())
        writer.line(f"sooner = headers.get({name})")
        with writer.block("if sooner is not None:"):
            # The time runs from here; whether the field can be read is the deadline's to say, once the caller may know.
            writer.line(f"sooner = {writer.bind('monotonic', exchange.monotonic)}(), sooner")
    if alone:
        inner()
    else:
        with writer.block("try:"):
            inner()
        with writer.block("finally:"):
            writer.line(f"{writer.bind('leave', current.reset)}(token)")
    emit_hsts(writer, exchange)


def emit_hsts(writer: Writer, exchange: Exchange) -> None:
    """Write the lines that add ``Strict-Transport-Security``, where the service sends it."""
    if exchange.hsts is not None:
        with writer.block('if scheme == "https":'):
            writer.line(f"call.fields = [*(call.fields or ()), {writer.bind('hsts', exchange.hsts)}]")


def emit_fields(writer: Writer, answer: AnswerForm) -> None:
    """Write the lines that collect the header fields of the answer in ``out``."""
    base = writer.bind("base_fields", answer.base)
    writer.line(
        'out = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), '
        f'(b"x-request-id", request_id), *{base}]'
    )
    if answer.empty:
        with writer.block("if content_type is None:"):
            writer.line(f'out = [(b"x-request-id", request_id), *{base}]')
            # These two have no body by themselves; any other status must say that it has none.
            with writer.block("if status != 204 and status != 304:"):
                writer.line('out.append((b"content-length", b"0"))')
    with writer.block("if call.fields:"):
        writer.line("out += call.fields")


HELD = "held is not None and held.body is body and held.status == status"
"""Whether the answer is the one in ``held``, and not what came of an error since."""


def emit_held(writer: Writer, answer: AnswerForm, send: Callable[[str], None], plain: Callable[[], None]) -> None:
    """Write the lines that send the answer in ``held``.

    Args:
        writer: Where to.
        answer: How answers look.
        send: Writes the sending of the fields in ``out`` and of the named body.
        plain: Writes the sending of ``held`` as it is.
    """
    if answer.compressor is None:
        plain()
        return
    least = writer.bind("compress_from", max(1, answer.compressor.min_bytes))
    with writer.block(f"if held.whole and len(held.body) >= {least}:"):
        compress = writer.bind("compress", compress_answer)
        compressor = writer.bind("compressor", answer.compressor)
        writer.lines(
            "out = held.fields(request_id, call.fields)",
            f'coded = await {compress}({compressor}, headers.get(b"accept-encoding"), out, held.body, held.keeper)',
        )
        send("coded")
    with writer.block("else:"):
        plain()


def emit_compression(writer: Writer, answer: AnswerForm) -> None:
    """Write the lines that compress ``body``, and say so in ``out``."""
    if answer.compressor is None:
        return
    least = writer.bind("compress_from", max(1, answer.compressor.min_bytes))
    compress = writer.bind("compress", compress_answer)
    compressor = writer.bind("compressor", answer.compressor)
    with writer.block(f"if len(body) >= {least}:"):
        writer.line(f'body = await {compress}({compressor}, headers.get(b"accept-encoding"), out, body)')


async def compress_answer(
    compressor: Compressor,
    accepted: bytes | None,
    out: list[tuple[bytes, bytes]],
    body: bytes,
    keeper: Keeper | None = None,
) -> bytes:
    """Compress *body* in the coding the client likes best, and say so in *out*.

    A body that has a coding already, or a type that does not shrink, is left alone. A large one is
    compressed in a thread, so that other calls go on. What *keeper* has is not compressed again.
    """
    content_type = out[0][1]
    if not compressible(content_type) or any(name == b"content-encoding" for name, _ in out):
        return body
    out.append((b"vary", b"accept-encoding"))
    coding = compressor.negotiator(accepted)
    if coding is None or coding == "identity":
        return body
    known = None if keeper is None else keeper.codings.get(coding)
    if known is not None:
        smaller = known
    elif len(body) > THREAD_BYTES:
        smaller = await asyncio.to_thread(compressor.compress, body, coding)
    else:
        smaller = compressor.compress(body, coding)
    if keeper is not None and known is None:
        keeper.remember(coding, smaller)
    out[1] = (b"content-length", b"%d" % len(smaller))
    out.append((b"content-encoding", coding.encode()))
    for index, (name, value) in enumerate(out):
        if name == b"etag" and not value.startswith(b"W/"):
            out[index] = (name, b"W/" + value)  # these are other bytes now (RFC 9110 §8.8.1)
    return smaller
