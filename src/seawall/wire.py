"""The ``wire`` carrier's protocol class: plain requests go from the parser straight to their plans.

uvicorn's protocol builds a scope, an event and a cycle for each request, and the answer travels back in two
messages through as many coroutines. A plan compiled for ``wire`` needs none of that: the parser's output is
handed to it in one small object, in one task, and the answer is one write. Whatever is not plain goes the ASGI way,
through the protocol this one is built on: other methods, mounts, forms, streams, upgrades, HTTP/1.0, chunked
bodies, ``Expect``, bodies larger than a few hundred kilobytes. A head that was sent before is not parsed again; see
`seawall.repeated`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast
from urllib.parse import unquote

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from seawall.call import Call
from seawall.framing import Hosts
from seawall.http.dispatch import Matcher, split_raw
from seawall.http.exchange import merge_fields
from seawall.http.surface import NO_PARTS, Surface
from seawall.http.wire import EAGER, WirePlan
from seawall.problems import Problem
from seawall.protocol import BoundedProtocol, ConnectionLimits
from seawall.repeated import MAX_DIGITS, KnownHeads, Repeated, is_plain

__all__ = ["WireProtocol", "WireRequest", "wire_protocol"]

MAX_BODY = 256 * 1024
"""Bytes; a larger body goes the ASGI way, where it is read piece by piece under flow control."""

TRIES = 8
"""How many requests in a row may have new heads before a connection is taken for one on which all are new."""

MakeTask = Callable[..., asyncio.Task[None]]

_NOT_PLAIN = frozenset((b"transfer-encoding", b"expect", b"upgrade"))
_connection_made = BoundedProtocol.connection_made
_data_received = BoundedProtocol.data_received
_message_begin = BoundedProtocol.on_message_begin
_headers_complete = BoundedProtocol.on_headers_complete
_body = BoundedProtocol.on_body
_message_complete = BoundedProtocol.on_message_complete
_start_asgi = BoundedProtocol._start_asgi_task  # noqa: SLF001 - the one place where uvicorn starts a queued request


_make_task: MakeTask = partial(cast("Any", asyncio.Task), eager_start=True) if EAGER else asyncio.Task


class WireRequest(msgspec.Struct, eq=False):
    """One request on its way to a plan, and its answer on the way back; see `seawall.http.wire.PlainRequest`.

    To the protocol underneath it stands for the request's cycle: the attributes uvicorn looks at have its names.
    """

    protocol: WireProtocol
    plan: WirePlan
    fields: list[tuple[bytes, bytes]]
    headers: dict[bytes, bytes]
    path: str
    parts: list[str]
    raw_query: bytes
    body: bytes
    scope: Any
    """Tells this request from the others of its connection, by its identity."""
    peer: tuple[str, int] | None
    """The transport's address of the client."""
    scheme: str
    """``http`` or ``https``."""
    keep_alive: bool = True
    previous: Any = None
    more_body: bool = False
    response_complete: bool = False
    disconnected: bool = False
    task: asyncio.Task[None] | None = None
    call: Call | None = None

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
    def paused(self) -> bool:
        """Whether the client has yet to read earlier answers."""
        return self.protocol.flow.write_paused

    async def drain(self) -> None:
        """Wait until the client has read enough of earlier answers."""
        await self.protocol.flow.drain()

    def write(self, status: int, fields: bytes, body: bytes) -> None:
        """Write the whole answer, and go on to the next request."""
        protocol = self.protocol
        if not self.keep_alive or protocol.draining or protocol.pipeline or protocol.flow.read_paused:
            protocol.answer(self, status, fields, body, dated=False)
            return
        # What `answer` does where nothing is out of the ordinary, without its questions.
        self.response_complete = True
        transport = protocol.transport
        if transport.is_closing():
            return
        state, standing = protocol.server_state, protocol.standing
        state.total_requests += 1
        if standing.source is not state.default_headers:
            standing.refresh(state.default_headers)
        transport.write(b"".join((standing.heads.get(status) or standing.head(status), fields, b"\r\n", body)))

    def write_dated(self, status: int, fields: bytes, body: bytes) -> None:
        """Write an answer that says itself when it was made."""
        self.protocol.answer(self, status, fields, body, dated=True)

    def write_first(self, status: int, fields: bytes, body: bytes) -> None:
        """Write such an answer and leave the running task, which goes on, with the server."""
        task: Any = asyncio.current_task()
        tasks = self.protocol.tasks
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        self.protocol.answer(self, status, fields, body, dated=True)

    def fail(self) -> None:
        """Close the connection: no answer could be made."""
        self.protocol.transport.close()


class WireProtocol(BoundedProtocol):
    """uvicorn's protocol, made finite, with a short way for plain requests. Use `wire_protocol`."""

    __slots__ = ("active", "repeated", "unlike")

    surface: Surface
    standing: StandingFields
    active: WireRequest | None
    """The request that is being answered the short way; keeps its task from being collected."""
    known: KnownHeads
    repeated: Repeated | None
    """What the last request, complete and plain, had besides its target and its body."""
    unlike: int
    """How many requests in a row had heads that nobody had sent before."""
    make_task: MakeTask = staticmethod(_make_task)
    """Makes the task of a call. With Python 3.12 its first step runs here and now: most plans that do not wait are
    answered within it. Asking the loop for it would cost as much again: for a number in its name, above all."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.active = self.repeated = None
        self.unlike = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Serve the connection; where the loop has a task factory of its own, that one makes the tasks."""
        if self.loop.get_task_factory() is not None:
            self.make_task = _by_factory
        _connection_made(self, transport)

    def data_received(self, data: bytes) -> None:
        """Take *data* as one more request with a head known already, or parse it."""
        known = self.repeated
        if known is None or not self.take(known, data):
            self.find(data)

    def take(self, known: Repeated, data: bytes) -> bool:  # noqa: PLR0912 - calls would cost more than all it asks
        """Begin the request that *data* is, whole, if it has the head *known*; return whether that was so.

        A request without a body may have another head that is known, which is then expected of the next one. All this
        is what a busy connection does all day, so it stands here in one piece: `_find` and `start` are written out. It
        may be called only where a request begins.
        """
        body = b""
        try:
            if known.tail is None:
                verb, sent, rest = data.split(b" ", 2)
                if rest != known.rest or verb != known.verb:
                    other = self.known.get((verb, rest))
                    if other is None or other.tail is not None:
                        return False
                    self.repeated = known = other
                fields, headers = known.fields, known.headers.copy()
            else:
                # All but the length of the body is as it was.
                tail, end = known.tail, data.find(b" ", known.begin)
                if not data.startswith(known.rest, end + 1) or not data.startswith(known.method):
                    return False  # before a body that may be large is copied
                begin = end + known.size
                length = data[begin : (begin := data.find(b"\r", begin))]
                body = data[begin + len(tail) :]
                if not data.startswith(tail, begin) or length != b"%d" % len(body) or len(body) > MAX_BODY:
                    return False
                sent, headers = data[known.begin : end], known.headers.copy()
                fields = known.fields if length == known.length else known.other(length, headers)
            target = sent.decode("ascii")
            path, _, query = target.partition("?")
            matcher = self.surface.wires[known.verb]
            if "%" in path:
                path, parts, plan = _find(matcher, path)
            elif (plan := matcher.static.get(path)) is not None:
                parts = NO_PARTS
            else:
                parts = path.split("/", 64)
                plan = matcher.find(parts)
        except (ValueError, KeyError):  # other parts, not ASCII, not UTF-8; nothing is served by this method
            return False
        if plan is None or plan.run is None or len(body) > plan.max_body or not is_plain(target):
            return False
        timer = self.timeout_keep_alive_task
        if timer is not None:
            timer.cancel()
            self.timeout_keep_alive_task = None
        if self.unlike:
            self.unlike = 0
        scope: Any = {}
        previous: Any = self.cycle
        client, scheme = self.client, self.scheme or "http"
        request = WireRequest(self, plan, fields, headers, path, parts, query.encode(), body, scope, client, scheme)
        self.scope = scope
        self.cycle = request  # type: ignore[assignment]  # it stands for a cycle
        if previous is None or previous.response_complete:
            self.active = request
            request.task = self.make_task(plan.run(request, plan.own), loop=self.loop, name=plan.name)
        else:
            self.begin(request, previous)
        return True

    def find(self, data: bytes) -> None:
        """Take *data* as a request with a head that any connection has sent, or parse it and remember its head."""
        before: Any = self.cycle
        begins = self.scope is None if before is None else self.scope is before.scope and not before.more_body
        if not begins or self.unlike >= TRIES:
            self.repeated = None
            _data_received(self, data)
            return
        known = self.known.find(data)
        if known is not None and self.take(known, data):
            self.repeated = known
            return
        self.repeated = None
        _data_received(self, data)
        request: Any = self.cycle
        if request is before or type(request) is not WireRequest or request.more_body or not request.keep_alive:
            return
        parser = cast("httptools.HttpRequestParser | None", self.parser)
        if request.scope is self.scope and parser is not None:
            self.unlike += 1
            # The length of another body may have more digits, and may not make the fields more than there may be.
            room = self.limits.field_bytes - MAX_DIGITS
            self.repeated = self.known.learn(parser.get_method(), data, request.fields, len(request.body), room)

    def refuse(self, problem: Problem) -> None:
        """Answer *problem* and close the connection; what comes behind it is the parser's, which takes no more."""
        self.repeated, self.unlike = None, TRIES
        super().refuse(problem)

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
            path, parts, plan = _find(matcher, raw_path.decode("ascii"))
        except ValueError:
            return None
        if plan is None or plan.run is None:
            return None
        length = headers.get(b"content-length")
        if length is not None and (not length.isdigit() or int(length) > min(plan.max_body, MAX_BODY)):
            return None
        return WireRequest(
            self, plan, fields, headers, path, parts, query, b"", self.scope, self.client, self.scheme or "http",
            keep_alive=parser.should_keep_alive(), previous=self.cycle, more_body=True,
        )  # fmt: skip

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        request: Any = self.cycle
        if type(request) is not WireRequest:
            _body(self, body)
            return
        self.unparsed = 0
        request.body = request.body + body if request.body else body

    def on_message_complete(self) -> None:
        """Begin the request: it is all there."""
        request: Any = self.cycle
        if type(request) is not WireRequest:
            _message_complete(self)
            return
        request.more_body = False
        previous, request.previous = request.previous, None
        self.begin(request, previous)

    def begin(self, request: WireRequest, previous: Any) -> None:
        """Start the complete *request*, or queue it behind *previous* and those before it."""
        if previous is None or previous.response_complete:
            self.start(request)
            return
        self.stay_after(previous)
        self.flow.pause_reading()
        self.pipeline.appendleft((request, self.app))  # type: ignore[arg-type]  # it stands for a cycle

    def start(self, request: WireRequest) -> None:
        """Run the plan of *request* in a task of its own."""
        self.active = request
        plan = request.plan
        coroutine = plan.run(request, plan.own)  # type: ignore[misc]  # there is no request for a plan without
        request.task = self.make_task(coroutine, loop=self.loop, name=plan.name)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """Start a queued request, whichever way it goes."""
        if type(cycle) is WireRequest:
            self.start(cycle)
        else:
            _start_asgi(self, cycle, app)

    def answer(self, request: WireRequest, status: int, fields: bytes, body: bytes, *, dated: bool) -> None:
        """Write an answer in one piece and begin the next queued request; one that is *dated* has a date of its own."""
        request.response_complete = True
        transport = self.transport
        if transport.is_closing():
            return
        if self.draining and self.scope is request.scope:
            request.keep_alive = False  # unless another request has begun to come
        state, standing = self.server_state, self.standing
        state.total_requests += 1
        if standing.source is not state.default_headers:
            standing.refresh(state.default_headers)
        head = STATUS_LINE[status] + (standing.undated if dated else standing.lines)
        if not request.keep_alive:
            transport.write(b"".join((head, fields, b"connection: close\r\n\r\n", body)))
            transport.close()
            return
        transport.write(b"".join((head, fields, b"\r\n", body)))
        if self.flow.read_paused:
            self.flow.resume_reading()
        if self.pipeline:
            if EAGER:
                # It would be answered within this call, and those behind it within one another.
                self.loop.call_soon(self.go_on)
            else:
                self.go_on()

    def go_on(self) -> None:
        """Begin the next queued request."""
        if self.pipeline and not self.transport.is_closing():
            self._start_asgi_task(*self.pipeline.pop())

    def connection_lost(self, exc: Exception | None) -> None:
        """End the call whose client has gone, and leave it with the server, which waits for its tasks when it stops."""
        request = self.active
        if request is not None and request.task is not None and not request.task.done():
            self.tasks.add(request.task)
            request.task.add_done_callback(self.tasks.discard)
            call = request.call  # set by the plan if it is to be cancelled
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
            if not request.response_complete:
                return None
            if self.awaited is request:
                self.rest(request)
            return request, self.limits.idle_seconds
        return super().owed()

    def rest(self, request: WireRequest) -> None:
        """Give back what a connection that has rested since the last look keeps: *request* was its last."""
        self.repeated = None
        if request.task is not None and request.task.done():
            request.task = None
            request.fields, request.headers, request.body = [], {}, b""


def _by_factory(
    coroutine: Coroutine[Any, Any, None], *, loop: asyncio.AbstractEventLoop, name: str
) -> asyncio.Task[None]:
    """Let the loop make a task as its users have asked it to."""
    return loop.create_task(coroutine, name=name)


def _find(matcher: Matcher, path: str) -> tuple[str, list[str], WirePlan | None]:
    """Return the decoded path, its parts and the target; as `Surface` finds them for ASGI.

    Raises:
        ValueError: The path decodes to what is not UTF-8.
    """
    if "%" in path:
        parts = split_raw(path.encode())
        return unquote(path), parts, matcher.target(parts)
    target = matcher.static.get(path)
    if target is not None:
        return path, NO_PARTS, target
    parts = path.split("/", 64)
    return path, parts, matcher.find(parts)


@dataclass(slots=True)
class StandingFields:
    """The fields uvicorn adds to every answer (the date), as bytes; it makes a new list each second."""

    source: list[tuple[bytes, bytes]]
    lines: bytes = b""
    undated: bytes = b""
    heads: dict[int, bytes] = field(default_factory=dict)
    """The status line and these fields, by status."""

    def head(self, status: int) -> bytes:
        """Return how an answer with *status* begins."""
        head = self.heads[status] = STATUS_LINE[status] + self.lines
        return head

    def refresh(self, source: list[tuple[bytes, bytes]]) -> None:
        """Encode *source*."""
        self.source = source
        self.lines = b"".join(b"%b: %b\r\n" % field for field in source)
        self.undated = b"".join(b"%b: %b\r\n" % field for field in source if field[0].lower() != b"date")
        self.heads = {}


def wire_protocol(limits: ConnectionLimits, surface: Surface) -> type[WireProtocol]:
    """Return the protocol class for *limits* and *surface*: a class, since the server makes the instances."""
    members: Mapping[str, Any] = {
        "limits": limits,
        "hosts": Hosts(),
        "surface": surface,
        "standing": StandingFields([]),
        "known": KnownHeads(),
        "__doc__": WireProtocol.__doc__,
    }
    return type("WireProtocol", (WireProtocol,), dict(members))
