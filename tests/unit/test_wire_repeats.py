"""Requests whose heads repeat are read as the parser reads them: two protocols, one without a memory, are compared."""

from __future__ import annotations

import asyncio
import os
import re
from typing import Any

import pytest
import uvicorn
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from uvicorn.server import ServerState

from seawall import Service, current_call, repeated
from seawall.protocol import ConnectionLimits, sweep
from seawall.wire import MAX_BODY, TRIES, WireProtocol, wire_protocol
from support.transport import Transport

pytestmark = pytest.mark.anyio

FULL = os.environ.get("SEAWALL_FAULTS") == "full"
LIMITS = ConnectionLimits(head_bytes=3000, head_fields=12, field_bytes=420, head_seconds=3.0, connections=100)
ROUNDS = 12
"""Turns of the event loop in which a call that does not wait for others is answered."""

HOST = b"Host: h\r\n"


def make_service():
    service = Service("repeats")
    service.freed = asyncio.Event()

    def seen():
        call = current_call()
        return sorted([name.decode("latin-1"), value.decode("latin-1")] for name, value in call.metadata.items())

    @service.get("/items/{item}")
    async def read_item(item: str, q: list[str] | None = None) -> list[object]:
        return [item, q, seen()]

    @service.get("/wait")
    async def wait() -> list[object]:
        await service.freed.wait()
        return seen()

    @service.post("/orders")
    async def create(order: dict[str, Any]) -> list[object]:
        return [order, seen()]

    @service.post("/small", max_body=20)
    async def small(order: dict[str, Any]) -> list[object]:
        return [order, seen()]

    @service.post("/large", max_body=2 * MAX_BODY)
    async def large(order: dict[str, Any]) -> int:
        return len(str(order))

    @service.delete("/items/{item}")
    async def remove(item: str) -> None:
        current_call().add_header("x-removed", "yes")

    @service.get("/writes")
    async def writes() -> list[object]:
        found = seen()
        current_call().metadata[b"x-user"] = b"somebody"  # which no type allows
        return found

    return service


class Served:
    """A service and connections to it."""

    def __init__(self, limits=LIMITS):
        self.service = make_service()
        self.built = self.service.build()
        self.built.use_wire()
        self.config = uvicorn.Config(
            self.service.asgi, interface="asgi3", http=wire_protocol(limits, self.built.surface), lifespan="off",
            log_config=None, access_log=False, proxy_headers=False, server_header=False,
        )  # fmt: skip
        self.config.load()
        self.state = ServerState()
        self.state.default_headers = [(b"date", b"Thu, 01 Jan 2026 00:00:00 GMT")]
        self.connections = []

    def connect(self, *, remembers=True):
        made = self.config.http_protocol_class(config=self.config, server_state=self.state, app_state={})
        made.connection_made(Transport())
        if not remembers:
            made.unlike = TRIES
        self.connections.append(made)
        return made

    def hang_up(self):
        for connection in self.connections:
            transport = connection.transport
            (transport.protocol or connection).connection_lost(None)
        self.connections.clear()

    def close(self):
        self.hang_up()
        self.built.close()


@pytest.fixture
async def served():
    made = Served()
    yield made
    made.service.freed.set()
    await settle()
    made.close()
    await settle()


async def settle():
    for _ in range(ROUNDS):
        await asyncio.sleep(0)


class Unused:
    """Stands for a parser that is not to be asked."""

    def feed_data(self, data):
        raise AssertionError(f"{data!r} was parsed")


def get(target=b"/items/1", *fields):
    return b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"".join(fields) + b"\r\n"


def post(body=b"{}", target=b"/orders", length=None):
    length = b"%d" % len(body) if length is None else length
    return (
        b"POST " + target + b" HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\nContent-Length: "
        + length + b"\r\nX-A: 1\r\n\r\n" + body
    )  # fmt: skip


def taken(connection):
    """Return what was written since the last time."""
    transport = connection.transport
    written, transport.written = transport.written, b""
    return written


def same(raw):
    """Take out what differs by nature."""
    raw = re.sub(rb"x-request-id: (?!mine)[^\r]+\r\n", b"", raw)
    with_id = rb'content-length: \d+(?=(?:(?!HTTP/1).)*"request_id":"(?!mine))'
    raw = re.sub(with_id, b"content-length: N", raw, flags=re.DOTALL)
    return re.sub(rb'"request_id":"(?!mine)[^"]+"', b"", raw)


async def ask(connection, data):
    connection.data_received(data)
    await settle()
    return taken(connection)


async def test_what_repeats_is_not_parsed_again(served):
    connection = served.connect()
    first = await ask(connection, get(b"/items/1?q=a"))
    connection.parser = Unused()
    assert same(await ask(connection, get(b"/items/1?q=a"))) == same(first)
    assert b'["2",["b"],[["host","h"]]]' in await ask(connection, get(b"/items/2?q=b"))
    assert b'["a/b",null,' in await ask(connection, get(b"/items/a%2Fb"))
    assert not connection.transport.closing


async def test_a_body_may_have_another_length(served):
    connection = served.connect()
    await ask(connection, post(b'{"a":1}'))
    connection.parser = Unused()
    for body in (b'{"a":2}', b"{}", b'{"text":"%b"}' % (b"x" * 1000), b'{"a":3}'):
        answer = await ask(connection, post(body))
        assert answer.startswith(b"HTTP/1.1 200 "), answer
        assert b'["content-length","%d"]' % len(body) in answer
        assert body in answer


async def test_a_larger_body_goes_the_asgi_way(served):
    connection = served.connect()
    assert b" 200 " in await ask(connection, post(b"{}", b"/large"))
    body = b'{"a":"%b"}' % (b"x" * MAX_BODY)
    answer = await ask(connection, post(body, b"/large"))
    assert b" 200 " in answer
    assert type(connection.cycle).__name__ == "RequestResponseCycle"


async def test_what_a_request_does_to_its_fields_is_its_own(served):
    connection = served.connect()
    answers = [same(await ask(connection, get(b"/writes"))) for _ in range(3)]
    assert b"somebody" not in answers[0]
    assert answers == answers[:1] * 3


async def test_connections_that_repeat_nothing_are_given_up(served):
    connection = served.connect()
    for number in range(TRIES + 1):
        assert b" 200 " in await ask(connection, get(b"/items/1", b"X-N: %d\r\n" % number))
        assert connection.unlike == min(number + 1, TRIES)
        assert (connection.repeated is None) == (number == TRIES)
    await ask(connection, get())
    await ask(connection, get())
    assert connection.repeated is None
    assert connection.unlike == TRIES


async def test_one_that_repeats_begins_the_count_anew(served):
    connection = served.connect()
    for number in range(3 * TRIES):
        await ask(connection, get(b"/items/1", b"X-N: %d\r\n" % (number // 4)))
    assert connection.unlike == 0
    assert connection.repeated is not None


async def test_a_connection_at_rest_keeps_nothing_of_its_requests(served):
    connection = served.connect()
    for _ in range(3):
        await ask(connection, post(b'{"a":"%b"}' % (b"x" * 500)))
    sweep(served.state, 1.0)
    assert connection.repeated is not None  # it may have been busy a moment ago
    await ask(connection, post())
    sweep(served.state, 1.0)
    assert connection.repeated is not None
    sweep(served.state, 1.0)
    assert connection.repeated is None
    request = connection.cycle
    assert (request.task, request.fields, request.headers, request.body) == (None, [], {}, b"")
    assert b" 200 " in await ask(connection, post())
    assert connection.repeated is not None


async def test_a_head_is_known_to_all_connections(served):
    known = (get(), get(b"/items/2"), post(), get(b"/items/1", b"X-N: 1\r\n"))
    for raw in known:
        await ask(served.connect(), raw)
    connection = served.connect()
    for raw in known * 5:  # as those of several clients come from one proxy
        assert b" 200 " in await ask(connection, raw)
        assert connection.unlike == 0


async def test_callers_who_take_turns_on_a_connection_are_taken_at_once(served, monkeypatch):
    callers = [get(b"/items/1", b"Authorization: %d\r\n" % number) for number in range(3)]
    for raw in callers:
        await ask(served.connect(), raw)
    connection = served.connect()
    await ask(connection, callers[0])
    monkeypatch.setattr(connection, "find", None)  # every one is taken by what is known
    for raw in callers[1:] + callers:
        assert b" 200 " in await ask(connection, raw)


async def test_a_known_head_whose_body_is_yet_to_come_waits_for_it(served):
    connection = served.connect()
    await ask(connection, post(b"{}"))
    await ask(connection, get())
    head, body = post(b"{}")[:-2], post(b"{}")[-2:]
    assert await ask(connection, head) == b""
    assert b" 200 " in await ask(connection, body)
    assert b" 200 " in await ask(connection, get())


async def test_no_more_heads_are_kept_than_there_may_be(served, monkeypatch):
    monkeypatch.setattr(repeated, "MAX_KNOWN", 3)
    for number in range(5):
        await ask(served.connect(), get(b"/items/1", b"X-N: %d\r\n" % number))
    known = type(served.connect()).known
    found = [known.find(get(b"/items/1", b"X-N: %d\r\n" % number)) is not None for number in range(5)]
    assert found == [False, False, True, True, True]


async def test_hundreds_may_wait_behind_a_slow_one(served):
    connection = served.connect()
    connection.data_received(get(b"/wait") + get() * 600)
    served.service.freed.set()
    answers = 0
    for _ in range(601):
        await settle()
        answers += taken(connection).count(b"HTTP/1.1 200")
    assert answers == 601


async def test_behind_what_was_refused_nothing_is_taken(served):
    connection = served.connect()
    await ask(connection, get())
    assert connection.repeated is not None
    assert b" 400 " in await ask(connection, b"GET /items/1 HTTP/1.1\r\nHost: a b\r\n\r\n")
    assert connection.repeated is None
    assert await ask(connection, get()) == b""


async def test_a_call_that_goes_on_keeps_its_fields(served):
    connection = served.connect()
    await ask(connection, get())
    await ask(connection, get(b"/wait"))
    for _ in range(3):
        sweep(served.state, 1.0)
    assert connection.cycle.headers == {b"host": b"h"}
    assert connection.cycle.task is not None
    served.service.freed.set()
    await settle()
    assert b'[["host","h"]]' in taken(connection)


async def test_connections_share_the_names_of_their_attributes(served):
    """A connection with more than 30 of them in its dictionary costs a kilobyte more."""
    connection = served.connect()
    for data in (get(), get(), post(), b"HEAD /items/1 HTTP/1.1\r\nHost: h\r\n\r\n", get()):
        await ask(connection, data)
        sweep(served.state, 1.0)
    assert len(vars(connection)) <= 30


async def test_settings_that_are_reloaded_reach_a_connection_that_is_kept(served, monkeypatch):
    connection = served.connect()
    data = post(b'{"text":"%b"}' % (b"x" * 100))
    for _ in range(2):
        assert b" 200 " in await ask(connection, data)
    monkeypatch.setenv("SEAWALL_HTTP_MAX_BODY", "50B")
    served.service.reload()
    assert b" 413 " in await ask(connection, data)
    assert b" 200 " in await ask(connection, post())
    monkeypatch.delenv("SEAWALL_HTTP_MAX_BODY")
    served.service.reload()
    assert b" 200 " in await ask(connection, data)


async def test_routes_that_are_gone_with_a_reload_are_not_found(served):
    connection = served.connect()
    for _ in range(2):
        await ask(connection, get())
    wires = served.built.surface.wires
    served.built.surface.wires = {verb: each for verb, each in wires.items() if verb != b"GET"}
    answer = await ask(connection, get())  # over ASGI, whose routes are as they were
    assert b" 200 " in answer
    assert b'["host","h"]' in answer


async def test_requests_behind_a_slow_one_are_answered_in_order(served):
    connection = served.connect()
    await ask(connection, get())
    for target in (b"/wait", b"/items/2", b"/items/3"):
        assert await ask(connection, get(target)) == b""
    assert connection.transport.paused
    served.service.freed.set()
    await settle()
    assert re.findall(rb'\r\n\r\n\[+"(\w+)"', taken(connection)) == [b"host", b"2", b"3"]
    assert not connection.transport.paused


async def test_in_a_drain_the_answer_to_what_repeats_ends_the_connection(served):
    connection = served.connect()
    await ask(connection, get())
    served.config.http_protocol_class.begin_drain()
    assert b"connection: close\r\n" in await ask(connection, get())
    assert connection.transport.closing


async def test_a_flood_of_line_ends_is_not_a_long_target(served):
    connection = served.connect()
    await ask(connection, get(b"/items/1?q=" + b"x" * 2500))
    answer = await ask(connection, b"\r\n" * 1600)
    assert b" 431 " in answer


# Sequences of requests, right and wrong, against a connection that remembers nothing.

ONE_BYTE = st.binary(min_size=1, max_size=1)
GOOD_TARGETS = (b"/items/1", b"/items/1", b"/items/1?q=a&q=b", b"/items/%41", b"/items/a%2Fb", b"/orders", b"/small")
ODD_TARGETS = (b"/items/%", b"/items/%ff", b"/", b"*", b"", b"//", b"/items/1#a", b"http://h/items/1", b"h:80")
ODD_TARGETS += (b"http://other/items/1", b"/wait", b"/writes", b"/nothing", b"/items/1/", b"/items/" + b"a" * 600)
TARGETS = st.one_of(
    st.sampled_from((*GOOD_TARGETS, *ODD_TARGETS, b"/items/1?" + b"b" * 600)),
    ONE_BYTE.map(lambda byte: b"/items/" + byte),
    ONE_BYTE.map(lambda byte: b"/items/1?q=" + byte),
    ONE_BYTE,
)
LINES = st.sampled_from(
    [b"%b %b HTTP/1.1"] * 12
    + [b"%b %b HTTP/1.0", b"%b  %b HTTP/1.1", b"%b %b  HTTP/1.1", b"%b\t%b HTTP/1.1", b" %b %b HTTP/1.1"]
    + [b"%b %b HTTP/1.1 ", b"%b %b http/1.1", b"%b %b", b"%b %b HTTP/2.0"]
)
METHODS = st.sampled_from([b"GET"] * 6 + [b"DELETE", b"HEAD", b"OPTIONS", b"PUT", b"get", b"BREW"])
ODD_FIELDS = st.sampled_from(
    [b""] * 24
    + [b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"Connection: upgrade\r\nUpgrade: h2c\r\n"]
    + [b"Expect: 100-continue\r\n", b"Transfer-Encoding: chunked\r\n", b"X-A: 1\r\n 2\r\n", b"X-B : 1\r\n", b"X-B:\r\n"]
    + [b"Upgrade: h2c\r\n", b"Content-Length: 0\r\n", b"Content-Length: 2\r\n", b"Host: h\r\n", b"X-C: \xff\r\n"]
    + [b"X-C: a\x00\r\n", b"X-C: a\n", b"X-C: a\r", b"X-Request-ID: mine\r\n", b"X-L: " + b"l" * 300 + b"\r\n"]
    + [b"x-a: 2\r\n", b"Cookie: a=1\r\nCookie: b=2\r\n", b"A: 1\r\n" * 12, b"Host: other\r\n", b"X-D: a\tb\r\n"]
)
LENGTHS = st.sampled_from(
    [b"%d"] * 24
    + [b"+%d", b"-%d", b"0%d", b" %d", b"\t%d", b"%d ", b"%d\t", b"%d, %d", b"%d,%d", b"%dx", b"0x%d", b"", b"%d\r\n"]
    + [
        b"%d\r\nContent-Length: %d",
        b"%d\r\ncontent-length: 9",
        b"9999999999%d",
        b"18446744073709551616",
        b"%d 1",
        b"0000000%d",
    ]
)
SMUGGLED = b"GET /items/1 HTTP/1.1\r\nHost: h\r\n\r\n"
BODIES = st.sampled_from(
    [b"{}"] * 2
    + [b'{"a":1}', b'{"b":"' + b"x" * 30 + b'"}', b'{"c":"' + b"y" * 200 + b'"}', b"", b"[", b"\r\n\r\n", b"0\r\n\r\n"]
    + [SMUGGLED]
)
SHIFTS = st.sampled_from([0] * 24 + [1, -1, 5])
AROUND = st.sampled_from([b""] * 30 + [b"\r\n", b"\n", b"\r", b" ", b"\r\n\r\n", b"x", b"\x00"])
PLAIN_FIELDS = st.sampled_from([b"", b"", b"", b"Accept: */*\r\nX-E: e\r\n", b"X-L: " + b"l" * 370 + b"\r\n"])


@st.composite
def requests(draw, fields, after, *, has_body, odd):
    """One request; what is *odd* about it is drawn, else it has only another target and another body."""
    if odd:
        has_body = draw(st.sampled_from([has_body, has_body, not has_body]))
        method = draw(METHODS) if not has_body or draw(st.integers(0, 5)) == 0 else b"POST"
        target, line = draw(TARGETS), draw(LINES)
        fields, after = fields + draw(ODD_FIELDS), draw(st.sampled_from([after, after, b"", b"X-Z: z\r\n"]))
    else:
        method = b"POST" if has_body else b"GET"
        target = draw(
            st.sampled_from((b"/orders", b"/small") if has_body else (b"/items/1", b"/items/2?q=b", b"/wait"))
        )
        line = b"%b %b HTTP/1.1"
    raw = line % (method, target) + b"\r\n" + HOST + fields
    if not has_body:
        raw += after + b"\r\n"
    else:
        body = draw(BODIES)
        stated = max(0, len(body) + (draw(SHIFTS) if odd else 0))
        length = (draw(LENGTHS) if odd else b"%d").replace(b"%d", b"%d" % stated)
        raw += b"Content-Type: application/json\r\nContent-Length: " + length + b"\r\n" + after + b"\r\n" + body
    if odd and draw(st.integers(0, 9)) == 0:
        at = draw(st.integers(0, len(raw) - 1))
        raw = raw[:at] + draw(ONE_BYTE) + raw[at + draw(st.integers(0, 1)) :]
    return draw(AROUND) + raw + draw(AROUND) if odd else raw


@st.composite
def conversations(draw):
    """Pieces as they come, each with whether the server has time before the next; the head of the first two repeats."""
    fields, after, has_body = draw(PLAIN_FIELDS), draw(st.sampled_from([b"", b"X-Z: z\r\n"])), draw(st.booleans())
    pieces = []
    joined = b""
    for number in range(draw(st.integers(3, 8))):
        odd = number > 1 and draw(st.integers(0, 2)) > 0
        raw = joined + draw(requests(fields, after, has_body=has_body, odd=odd))
        joined = b""
        way = draw(st.integers(0, 9)) if number > 1 else 9
        if way == 0:
            joined = raw
        elif way == 1 and len(raw) > 1:
            cut = draw(st.integers(1, len(raw) - 1))
            pieces += [(raw[:cut], draw(st.booleans())), (raw[cut:], True)]
        else:
            pieces.append((raw, draw(st.integers(0, 5)) > 0))
    return [*pieces, (joined, True)] if joined else pieces


async def say(connection, pieces, service):
    """Send *pieces* as a transport would; return what came of each, and how the connection was then."""
    service.freed.clear()
    parsed = 0
    told = []

    def take(known, data):
        nonlocal parsed
        taken = WireProtocol.take(connection, known, data)
        parsed -= taken
        return taken

    type(connection).take = lambda self, known, data: take(known, data)
    transport = connection.transport
    try:
        for piece, rest in pieces:
            if transport.closing:
                break
            if transport.paused:  # then nothing comes until the queue is empty
                service.freed.set()
                await settle()
                service.freed.clear()
            (transport.protocol or connection).data_received(piece)
            if rest:
                await settle()
            told.append((same(taken(connection)), transport.closing, transport.half_closed, transport.paused))
        service.freed.set()
        await settle()
        told.append((same(taken(connection)), transport.closing, transport.half_closed, transport.paused))
    finally:
        del type(connection).take
    cycle = connection.cycle
    state = None if cycle is None else (cycle.response_complete, cycle.more_body, cycle.keep_alive)
    return told, state, connection.unparsed, parsed


PADDING = LIMITS.field_bytes - len(b"hosthcontent-typeapplication/jsoncontent-lengthx-a1x-pad") - 1
PADDED = b"X-Pad: " + b"p" * PADDING + b"\r\n"
"""With this field, and a length of one digit, there are as many bytes of fields as there may be."""


def padded(body, target=b"/orders"):
    return post(body, target).replace(HOST, HOST + PADDED)


def changes():
    """Give requests, each with what comes once it has been sent twice, and a name."""
    base = get()
    for byte in range(256):
        for place in (b"/items/%b", b"/items/x%by", b"/items/1?q=%b", b"/items/1?%b"):
            yield f"{place!r} {byte}", base, get(place % bytes([byte]))
        yield f"first {byte}", base, get(bytes([byte]) + b"items/1")
    for target in (*GOOD_TARGETS, *ODD_TARGETS):
        yield f"target {target[:20]!r}", base, get(target)
        yield f"target of a body {target[:20]!r}", post(), post(target=target)
    for method in (b"PUT", b"POST", b"DELETE", b"HEAD", b"OPTIONS", b"CONNECT", b"PRI", b"get", b"GE", b"GETT", b"BRW"):
        yield f"method {method!r}", base, base.replace(b"GET", method)
        yield f"method of a body {method!r}", post(), post().replace(b"POST", method)
    for old, new in (
        (b"HTTP/1.1", b"HTTP/1.0"), (b"HTTP/1.1", b"HTTP/1.2"), (b"HTTP/1.1", b"http/1.1"), (b" HTTP", b"  HTTP"),
        (b" HTTP", b"\tHTTP"), (b"GET ", b"GET  "), (b"1.1\r\n", b"1.1 \r\n"), (b"1.1\r\n", b"1.1\n"),
        (b"Host: h\r\n", b"Host: g\r\n"), (b"Host: h", b"host: h"), (b"Host: h\r\n", b"Host: h\n"), (b"Host", b"Hos"),
        (b"Host: h\r\n", b""), (b"Host: h\r\n", b"Host: h\r\n x\r\n"), (b"\r\n\r\n", b"\n\n"), (b"\r\n\r\n", b"\r\n"),
    ):  # fmt: skip
        yield f"{old!r} {new!r}", base, base.replace(old, new, 1)
    for around in (
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b"\t",
        b"x",
        b"\x00",
        b"\r\n\r\n",
        base,
        post(),
        b"GET /",
        b"PRI * HTTP/2.0\r\n\r\n",
    ):
        for data in (base, post(), post(b'{"a":1}')):
            yield f"behind {around!r}", data, data + around
            yield f"before {around!r}", data, around + data
    body = b'{"a":12345}'
    for length in (
        *(
            b"11",
            b"+11",
            b"-11",
            b"011",
            b"0" * 20 + b"11",
            b" 11",
            b"11 ",
            b"11\t",
            b"\t11",
            b"\x0b11",
            b"11, 11",
            b"11,11",
        ),
        *(b"", b"x", b"0x0b", b"1_1", b"1 1", b"11;", b"11\r\nContent-Length: 11", b"11\r\nContent-Length: 2"),
        *(b"11\r\nTransfer-Encoding: chunked", b"11\n", b"11\r", b"11\r\n 1", b"0", b"10", b"12", b"1", b"99999999999"),
        *(b"18446744073709551627", b"1e1", b"11.0", "\u0661\u0661".encode()),
    ):
        for before in (body, b"{}"):
            yield f"length {length!r}", post(before), post(body, length=length)
    for name in (b"content-length", b"Content-Lengthh", b"Content-Length ", b"X-Content-Length", b"Content_Length"):
        yield f"name {name!r}", post(), post().replace(b"Content-Length", name)
    for tail in (
        b"X-A: 2",
        b"X-B: 1",
        b"Y-A: 1",
        b"X-A:\t1",
        b"X-A : 1",
        b"Host: h",
        b"X-A: 1\r\nX-A: 1",
        b" X-A: 1",
        b"X-A: \0",
    ):
        for other in (b"{}", body):
            yield f"tail {tail!r}", post(), post(other).replace(b"X-A: 1", tail)
    yield "one byte too many", padded(b"[]"), padded(b'{"a":"' + b"x" * 10 + b'"}')
    yield "just as many", padded(b"[]"), padded(b'{"a":1}')
    yield "too large", post(b"{}", b"/small"), post(b'{"a":"' + b"x" * 20 + b'"}', b"/small")
    yield "too large by its route", post(b"{}"), post(b'{"a":"' + b"x" * 20 + b'"}', b"/small")


async def both(served, pieces):
    """Say the same to a connection that remembers and to one that does not."""
    found = [await say(served.connect(remembers=remembers), pieces, served.service) for remembers in (True, False)]
    served.hang_up()
    await settle()
    return found


async def test_one_thing_different(served):
    assert b" 200 " in await ask(served.connect(), padded(b"{}"))  # or its field is too long by itself
    hits = 0
    for name, base, other in changes():
        remembering, parsing = await both(served, [(base, True), (base, True), (other, True), (base, True)])
        assert remembering[:-1] == parsing[:-1], name
        hits += parsing[-1] - remembering[-1] > 1
    assert hits > 300  # of what is different it has taken what is plain


async def test_what_repeats_is_read_as_it_would_be_parsed(served):
    """Whatever is sent, in whatever pieces: answers and ends are those of a connection that parses everything."""
    loop = asyncio.get_running_loop()
    hits = 0

    def check(pieces):
        nonlocal hits
        future = asyncio.run_coroutine_threadsafe(both(served, pieces), loop)
        remembering, parsing = future.result()
        assert remembering[:-1] == parsing[:-1], pieces
        hits += parsing[-1] - remembering[-1]
        event(f"{parsing[-1] - remembering[-1]} not parsed")

    search = settings(
        max_examples=10_000 if FULL else 150, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )(given(conversations())(check))
    await asyncio.to_thread(search)
    assert hits > 100  # or it has been about nothing
