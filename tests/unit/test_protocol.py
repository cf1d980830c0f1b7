from __future__ import annotations

import asyncio
import json

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from seawall.protocol import ConnectionLimits, Lingering, bounded_protocol, sweep
from support.transport import Transport

pytestmark = pytest.mark.anyio

LIMITS = ConnectionLimits(head_bytes=1000, head_fields=10, field_bytes=700, head_seconds=3.0, connections=2)
HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = b"POST /body HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


class Server:
    """Connections to an application that notes what it is asked, and answers when it is told."""

    def __init__(self):
        self.state = ServerState()
        self.scopes = []
        self.bodies = []
        self.answer = asyncio.Event()
        self.config = uvicorn.Config(
            self.app, interface="asgi3", lifespan="off", log_config=None, proxy_headers=False, server_header=False
        )
        self.config.load()
        self.connections = []

    async def app(self, scope, receive, send):
        self.scopes.append(scope)
        if scope["path"] == "/body":
            message = await receive()
            while message.get("more_body"):
                message = await receive()
            self.bodies.append(message["type"])
        if scope["path"] == "/wait":
            await self.answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    def connect(self):
        protocol = bounded_protocol(LIMITS)(self.config, self.state, {})
        protocol.connection_made(Transport())
        self.connections.append(protocol)
        return protocol

    def close(self):
        for connection in self.connections:
            transport = connection.transport
            (transport.protocol or connection).connection_lost(None)


@pytest.fixture
async def server():
    made = Server()
    yield made
    made.answer.set()
    await settle()
    made.close()


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


def refused(protocol):
    """Return the problem the connection was refused with."""
    transport = protocol.transport
    head, _, body = transport.written.rpartition(b"\r\n\r\n")
    assert b"connection: close" in head
    assert b"application/problem+json" in head
    problem = json.loads(body)
    assert head.startswith(b"HTTP/1.1 %d " % problem["status"])
    return problem["status"]


def lingers(protocol):
    return protocol.transport.half_closed and isinstance(protocol.transport.protocol, Lingering)


async def test_an_ordinary_request_is_served(server):
    connection = server.connect()
    connection.data_received(HEAD + b"\r\n")
    await settle()
    assert connection.transport.written.endswith(b"\r\n\r\nok")
    assert not connection.transport.closing


async def test_a_head_in_many_small_pieces_is_served(server):
    connection = server.connect()
    for byte in HEAD + b"X: " + b"y" * 600 + b"\r\n\r\n":
        connection.data_received(bytes([byte]))
    await settle()
    assert connection.transport.written.endswith(b"ok")


@pytest.mark.parametrize("piece", [b"X-Field: some value\r\n", b"y" * 20, b"x: " + b"y" * 90 + b"\r\n"])
async def test_a_head_without_an_end_is_refused(server, piece):
    connection = server.connect()
    connection.data_received(HEAD)
    sent = 0
    while not connection.transport.written:
        connection.data_received(piece)
        sent += len(piece)
        assert sent < 2000
    assert refused(connection) == 431
    assert lingers(connection)
    await settle()
    assert server.scopes == []


async def test_a_target_without_an_end_is_refused(server):
    connection = server.connect()
    connection.data_received(b"GET /")
    for _ in range(10):
        connection.data_received(b"y" * 100)
        if connection.transport.written:
            break
    assert refused(connection) == 414


async def test_too_many_fields_in_one_piece_are_refused(server):
    connection = server.connect()
    connection.data_received(HEAD + b"a:b\r\n" * 10 + b"\r\n")
    await settle()
    assert refused(connection) == 431
    assert server.scopes == []


@pytest.mark.parametrize(("size", "status"), [(600, 200), (800, 431), (5000, 431)])
async def test_fields_are_measured_when_they_come_in_one_piece(server, size, status):
    connection = server.connect()
    connection.data_received(HEAD + b"X: " + b"y" * size + b"\r\n\r\n")
    await settle()
    assert connection.transport.written.startswith(b"HTTP/1.1 %d " % status)


async def test_a_body_in_the_same_piece_does_not_count(server):
    connection = server.connect()
    connection.data_received(b"POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000)
    await settle()
    assert connection.transport.written.endswith(b"ok")


async def test_as_many_fields_as_allowed_are_served(server):
    connection = server.connect()
    connection.data_received(HEAD + b"a:b\r\n" * 9 + b"\r\n")
    await settle()
    assert connection.transport.written.endswith(b"ok")


async def test_a_body_may_be_larger_than_a_head(server):
    connection = server.connect()
    connection.data_received(b"POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000\r\n\r\n")
    for _ in range(50):
        connection.data_received(b"x" * 1000)
        await settle()
    assert connection.transport.written.endswith(b"ok")


async def test_many_requests_on_one_connection_do_not_add_up(server):
    connection = server.connect()
    for _ in range(100):
        connection.data_received(HEAD + b"X: " + b"y" * 500 + b"\r\n\r\n")
        await settle()
    assert connection.transport.written.count(b"200 OK") == 100
    assert not connection.transport.half_closed


async def test_trailers_do_not_become_header_fields(server):
    connection = server.connect()
    connection.data_received(CHUNKED + b"3\r\nabc\r\n0\r\nAuthorization: evil\r\nX: y\r\n\r\n")
    await settle()
    assert connection.transport.written.endswith(b"ok")
    assert [name for name, _ in server.scopes[0]["headers"]] == [b"host", b"transfer-encoding"]


async def test_trailers_without_an_end_are_refused(server):
    connection = server.connect()
    connection.data_received(CHUNKED + b"3\r\nabc\r\n0\r\nT: ")
    for _ in range(12):
        connection.data_received(b"y" * 100)
    assert refused(connection) == 431
    await settle()
    assert server.bodies == ["http.disconnect"]
    assert connection.transport.written.count(b"problem+json") == 1


async def test_what_is_no_http_is_a_problem(server):
    connection = server.connect()
    connection.data_received(b"nonsense\r\n\r\n")
    assert refused(connection) == 400


async def test_much_that_is_no_http_is_refused_once(server):
    connection = server.connect()
    connection.data_received(b"nonsense " * 500)
    assert refused(connection) == 400
    assert connection.transport.written.count(b"problem+json") == 1


async def test_a_broken_body_is_a_problem_and_the_operation_is_told(server):
    connection = server.connect()
    connection.data_received(CHUNKED + b"3\r\nabc\r\n")
    await settle()
    connection.data_received(b"zz\r\n")
    assert refused(connection) == 400
    await settle()
    assert server.bodies == ["http.disconnect"]
    assert connection.transport.written.count(b"problem+json") == 1


async def test_a_refusal_waits_for_the_answers_before_it(server):
    connection = server.connect()
    connection.data_received(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await settle()
    connection.data_received(HEAD)
    for _ in range(12):
        connection.data_received(b"y" * 100)
    assert connection.transport.written == b""
    assert connection.transport.paused, "nothing more is read of a client that is refused"
    server.answer.set()
    await settle()
    answer, _, refusal = connection.transport.written.partition(b"\r\n\r\nok")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert refusal.startswith(b"HTTP/1.1 431 ")
    assert len(server.scopes) == 1
    assert lingers(connection)


async def test_a_connection_too_many_is_answered_and_closed(server):
    server.connect()
    server.connect()
    third = server.connect()
    assert refused(third) == 503
    assert b"retry-after: 1\r\n" in third.transport.written
    assert third.transport.closing
    assert len(server.state.connections) == 2


async def test_a_place_is_free_again_when_a_connection_ends(server):
    first = server.connect()
    server.connect()
    first.connection_lost(None)
    server.connections.remove(first)
    assert server.connect().transport.written == b""


async def sweeps(server, number):
    for _ in range(number):
        sweep(server.state, 1.0)
        await settle()


async def test_silence_ends(server):
    connection = server.connect()
    await sweeps(server, 3)
    assert connection.transport.written == b""
    await sweeps(server, 1)
    assert refused(connection) == 408


async def test_half_a_head_ends_however_it_drips(server):
    connection = server.connect()
    connection.data_received(HEAD)
    for _ in range(4):
        await sweeps(server, 1)
        connection.data_received(b"X: y\r\n")
    assert refused(connection) == 408


async def test_a_busy_connection_is_never_taken_for_a_slow_one(server):
    connection = server.connect()
    for _ in range(10):
        connection.data_received(b"GET / HT")
        await sweeps(server, 1)
        connection.data_received(b"TP/1.1\r\nHost: localhost\r\n\r\n")
        await settle()
    assert connection.transport.written.count(b"200 OK") == 10


async def test_who_waits_for_an_answer_is_left_alone(server):
    connection = server.connect()
    connection.data_received(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\nGET /")
    await sweeps(server, 20)
    assert not connection.transport.closing
    server.answer.set()
    await settle()
    assert connection.transport.written.endswith(b"ok")


async def test_a_body_nobody_waits_for_ends(server):
    connection = server.connect()
    connection.data_received(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n")
    await settle()
    assert connection.transport.written.endswith(b"ok")
    for _ in range(4):
        connection.data_received(b"x")
        await sweeps(server, 1)
    assert connection.transport.closing


async def test_a_lingering_connection_forgets_what_comes_and_ends(server):
    connection = server.connect()
    connection.data_received(b"nonsense\r\n\r\n")
    written = connection.transport.written
    lingering = connection.transport.protocol
    lingering.data_received(b"GET / HTTP/1.1\r\n\r\n")
    assert connection.transport.written == written
    assert connection in server.state.connections
    assert lingering.eof_received() is False
    lingering.connection_lost(None)
    assert connection not in server.state.connections
    server.connections.remove(connection)


async def test_an_answer_nobody_reads_ends_the_connection(server):
    connection = server.connect()
    connection.transport.waiting = 100_000
    await sweeps(server, 30)
    assert not connection.transport.closing
    assert connection.transport.socket.lingers
    await sweeps(server, 1)
    assert connection.transport.closing
    assert not connection.transport.socket.lingers, "the system holds nothing for it any more"


async def test_an_answer_that_is_read_slowly_enough_is_left_alone_and_one_that_drips_is_not(server):
    steady, dripping = server.connect(), server.connect()
    for connection in (steady, dripping):
        connection.data_received(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n")  # owes nothing
        connection.transport.waiting = 100_000
    for _ in range(61):
        steady.transport.waiting -= 300
        dripping.transport.waiting -= 200
        await sweeps(server, 1)
    assert (steady.transport.closing, dripping.transport.closing) == (False, True)


async def test_a_stream_that_goes_on_has_its_time_anew(server):
    connection = server.connect()
    connection.data_received(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n")
    for _ in range(10):
        connection.transport.waiting = 70_000
        await sweeps(server, 20)
        connection.transport.waiting = 10_000
        await sweeps(server, 1)
    assert not connection.transport.closing


UPGRADE = b"GET /first HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"


async def test_what_comes_behind_an_upgrade_that_is_not_made_is_answered(server):
    connection = server.connect()
    connection.data_received(UPGRADE * 1500 + HEAD + b"\r\n")
    for _ in range(1600):
        await settle()
    assert connection.transport.written.count(b"200 OK") == 1501


async def test_what_is_wrong_behind_an_upgrade_is_refused(server):
    connection = server.connect()
    connection.data_received(UPGRADE + b"nonsense\r\n\r\n")
    await settle()
    answer, _, refusal = connection.transport.written.partition(b"\r\n\r\nok")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert refusal.startswith(b"HTTP/1.1 400 ")


FAULTS = [
    b"GET / HTTP/1.1\r\nX: y\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    b"GET http://other/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
]


@pytest.mark.parametrize("data", FAULTS, ids=repr)
async def test_what_the_parser_lets_pass_is_refused_here_and_nowhere_else(server, data):
    connection = server.connect()
    connection.data_received(data)
    await settle()
    assert (refused(connection), server.scopes) == (400, [])
    plain = HttpToolsProtocol(server.config, server.state, {})
    plain.connection_made(Transport())
    server.connections.append(plain)
    plain.data_received(data)
    await settle()
    assert b"200 OK" in plain.transport.written, "without the protection it is answered"
