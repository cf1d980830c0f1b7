"""Scenario 15 in small: rolling restarts under an open-loop load on kept connections lose no request.

The test holds the listening socket, as systemd or a parent process would; every new process takes it over, and the old
one is told to end. With the protection off, connections are closed while a request is on its way.
"""

from __future__ import annotations

import os

import pytest

from support.workers import roll

pytestmark = pytest.mark.anyio

FULL = os.environ.get("SEAWALL_FAULTS") == "full"
"""Whether it runs in the size of the scenario, which takes minutes."""


@pytest.mark.parametrize("carrier", ["wire", "asgi", "granian"])
async def test_no_request_is_lost_in_rolling_restarts(carrier):
    how = {"server_server": "granian"} if carrier == "granian" else {"server_carrier": carrier}
    times = 50 if FULL else 5 if carrier == "granian" else 10
    load, statuses = await roll(times, "seawall", **how)
    assert load.failures == []
    assert statuses == [0] * (times + 1)
    assert load.answered > times * 50
    assert load.opened >= times, "the clients have moved on each time"


@pytest.mark.parametrize("server", ["uvicorn", "granian"])
async def test_without_the_protection_requests_are_lost(server):
    load, _ = await roll(4, "unprotected", server_drain_grace="0", server_server=server)
    assert load.failures != []
    assert load.answered > 0
