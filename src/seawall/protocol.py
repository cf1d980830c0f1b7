"""The connection: uvicorn's httptools protocol, made finite.

uvicorn's protocol keeps whatever arrives before a request is complete: header fields that never end, a request
line of any length, trailers without a limit, a connection on which nothing comes. Here each of them ends: with
an answer where one can still be sent, with a closed connection where not.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import struct
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from seawall.framing import Hosts, fault_of
from seawall.problems import BadRequest, HeadersTooLarge, Problem, RequestTimeout, Unavailable, UriTooLong

__all__ = ["ConnectionLimits", "bounded_protocol", "sweep"]

LEAST_RATE = 256
"""Bytes a second a client must take of an answer that waits for it."""
LINGER = 2.0
"""Seconds a refused connection is still read from, so that the refusal is not lost in a reset."""

_NO_LINGER = struct.pack("ii", 1, 0)
_NOWHERE = cast("list[tuple[bytes, bytes]]", deque[tuple[bytes, bytes]](maxlen=0))

_HANG_UP = getattr(select, "POLLRDHUP", 0)
"""Asks for the end of what the other side sends, which Linux tells; a reset is told everywhere without being asked."""

_head_complete = HttpToolsProtocol.on_headers_complete
_body = HttpToolsProtocol.on_body


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one connection, and all of them together, may take.

    Args:
        head_bytes: Bytes of a request before its body, and of trailers after it.
        head_fields: Header fields of a request.
        field_bytes: Bytes of their names and values together.
        head_seconds: Seconds a request may take to arrive up to its body.
        connections: Connections open at once.
        body_seconds: Seconds a body may take to arrive, where it is read before the operation runs.
        idle_seconds: Seconds a connection may rest between two requests.
        write_seconds: Seconds a client may take hardly anything of what waits to be sent to it.
    """

    head_bytes: int
    head_fields: int
    field_bytes: int
    head_seconds: float
    connections: int
    body_seconds: float = 30.0
    idle_seconds: float = 5.0
    write_seconds: float = 30.0


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with an end to everything. Use `bounded_protocol`, which knows the limits.

    What each connection comes to have has a slot: its other attributes are nearly as many as the 30 for which
    instances share the table of their names, and a table of its own costs a connection a kilobyte.
    """

    __slots__ = ("answering", "awaited", "unparsed", "unread", "waited")

    limits: ConnectionLimits
    parser: httptools.HttpRequestParser
    hosts: Hosts
    fault: str | None = None
    """What is wrong with a head that the parser has taken."""
    unparsed: int
    """Bytes since a head or a piece of a body was last complete: what the parser holds is never more."""
    awaited: object | None
    """What `sweep` found the client to owe when it last came by."""
    draining = False
    """Whether the server is about to stop, so that every answer ends its connection; set on the class."""
    told: Any = None
    """The exchange whose answer was chosen to end the connection, for that reason."""
    refused = False
    """Whether the last answer of this connection has been given, before its time."""
    answering: Any
    """The exchange that is being answered the ASGI way; others may be queued behind it."""
    waited: float
    """Seconds for which it has been owing the same."""
    unread: tuple[float, int, int] | None
    """While bytes wait to be sent: the seconds of this round, the bytes taken in it, and those left by `sweep`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.unparsed, self.waited = 0, 0.0
        self.awaited = self.answering = self.unread = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Serve the connection, unless there are too many."""
        if len(self.connections) >= self.limits.connections:
            self.transport = transport
            problem = Unavailable("Too many connections are open.", headers={"retry-after": "1"})
            transport.write(refusal(problem, self.server_state))
            transport.close()
            return
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Parse *data*, and refuse the request if its head grows too large without ending.

        This is uvicorn's method with its calls written out, which pays for what is added here.
        """
        timer = self.timeout_keep_alive_task
        if timer is not None:
            timer.cancel()
            self.timeout_keep_alive_task = None
        self.unparsed += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            else:
                self.stay_http(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.refuse(self.malformed())
        if self.unparsed > self.limits.head_bytes:
            self.refuse(self.too_large())

    def stay_http(self, data: bytes) -> None:
        """Go on with *data* behind a request that asked for a protocol nobody speaks here (RFC 9110 §7.8)."""
        while data and not self.transport.is_closing():
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if self._should_upgrade():
                    self.handle_websocket_upgrade()
                    return
                data = data[upgrade.args[0] :]
            except httptools.HttpParserError:
                self.refuse(self.malformed())
                return
            else:
                return

    def on_headers_complete(self) -> None:
        """Begin the request, unless there is something wrong with its head; what comes behind the body is dropped."""
        if self.oversized():
            raise HeadRefused
        fault = fault_of(self.parser.get_http_version(), self.url, self.headers, self.hosts)
        if fault is not None:
            self.fault = fault
            raise HeadRefused
        self.unparsed = 0
        before = self.cycle
        _head_complete(self)
        if self.draining and self.cycle is not before:
            self.stay_after(before)
            self.farewell()
        if "path" in self.scope:
            # Trailers would be added to the fields of a request that is being answered already.
            self.headers = _NOWHERE

    def on_body(self, body: bytes) -> None:
        """Hand over a piece of the body."""
        self.unparsed = 0
        _body(self, body)

    def oversized(self) -> bool:
        """Return whether a head that has just been completed has too many fields, or too many bytes in them.

        Bytes are only counted where so many have come that there may be too many.
        """
        fields, limits = self.headers, self.limits
        if len(fields) > limits.head_fields:
            return True
        return self.unparsed > limits.field_bytes and bytes_of(fields) > limits.field_bytes

    def malformed(self) -> Problem:
        """Return the problem for what the parser does not take."""
        fields, limits = self.headers or [], self.limits
        if len(fields) > limits.head_fields:
            return HeadersTooLarge(f"A request may have {limits.head_fields} header fields.")
        if bytes_of(fields) > limits.field_bytes:
            return HeadersTooLarge(f"The header fields of a request may have {limits.field_bytes} bytes together.")
        return BadRequest(self.fault or "This is not a request that HTTP/1.1 allows.")

    def too_large(self) -> Problem:
        """Return the problem for a head, or trailers, without an end."""
        text = f"A request may have {self.limits.head_bytes} bytes besides its body."
        scope, cycle = cast("object", self.scope), cast("RequestResponseCycle | None", self.cycle)
        begun = scope is not None and (cycle is None or cycle.scope is not scope)  # or the target is one of before
        is_target = begun and 2 * len(self.url) > self.unparsed
        return UriTooLong(text) if is_target else HeadersTooLarge(text)

    @classmethod
    def begin_drain(cls) -> None:
        """Let every answer from now on end its connection (RFC 9112 §9.6)."""
        cls.draining = True

    def farewell(self) -> None:
        """Let the answer to the last request end the connection."""
        cycle: Any = self.cycle
        if cycle is not None and cycle.keep_alive and not cycle.response_complete and cycle.scope is self.scope:
            cycle.keep_alive = False
            self.told = cycle

    def stay_after(self, before: Any) -> None:
        """Let the answer to *before* not end the connection after all: another request has come behind it."""
        if before is not None and before is self.told and not before.response_started:
            before.keep_alive = True

    @property
    def untouched(self) -> bool:
        """Whether nothing at all has come so far: the client has connected in order to ask, and is about to."""
        return cast("object", self.scope) is None

    @property
    def resting(self) -> bool:
        """Whether everything that was asked is answered."""
        cycle: Any = self.cycle
        return cycle is not None and cycle.response_complete and cycle.scope is self.scope

    def owed(self) -> tuple[object, float] | None:
        """Return what stands for the part of a request that the client owes, and the seconds it has for it."""
        awaited = awaited_part(self)
        return None if awaited is None else (awaited, self.limits.head_seconds)

    def unread_too_long(self, seconds: float) -> bool:
        """Return whether the client has taken hardly anything of its answer for too long.

        Called every *seconds*. What is waiting becomes more only when the client has taken enough for an answer to go
        on, or has none yet. So no byte that is sent has to be counted.
        """
        waiting, before = self.transport.get_write_buffer_size(), self.unread
        if waiting == 0 or before is None or waiting > before[2]:
            self.unread = (0.0, 0, waiting) if waiting else None
            return False
        limit = self.limits.write_seconds
        waited, taken = before[0] + seconds, before[1] + before[2] - waiting
        if waited < limit:
            self.unread = (waited, taken, waiting)
            return False
        self.unread = (0.0, 0, waiting)
        return taken < LEAST_RATE * limit

    def refuse(self, problem: Problem) -> None:
        """Answer *problem* if the connection is free for an answer, and close it."""
        if self.refused or self.transport.is_closing():
            return
        self.refused = True
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is not None and not cycle.response_complete:
            if cycle.scope is not self.scope or not cycle.more_body:
                # The requests before it were good: they are answered first, in their order.
                self.flow.pause_reading()
                self.pipeline.appendleft(cast("Any", (Refused(problem), None)))
                return
            if cycle.response_started:
                self.transport.close()  # this one would be taken for a part of its own answer, which has begun
                return
            if self.waits_for_its_turn(cycle):
                self.flow.pause_reading()
                self.pipeline.appendleft(cast("Any", (Refused(problem), None)))
                return
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.write(refusal(problem, self.server_state))
        if not self.transport.can_write_eof():
            self.transport.close()
            return
        self.transport.write_eof()
        self.transport.set_protocol(Lingering(self))

    def waits_for_its_turn(self, cycle: Any) -> bool:
        """Return whether *cycle*, the last, waits behind others; then it is taken out, and never begins."""
        if self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()
            return True
        return False

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Start a queued request, or answer the refusal that was queued behind it."""
        if isinstance(cycle, Refused):
            self.refused = False
            self.refuse(cycle.problem)
            return
        self.answering = cycle
        super()._start_asgi_task(cycle, app)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the exchange that is being answered as well; uvicorn tells the one that came last."""
        answering = self.answering
        if answering is not None and not answering.response_complete:
            answering.disconnected = True
            answering.message_event.set()
        super().connection_lost(exc)

    @property
    def deaf(self) -> bool:
        """Whether nothing is read at the moment, so that the end of the connection would not be noticed."""
        return self.flow.read_paused and not self.transport.is_closing()


@dataclass(frozen=True, slots=True)
class Refused:
    """Stands in the queue for a request that could not be read."""

    problem: Problem


class HeadRefused(Exception):
    """Raised inside the parser, which turns it into its own error."""


class Lingering(asyncio.Protocol):
    """Reads and forgets what a refused client is still sending, for a moment.

    Closing with unread bytes resets the connection, and the client would often lose the answer (RFC 9112 §9.6).
    """

    def __init__(self, refused: BoundedProtocol) -> None:
        self._refused = refused
        self._timer = refused.loop.call_later(LINGER, refused.transport.abort)

    def data_received(self, data: bytes) -> None:
        """Forget *data*."""

    def eof_received(self) -> bool:
        """Close: the client has read the answer."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """End the connection as if it had never been handed over."""
        self._timer.cancel()
        self._refused.connection_lost(exc)


def bounded_protocol(limits: ConnectionLimits) -> type[BoundedProtocol]:
    """Return the protocol class for *limits*: a class, since the server makes the instances."""
    members = {"limits": limits, "hosts": Hosts(), "__doc__": BoundedProtocol.__doc__}
    return type("BoundedProtocol", (BoundedProtocol,), members)


def sweep(state: ServerState, seconds: float) -> None:
    """Close every connection whose client has not sent in time what it owes, or does not read what it asked for.

    Called every *seconds*. A connection from which nothing is read, since requests are queued or a body waits, is
    looked at for its end: nothing else would tell that the client has gone. One request is told from the next by the
    identity of its scope, so that nothing has to be noted when a request begins or ends.
    """
    connections = [each for each in state.connections if isinstance(each, BoundedProtocol)]
    for connection in ended(connections):
        connection.transport.abort()
    for connection in connections:
        if connection.unread_too_long(seconds):
            reset(connection.transport)
            continue
        owed = connection.owed()
        awaited, limit = owed if owed is not None else (None, 0.0)
        if awaited is None or connection.awaited is not awaited:
            connection.awaited, connection.waited = awaited, 0.0
            continue
        connection.waited += seconds
        if connection.waited < limit:
            continue
        if awaited is connection.cycle and connection.cycle.response_complete:
            connection.transport.close()
        else:
            connection.refuse(RequestTimeout(f"The request did not arrive within {limit:g} s."))


def reset(transport: asyncio.Transport) -> None:
    """End a connection at once, with all that waits to be sent.

    Closing would wait until it is read, here or, after ``abort``, in the system, which holds as much again.
    """
    with contextlib.suppress(OSError):
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


def ended(connections: Iterable[BoundedProtocol]) -> list[BoundedProtocol]:
    """Return those of *connections* that are not read from, and whose other side has closed or reset them."""
    deaf = {each.transport.get_extra_info("socket").fileno(): each for each in connections if each.deaf}
    if not deaf:
        return []
    poll = select.poll()
    for number in deaf:
        poll.register(number, _HANG_UP)
    return [deaf[number] for number, _ in poll.poll(0)]


def awaited_part(connection: BoundedProtocol) -> object | None:
    """Return what stands for the part of a request that the client owes, or None if it owes nothing."""
    scope: Any = connection.scope
    if scope is None:
        return connection  # not a byte so far
    cycle = cast("RequestResponseCycle | None", connection.cycle)
    if "path" not in scope:
        # While an earlier request is being answered, the next one has all the time.
        return scope if cycle is None or cycle.response_complete else None
    # An answer given before the body had arrived: nobody else waits for the rest any more.
    return cycle if cycle is not None and cycle.response_complete and cycle.more_body else None


def bytes_of(fields: list[tuple[bytes, bytes]]) -> int:
    """Return the bytes of names and values of *fields* together."""
    return sum(len(name) + len(value) for name, value in fields)


def refusal(problem: Problem, state: ServerState) -> bytes:
    """Return a whole answer with *problem* that ends the connection."""
    body = msgspec.json.encode(problem.document())
    fields: list[tuple[bytes, bytes]] = [
        *state.default_headers,
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-content-type-options", b"nosniff"),
        *((name.encode(), value.encode()) for name, value in problem.headers.items()),
        (b"connection", b"close"),
    ]
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in fields)
    return STATUS_LINE[problem.status] + lines + b"\r\n" + body
