"""A handler that blocks the event loop, and one that heeds no cancellation, cannot keep a service from ending."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from support.process import Wire, served

HERE = Path(__file__).parent
SHUTDOWN = 0.2
SERVERS = pytest.mark.parametrize("server", ["uvicorn", "granian"])


def app(server="uvicorn", module="seawall"):
    return served(
        "blocking_app:service",
        HERE,
        module=module,
        SEAWALL_SERVER_SERVER=server,
        SEAWALL_SERVER_SHUTDOWN_SECONDS=str(SHUTDOWN),
    )


def lines(each):
    return [json.loads(line) for line in each.output.splitlines() if line.startswith("{")]


@SERVERS
def test_a_blocked_loop_does_not_keep_the_process_and_the_line_is_named(server):
    with app(server) as each, Wire(each.address()) as client:
        client.send("/block")
        each.until("blocked")
        began = time.monotonic()
        assert each.end() == 1
        assert time.monotonic() - began < SHUTDOWN + 8
        (said,) = [line for line in lines(each) if line["level"] == "critical"]
        assert "event loop is blocked" in said["message"]
        assert "blocking_app.py:" in said["line"]
        assert said["line"].endswith("in block")
        assert "time.sleep(0.2)" in said["stack"]


def test_without_the_last_resort_a_blocked_loop_keeps_the_process():
    with app(module="without_last_resort") as each, Wire(each.address()) as client:
        client.send("/block")
        each.until("blocked")
        each.tell(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            each.process.wait(SHUTDOWN + 6)


@SERVERS
def test_a_call_that_heeds_no_cancellation_is_left_behind_and_named(server):
    with app(server) as each, Wire(each.address()) as client:
        client.send("/heedless")
        each.until("begun")
        began = time.monotonic()
        assert each.end() == 1
        assert time.monotonic() - began < SHUTDOWN + 8
        assert "not heeded" in each.output
        (said,) = [line for line in lines(each) if "have not ended in time" in line["message"]]
        assert said["operations"] == "heedless x 1"
