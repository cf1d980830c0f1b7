"""Clients that go away, over real sockets, on both carriers: plainly, in half, by a reset, behind other requests."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.process import Served, Wire, served

HERE = Path(__file__).parent


@pytest.fixture(scope="module", params=["wire", "asgi"])
def server(request: pytest.FixtureRequest) -> Iterator[Served]:
    with served("cancelled_app:service", HERE, SEAWALL_SERVER_CARRIER=request.param) as each:
        each.where = each.address()
        yield each


def reset(wire: Wire) -> None:
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.socket.close()


def half_close(wire: Wire) -> None:
    """Say that nothing more will be sent, and wait for the answer that does not come: see the decision."""
    wire.socket.shutdown(socket.SHUT_WR)
    assert wire.is_closed()
    wire.socket.close()


LEAVE = {"closed": lambda wire: wire.socket.close(), "reset": reset, "half closed": half_close}


@pytest.mark.parametrize("how", LEAVE)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_client_that_goes_away_ends_its_call(server: Served, method: str, how: str) -> None:
    wire = Wire(server.where)
    if method == "POST":
        wire.send("/slow", "X-Request-ID: gone", "Content-Type: application/json", method=method, body=b"{}")
    else:
        wire.send("/slow", "X-Request-ID: gone")
    server.until("began gone")
    LEAVE[how](wire)
    server.until("rolled back")
    server.until("over gone disconnect CancelledError")


def test_one_that_is_to_finish_does(server: Served) -> None:
    wire = Wire(server.where)
    wire.send("/finish", "X-Request-ID: kept")
    server.until("began kept")
    wire.socket.close()
    server.until("finished kept")
    server.until("committed")
    server.until("over kept - NoneType")


def test_who_takes_the_request_itself_finishes(server: Served) -> None:
    wire = Wire(server.where)
    wire.send("/request", "X-Request-ID: raw")
    server.until("began raw")
    wire.socket.close()
    server.until("over raw - NoneType")


def test_one_that_is_late_is_told_so_and_says_so(server: Served) -> None:
    with Wire(server.where) as wire:
        assert wire.get("/late", "X-Request-ID: late")[0] == 504
        server.until("over late deadline DeadlineExceeded")
        assert wire.get("/slow?seconds=0")[0] == 200  # the connection is as good as new


def test_a_caller_may_bring_its_deadline(server: Served) -> None:
    with Wire(server.where) as wire:
        status, _, body = wire.get("/slow", "X-Request-ID: hurried", "Grpc-Timeout: 100m")
        assert (status, b"time that the caller gave it" in body) == (504, True)
        server.until("over hurried deadline DeadlineExceeded")
        assert wire.get("/slow?seconds=0", "Grpc-Timeout: at once")[0] == 400
        assert wire.get("/slow?seconds=0", "Grpc-Timeout: 20S")[0] == 200


@pytest.mark.parametrize("how", ["closed", "reset"])
def test_requests_behind_one_that_is_abandoned_do_not_begin(server: Served, how: str) -> None:
    """While requests are queued nothing is read, so the connection is looked at for its end once a second."""
    name = f"queued-{how}"
    wire = Wire(server.where)
    for number in range(3):
        wire.send("/slow", f"X-Request-ID: {name}-{number}")
    server.until(f"began {name}-0")
    LEAVE[how](wire)
    server.until(f"over {name}-0 disconnect CancelledError")
    with Wire(server.where) as after:
        assert after.get("/slow?seconds=0.1")[0] == 200
    assert f"began {name}-1" not in server.output
    assert "Traceback" not in server.output


def test_a_client_that_goes_away_while_the_answer_is_written(server: Served) -> None:
    wire = Wire(server.where)
    wire.send("/large", "X-Request-ID: large")
    server.until("over large - NoneType")
    reset(wire)
    with Wire(server.where) as after:
        assert after.get("/slow?seconds=0")[0] == 200


def test_the_server_still_stops_in_order_with_abandoned_calls_in_its_care(tmp_path: Path) -> None:
    with served("cancelled_app:service", HERE) as each:
        where = each.address()
        wires = [Wire(where) for _ in range(20)]
        for number, wire in enumerate(wires):
            wire.send("/slow", f"X-Request-ID: n{number:02}")
        for _ in wires:
            each.until("began n")
        began = time.monotonic()
        for wire in wires[:15]:
            wire.socket.close()
        for _ in range(15):
            each.until("over n.. disconnect")
        each.tell()
        each.until("stopping")
        each.tell()  # in a hurry: what is left is cut
        assert each.ended() == 1
        assert time.monotonic() - began < 10
        assert each.output.count("shutdown CancelledError") == 5
        assert each.output.count("rolled back") == 20
        assert "Traceback" not in each.output
        for wire in wires:
            wire.socket.close()
