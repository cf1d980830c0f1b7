"""Each step of starting and stopping, seen from outside: sockets, signals, lines, exit statuses."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from support.process import Wire, served

HERE = Path(__file__).parent
CARRIERS = pytest.mark.parametrize("carrier", ["wire", "asgi"])


def app(carrier="wire", misbehaves="", **settings):
    variables = {f"SEAWALL_{name.upper()}": str(value) for name, value in settings.items()}
    return served("lifecycle_app:service", HERE, SEAWALL_SERVER_CARRIER=carrier, APP_MISBEHAVES=misbehaves, **variables)


def last_line(each):
    return json.loads(each.output.splitlines()[-1])


class TestHealth:
    @CARRIERS
    def test_the_probes_pass_and_are_not_kept(self, carrier):
        with app(carrier, http_trusted_hosts="shop.example.com") as each, Wire(each.address()) as client:
            for probe in ("live", "ready", "startup"):
                status, fields, body = client.get(f"/health/{probe}")
                assert (status, json.loads(body)["status"]) == (200, "pass")
                assert fields["content-type"] == "application/health+json"
                assert fields["cache-control"] == "no-store"
            assert client.get("/hello")[0] == 421, "every other route asks for the host"

    @CARRIERS
    def test_a_check_that_fails_is_told_to_this_machine_only(self, carrier):
        with app(carrier, "unhealthy") as each, Wire(each.address()) as client:
            status, _, body = client.get("/health/ready")
            (result,) = json.loads(body)["checks"]["switch:responseTime"]
            assert (status, result["status"], result["output"]) == (503, "fail", "it returned False")
            forwarded = client.get("/health/ready", "X-Forwarded-For: 192.0.2.7")
            assert (forwarded[0], json.loads(forwarded[2])) == (503, {"status": "fail"})
            assert client.get("/health/live")[0] == 200


class TestStart:
    @pytest.mark.parametrize("how", ["never starts", "cannot start"])
    def test_a_resource_that_does_not_start_ends_the_start_and_is_named(self, how):
        with app(misbehaves=how) as each:
            began = time.monotonic()
            assert each.ended() not in (0, None)
            assert time.monotonic() - began < 8
            assert "resource Second from second" in each.output
            assert "did not start within 0.3 s" in each.output
            assert "first closed" in each.output


class TestDrain:
    @CARRIERS
    def test_readiness_goes_red_while_requests_are_still_answered(self, carrier):
        with app(carrier, server_drain_grace="1s") as each:
            address = each.address()
            with Wire(address) as old:
                status, fields, _ = old.get("/hello")
                assert (status, fields.get("connection")) == (200, None)
                each.tell()
                each.until("stopping")
                status, fields, body = old.get("/health/ready")
                assert (status, fields["connection"]) == (503, "close")
                assert json.loads(body)["notes"] == ["draining"]
                assert old.is_closed()
            for path, expected in (("/hello", 200), ("/health/live", 200), ("/health/startup", 200)):
                with Wire(address) as new:
                    status, fields, _ = new.get(path)
                    assert (status, fields["connection"]) == (expected, "close")
                    assert new.is_closed()
            assert each.ended() == 0

    @CARRIERS
    def test_who_has_connected_before_is_answered_after(self, carrier):
        with app(carrier) as each, Wire(each.address()) as client:
            each.tell()
            time.sleep(0.3)
            status, fields, _ = client.get("/hello")
            assert (status, fields["connection"]) == (200, "close")
            assert each.ended() == 0

    @CARRIERS
    def test_connections_that_wait_to_be_accepted_are_answered(self, carrier):
        with app(carrier, server_drain_grace=0) as each:
            address = each.address()
            with Wire(address) as blocking:
                blocking.send("/block?seconds=0.7")
                each.until("in the call")
                waiting = [Wire(address) for _ in range(20)]
                each.tell()
                for client in waiting:
                    client.send("/hello")
                assert [client.answer()[0] for client in waiting] == [200] * 20
                assert blocking.answer()[0] == 200
                for client in waiting:
                    client.socket.close()
            assert each.ended() == 0

    @CARRIERS
    def test_requests_in_a_pipeline_are_all_answered_and_the_last_answer_closes(self, carrier):
        with app(carrier) as each, Wire(each.address()) as client:
            client.send("/slow?seconds=0.6")
            each.until("in the call")
            client.send("/hello")
            each.tell()
            each.until("stopping")
            client.send("/hello")
            answers = [client.answer() for _ in range(3)]
            assert [status for status, _, _ in answers] == [200, 200, 200]
            assert [fields.get("connection") for _, fields, _ in answers] == [None, None, "close"]
            assert client.is_closed()
            assert each.ended() == 0

    def test_a_connection_at_rest_does_not_hold_it_up(self):
        with app() as each, Wire(each.address()) as client:
            client.get("/hello")
            began = time.monotonic()
            assert each.end() == 0
            assert time.monotonic() - began < 1.5
            assert client.is_closed()

    def test_a_connection_without_a_word_is_waited_for_a_second(self):
        with app() as each, Wire(each.address()) as client:
            began = time.monotonic()
            assert each.end() == 0
            assert 1 < time.monotonic() - began < 3
            assert client.is_closed()

    def test_the_order_is_hooks_calls_tasks_resources(self):
        with app() as each, Wire(each.address()) as client:
            client.send("/slow?seconds=0.5")
            each.until("in the call")
            assert each.end() == 0
            lines = ("early hook", "late hook", "call over", "flushed", "second closed", "first closed", '"stopped"')
            places = [each.output.index(line) for line in lines]
            assert places == sorted(places)
            assert client.answer()[0] == 200
            assert not any(name.startswith("cut") for name in last_line(each))

    def test_a_hook_that_fails_holds_up_nothing(self):
        with app(misbehaves="hook fails") as each:
            each.address()
            assert each.end() == 0
            assert "drain hook end_early failed" in each.output
            assert "late hook" in each.output

    def test_work_started_in_a_call_outlives_it_and_ends_before_the_end(self):
        with app() as each, Wire(each.address()) as client:
            client.send("/later?seconds=0.8", method="POST")
            status, _, body = client.answer()
            assert status == 200
            assert json.loads(client.get("/tasks")[2]) == {"running": 2, "finished": 0}
            assert each.end() == 0
            assert f"done for {json.loads(body)} in later, deadline None" in each.output
            assert each.output.index("done for") < each.output.index("second closed")


class TestCut:
    def test_what_is_cut_is_said_and_makes_the_status_1(self):
        with app(misbehaves="flushes long", server_shutdown_seconds="2s") as each:
            address = each.address()
            with Wire(address) as call, Wire(address) as half:
                call.send("/slow?seconds=1000")
                each.until("in the call")
                half.socket.sendall(b"POST /later?seconds=1 HTTP/1.1\r\nHost: localhost\r\nContent-Le")
                began = time.monotonic()
                assert each.end() == 1
                assert time.monotonic() - began < 3
            line = last_line(each)
            assert line["message"] == "stopped; cut: 1 call; 1 connection; tasks: flusher"
            assert (line["cut_calls"], line["cut_connections"], line["cut_tasks"]) == (1, 1, ["flusher"])
            assert 1.4 <= line["seconds"] < 2.5
            assert each.output.index("call over") < each.output.index("second closed")

    @pytest.mark.parametrize("how", ["never stops", "cannot stop"])
    def test_a_resource_that_does_not_stop_is_given_up_and_the_others_close(self, how):
        with app(misbehaves=how) as each:
            each.address()
            began = time.monotonic()
            assert each.end() == 1
            assert time.monotonic() - began < 6
            assert "did not stop within 0.5 s" in each.output
            assert "first closed" in each.output
            assert last_line(each)["cut_resources"] == ["Second"]

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_second_signal_hurries(self, number):
        with app(misbehaves="flushes long") as each, Wire(each.address()) as client:
            client.send("/slow?seconds=1000")
            each.until("in the call")
            each.tell()
            each.until("stopping")
            began = time.monotonic()
            assert each.end(number) == 1
            assert time.monotonic() - began < 2
            assert "stopped; cut: 1 call; tasks: flusher" in each.output
            assert each.output.index("call over") < each.output.index("second closed")

    def test_a_second_signal_with_nothing_to_wait_for_cuts_nothing(self):
        with app(server_drain_grace="10s") as each:
            each.address()
            each.tell()
            each.until("stopping")
            began = time.monotonic()
            assert each.end() == 0
            assert time.monotonic() - began < 2
