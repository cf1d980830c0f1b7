"""Serving by granian: what it keeps of the drain, and what it says."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from seawall import Service
from seawall.granian import serve
from seawall.problems import ConfigurationError
from seawall.settings import ServerSettings, Settings
from support.process import Wire, served

HERE = Path(__file__).parent


def app(misbehaves="", **variables):
    return served(
        "lifecycle_app:service", HERE, SEAWALL_SERVER_SERVER="granian", APP_MISBEHAVES=misbehaves, **variables
    )


def test_a_drain_answers_who_has_connected_and_lets_calls_end():
    with app() as each:
        where = each.address()
        with Wire(where) as call, Wire(where) as newcomer:
            call.send("/slow?seconds=0.5")
            each.until("in the call")
            each.tell()
            time.sleep(0.4)
            status, fields, _ = newcomer.get("/health/ready")
            assert (status, fields["connection"]) == (503, "close")
            assert call.answer()[0] == 200
        assert each.ended() == 0
        lines = ("early hook", "late hook", "call over", "flushed", "second closed", "first closed", '"stopped"')
        places = [each.output.index(line) for line in lines]
        assert places == sorted(places)


def test_what_is_cut_is_said_and_makes_the_status_1():
    with app(SEAWALL_SERVER_SHUTDOWN_SECONDS="2s") as each:
        where = each.address()
        with Wire(where) as call, Wire(where) as half:
            half.socket.sendall(b"POST /later?seconds=1 HTTP/1.1\r\nHost: localhost\r\nContent-Le")
            call.send("/slow?seconds=1000")
            each.until("in the call")
            began = time.monotonic()
            assert each.end() == 1
            assert time.monotonic() - began < 5
        line = json.loads(each.output.splitlines()[-1])
        assert (line["cut_calls"], line["cut_connections"]) == (1, 1)


def test_what_its_parser_lets_pass_is_refused():
    with app() as each:
        where = each.address()
        for fields in ("Host: a\r\nHost: a\r\n", "Host: a/b\r\n", "Host: a\r\nTransfer-Encoding: gzip, chunked\r\n"):
            with Wire(where) as client:
                client.socket.sendall(f"GET /hello HTTP/1.1\r\n{fields}\r\n".encode())
                assert client.answer()[0] == 400
        assert each.end() == 0


def test_a_start_that_fails_is_named():
    with app("never starts") as each:
        assert each.ended() not in (0, None)
        assert "did not start within 0.3 s" in each.output


def test_without_it_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "granian", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'seawall\[granian\]'"):
        serve(Service("none"), Settings(server=ServerSettings(server="granian")))
