"""The ``wire`` carrier's protocol class: plain requests go from the parser straight to their plans.

uvicorn's protocol builds a scope, an event and a cycle for each request, and the answer travels back in two
messages through as many coroutines. A plan compiled for ``wire`` needs none of that: the parser's output is
handed to it in one small object, in one task, and the answer is one write. Whatever is not plain goes the ASGI way,
through the protocol this one is built on: other methods, mounts, forms, streams, upgrades, HTTP/1.0, chunked
bodies, ``Expect``, bodies larger than a few hundred kilobytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from seawall.call import Call
from seawall.framing import Hosts
from seawall.http.dispatch import Matcher, split_raw
from seawall.http.exchange import merge_fields
from seawall.http.surface import NO_PARTS, Surface
from seawall.http.wire import EAGER
from seawall.protocol import BoundedProtocol, ConnectionLimits

__all__ = ["WireProtocol", "WireRequest", "wire_protocol"]

MAX_BODY = 256 * 1024
"""Bytes; a larger body goes the ASGI way, where it is read piece by piece under flow control."""

Run = Callable[[Any], Coroutine[Any, Any, None]]

_NOT_PLAIN = frozenset((b"transfer-encoding", b"expect", b"upgrade"))
_message_begin = BoundedProtocol.on_message_begin
_headers_complete = BoundedProtocol.on_headers_complete
_body = BoundedProtocol.on_body
_message_complete = BoundedProtocol.on_message_complete
_start_asgi = BoundedProtocol._start_asgi_task  # noqa: SLF001 - the one place where uvicorn starts a queued request


class WireRequest:
    """One request on its way to a plan, and its answer on the way back; see `seawall.http.wire.PlainRequest`.

    To the protocol underneath it stands for the request's cycle: the attributes uvicorn looks at have its names.
    """

    __slots__ = (
        "_protocol",
        "body",
        "call",
        "disconnected",
        "fields",
        "headers",
        "keep_alive",
        "more_body",
        "parts",
        "path",
        "previous",
        "raw_query",
        "response_complete",
        "run",
        "scope",
        "task",
    )

    def __init__(
        self,
        protocol: WireProtocol,
        run: Run,
        headers: dict[bytes, bytes],
        path: str,
        parts: list[str],
        query: bytes,
    ) -> None:
        self._protocol = protocol
        self.run = run
        self.fields = protocol.headers
        self.headers = headers
        self.path = path
        self.parts = parts
        self.raw_query = query
        self.body = b""
        self.keep_alive: bool = protocol.parser.should_keep_alive()
        self.scope = protocol.scope
        self.previous: Any = protocol.cycle
        self.more_body = True
        self.response_complete = False
        self.disconnected = False
        self.task: asyncio.Task[None] | None = None
        self.call: Call | None

    @property
    def response_started(self) -> bool:
        """Whether bytes of the answer have been written; it is written whole."""
        return self.response_complete

    @property
    def message_event(self) -> WireRequest:
        """What uvicorn sets when the request's state has changed; nobody waits for it here."""
        return self

    def set(self) -> None:
        """Take notice of nothing: see `message_event`."""

    @property
    def peer(self) -> tuple[str, int] | None:
        """The transport's address of the client."""
        return self._protocol.client

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""
        return self._protocol.scheme or "http"

    @property
    def paused(self) -> bool:
        """Whether the client has yet to read earlier answers."""
        return self._protocol.flow.write_paused

    async def drain(self) -> None:
        """Wait until the client has read enough of earlier answers."""
        await self._protocol.flow.drain()

    def write(self, status: int, fields: bytes, body: bytes) -> None:
        """Write the whole answer, and go on to the next request."""
        self._protocol.answer(self, status, fields, body)

    def write_dated(self, status: int, fields: bytes, body: bytes) -> None:
        """Write an answer that says itself when it was made."""
        self._protocol.answer(self, status, fields, body, dated=True)

    def write_first(self, status: int, fields: bytes, body: bytes) -> None:
        """Write such an answer and leave the running task, which goes on, with the server."""
        task: Any = asyncio.current_task()
        tasks = self._protocol.tasks
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        self._protocol.answer(self, status, fields, body, dated=True)

    def fail(self) -> None:
        """Close the connection: no answer could be made."""
        self._protocol.transport.close()


class WireProtocol(BoundedProtocol):
    """uvicorn's protocol, made finite, with a short way for plain requests. Use `wire_protocol`."""

    surface: Surface
    standing: StandingFields
    active: WireRequest | None = None
    """The request that is being answered the short way; keeps its task from being collected."""

    def on_message_begin(self) -> None:
        """Begin a request; the scope is made only for one that goes the ASGI way."""
        self.url = b""
        self.headers = []
        self.scope = {}  # type: ignore[typeddict-item]  # a request has begun and has no path yet

    def on_url(self, url: bytes) -> None:
        """Keep the target; it comes in one piece, unless the network has cut it."""
        self.url = self.url + url if self.url else url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header field; what it asks for is looked at once all of them are there."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Choose the way."""
        request = None if self.oversized() else self.plain_request()
        if request is not None:
            self.unparsed = 0
            self.cycle = request  # type: ignore[assignment]  # it stands for a cycle
            return
        url, fields, pending = self.url, self.headers, self.scope
        _message_begin(self)
        self.url = url
        self.expect_100_continue = any(name == b"expect" and value.lower() == b"100-continue" for name, value in fields)
        self.headers = self.scope["headers"] = fields
        if self.awaited is pending:
            self.awaited = self.scope
        _headers_complete(self)

    def plain_request(self) -> WireRequest | None:
        """Return the request if it can go the short way."""
        parser = self.parser
        url = self.url
        matcher = self.surface.wires.get(parser.get_method())
        if matcher is None or self.root_path or url[:1] != b"/" or 35 in url or parser.get_http_version() != "1.1":
            return None
        fields = self.headers
        headers = dict(fields)
        if not _NOT_PLAIN.isdisjoint(headers):
            return None
        if len(headers) != len(fields):
            headers = merge_fields(fields)  # of two hosts it makes something that is none
        host = headers.get(b"host")
        if host not in self.hosts.known and not self.hosts.accepts(host):
            return None
        raw_path, _, query = url.partition(b"?")
        try:
            path, parts, plan = _find(matcher, raw_path)
        except ValueError:
            return None
        if plan is None or plan.run is None:
            return None
        length = headers.get(b"content-length")
        if length is not None and (not length.isdigit() or int(length) > min(plan.max_body, MAX_BODY)):
            return None
        return WireRequest(self, plan.run, headers, path, parts, query)

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        request: Any = self.cycle
        if type(request) is not WireRequest:
            _body(self, body)
            return
        self.unparsed = 0
        request.body = request.body + body if request.body else body

    def on_message_complete(self) -> None:
        """Start the request, or queue it behind those before it."""
        request: Any = self.cycle
        if type(request) is not WireRequest:
            _message_complete(self)
            return
        request.more_body = False
        previous, request.previous = request.previous, None
        if previous is None or previous.response_complete:
            self.start(request)
        else:
            self.stay_after(previous)
            self.flow.pause_reading()
            self.pipeline.appendleft((request, self.app))  # type: ignore[arg-type]  # it stands for a cycle

    def start(self, request: WireRequest) -> None:
        """Run the plan of *request* in a task of its own."""
        self.active = request
        request.task = _start(request.run(request), self.loop)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """Start a queued request, whichever way it goes."""
        if type(cycle) is WireRequest:
            self.start(cycle)
        else:
            _start_asgi(self, cycle, app)

    def answer(self, request: WireRequest, status: int, fields: bytes, body: bytes, *, dated: bool = False) -> None:
        """Write an answer in one piece and begin the next queued request; one that is *dated* has a date of its own."""
        request.response_complete = True
        transport = self.transport
        if transport.is_closing():
            return
        state = self.server_state
        state.total_requests += 1
        standing = self.standing
        if standing.source is not state.default_headers:
            standing.refresh(state.default_headers)
        lines = standing.undated if dated else standing.lines
        if not request.keep_alive:
            transport.write(b"%b%b%bconnection: close\r\n\r\n%b" % (STATUS_LINE[status], lines, fields, body))
            transport.close()
            return
        transport.write(b"%b%b%b\r\n%b" % (STATUS_LINE[status], lines, fields, body))
        if self.flow.read_paused:
            self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def answer_last(
        self, request: WireRequest, status: int, fields: bytes, body: bytes, *, dated: bool = False
    ) -> None:
        """Answer as `answer` does, and end the connection unless another request has begun to come."""
        if self.scope is request.scope:
            request.keep_alive = False
        _answer(self, request, status, fields, body, dated=dated)

    @classmethod
    def begin_drain(cls) -> None:
        """Let every answer from now on end its connection; until then, none is asked whether it should."""
        super().begin_drain()
        cls.answer = cls.answer_last  # type: ignore[method-assign]

    def connection_lost(self, exc: Exception | None) -> None:
        """End the call whose client has gone, and leave it with the server, which waits for its tasks when it stops."""
        request = self.active
        if request is not None and request.task is not None and not request.task.done():
            self.tasks.add(request.task)
            request.task.add_done_callback(self.tasks.discard)
            call: Call | None = getattr(request, "call", None)  # set by the plan if it is to be cancelled
            if call is not None and not request.response_complete:
                call.end("disconnect", request.task)
        super().connection_lost(exc)

    def waits_for_its_turn(self, cycle: Any) -> bool:
        """Return whether *cycle*, the last, waits behind others; a plain one is not queued before it is complete."""
        previous = cycle.previous if type(cycle) is WireRequest else None
        return super().waits_for_its_turn(cycle) or (previous is not None and not previous.response_complete)

    def owed(self) -> tuple[object, float] | None:
        """Return what the client owes, and for how long; a connection at rest owes its next request."""
        request: Any = self.cycle
        if type(request) is WireRequest and self.scope is request.scope:
            if request.more_body:
                return request, self.limits.body_seconds
            return (request, self.limits.idle_seconds) if request.response_complete else None
        return super().owed()


_answer = WireProtocol.answer


def _find(matcher: Matcher, raw_path: bytes) -> tuple[str, list[str], Any]:
    """Return the decoded path, its parts and the target; as `Surface` finds them for ASGI.

    Raises:
        ValueError: The path is not ASCII, or decodes to what is not UTF-8.
    """
    path = raw_path.decode("ascii")
    if "%" in path:
        parts = split_raw(raw_path)
        return unquote(path), parts, matcher.target(parts)
    target = matcher.static.get(path)
    if target is not None:
        return path, NO_PARTS, target
    parts = path.split("/", 64)
    return path, parts, matcher.find(parts)


def _start_later(coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop) -> asyncio.Task[None]:
    return loop.create_task(coroutine)


def _start_at_once(coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop) -> asyncio.Task[None]:
    """Run the first step here and now: most plans that do not wait are answered within it."""
    return asyncio.Task(coroutine, loop=loop, eager_start=True)  # type: ignore[call-arg]  # Python 3.12


_start: Callable[[Coroutine[Any, Any, None], asyncio.AbstractEventLoop], asyncio.Task[None]] = (
    _start_at_once if EAGER else _start_later
)


@dataclass(slots=True)
class StandingFields:
    """The fields uvicorn adds to every answer (the date), as bytes; it makes a new list each second."""

    source: list[tuple[bytes, bytes]]
    lines: bytes = b""
    undated: bytes = b""

    def refresh(self, source: list[tuple[bytes, bytes]]) -> None:
        """Encode *source*."""
        self.source = source
        self.lines = b"".join(b"%b: %b\r\n" % field for field in source)
        self.undated = b"".join(b"%b: %b\r\n" % field for field in source if field[0].lower() != b"date")


def wire_protocol(limits: ConnectionLimits, surface: Surface) -> type[WireProtocol]:
    """Return the protocol class for *limits* and *surface*: a class, since the server makes the instances."""
    members: Mapping[str, Any] = {
        "limits": limits,
        "hosts": Hosts(),
        "surface": surface,
        "standing": StandingFields([]),
        "__doc__": WireProtocol.__doc__,
    }
    return type("WireProtocol", (WireProtocol,), dict(members))
