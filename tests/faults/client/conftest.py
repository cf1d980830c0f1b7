"""Three services in a row and one target, each a process of its own, and a ledger outside of them."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.process import served
from support.rows import Row

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def row() -> Iterator[Row]:
    with contextlib.ExitStack() as stack:
        ledger = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        ledger.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        ledger.bind(("127.0.0.1", 0))
        ledger.setblocking(False)
        servers, addresses = {}, {}
        following = ""
        for name in "CBA":
            variables = {"HOP_NAME": name, "HOP_NEXT": following, "HOP_LEDGER": str(ledger.getsockname()[1])}
            servers[name] = stack.enter_context(served("hop_app:service", HERE, **variables))
            addresses[name] = servers[name].address()
            following = "http://{}:{}".format(*addresses[name])
        yield Row(servers, addresses, ledger)
        for name in "ABC":
            assert servers[name].end() == 0, servers[name].output
            assert "Traceback" not in servers[name].output


@pytest.fixture(scope="session")
def target() -> Iterator[str]:
    """The URL of a target that can do so much and no more."""
    with served("target_app:service", HERE) as server:
        yield "http://{}:{}".format(*server.address())
        assert server.end() == 0, server.output
