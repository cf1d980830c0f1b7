"""Scenario 15 in small: rolling restarts under an open-loop load on kept connections lose no request.

The test holds the listening socket, as systemd or a parent process would; every new process takes it over, and the old
one is told to end. With the protection off, connections are closed while a request is on its way.
"""

from __future__ import annotations

import pytest

from support.workers import roll

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("carrier", ["wire", "asgi"])
async def test_no_request_is_lost_in_ten_rolling_restarts(carrier):
    load, statuses = await roll(10, "seawall", server_carrier=carrier)
    assert load.failures == []
    assert statuses == [0] * 11
    assert load.answered > 500
    assert load.opened >= 10, "the clients have moved on each time"


async def test_without_the_protection_requests_are_lost():
    load, _ = await roll(4, "unprotected", server_drain_grace="0")
    assert load.failures != []
    assert load.answered > 0
