"""Several workers, seen from outside: sockets, signals, lines, exit statuses."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from support.process import PATIENCE, Watched, Wire
from support.workers import Group, kill_under_load, roll_under_load

HERE = Path(__file__).parent
DIED = r"worker \d died \((SIGKILL|SIGABRT|exit status \d+)\) and is started again|worker \d is started again"


@pytest.fixture
def group(tmp_path):
    with contextlib.ExitStack() as stack:

        def start(*arguments, **options):
            each = Group(tmp_path, *arguments, **options)
            stack.callback(each.close)
            return each

        yield start


def gone(pid):
    """Wait until the process *pid* is no more."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def ask(address, path):
    with Wire(address) as client:
        status, _, body = client.get(path)
        assert status == 200, path
        return json.loads(body)


class TestTogether:
    def test_they_share_the_address_and_the_memory_and_say_how_they_are(self, group):
        each = group(workers=3)
        address = each.address()
        status = each.status()
        assert [(post["worker"], post["slot"], post["state"]) for post in status] == [
            (number, number, "ready") for number in range(3)
        ]
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(Wire(address)) for _ in range(30)]
            seen = {json.loads(client.get("/who")[2]) for client in clients}
            assert seen <= {post["pid"] for post in status}
            added = [json.loads(client.get("/shared?add=1")[2]) for client in clients]
            assert added == list(range(1, 31)), "one memory for all"
            slots = {tuple(json.loads(client.get("/place")[2])) for client in clients}
            assert slots <= {(0, 4), (1, 4), (2, 4)}
        workers = ask(address, "/health/ready")["workers"]
        assert [post["pid"] for post in workers] == [post["pid"] for post in status]
        assert each.end() == 0
        line = each.last()
        assert line["message"] == "stopped"
        assert line["requests"] == 3 * 30 + 1
        assert '"worker":0' in each.output

    def test_a_unix_socket_is_taken_away_in_the_end(self, tmp_path):
        (tmp_path / "behaviour").write_text("")
        path = tmp_path / "s"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SEAWALL_")}
        environment["APP_BEHAVIOUR"] = str(tmp_path / "behaviour")
        arguments = ["run", "workers_app:service", "--uds", str(path), "--workers", "2"]
        each = Watched("seawall", *arguments, folder=HERE, environment=environment)
        try:
            each.until(f"listening on unix:{path}")
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
                client.sendall(b"GET /who HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                assert client.recv(65536).startswith(b"HTTP/1.1 200")
            assert each.end() == 0
            assert not path.exists()
        finally:
            each.close()


class TestTheFirstStart:
    @pytest.mark.parametrize(
        ("behaviour", "settings", "message"),
        [
            ("fails at import", {}, "importing workers_app failed: RuntimeError: this code is broken (workers_app.py:"),
            ("exits at import", {}, "worker 0 did not start: it ended before it was ready (exit status 3)"),
            ("never starts", {}, "resource Store from store"),
        ],
    )
    def test_what_keeps_the_service_from_starting_is_said_once(self, group, behaviour, settings, message):
        each = group(behaviour, workers=4, **settings)
        assert each.ended() == 1
        assert each.output.count("error: ") == 1
        assert each.output.count(message) == 1, each.output
        assert "listening" not in each.output

    def test_a_wrong_setting_too(self, group):
        each = group(http_timeout="soon")
        assert each.ended() == 1
        assert each.output.count("http] timeout") + each.output.count("SEAWALL_HTTP_TIMEOUT") >= 1
        assert each.output.count("settings are wrong") + each.output.count("setting is wrong") == 1

    def test_one_that_hangs_is_killed(self, group):
        each = group("never starts", server_worker_start_timeout="250ms")
        assert each.ended() == 1
        assert "not ready within 0.25 s (server.worker_start_timeout)" in each.output


class TestDeath:
    def test_one_killed_under_load_is_back_and_only_its_connections_fail(self, group):
        each = group()
        load, victim, seconds = asyncio.run(kill_under_load(each))
        assert load.answered > 100
        assert [failure for failure in load.failures if failure.by not in (None, str(victim))] == []
        assert seconds < PATIENCE
        assert each.end() == 0

    def test_one_that_crashes_at_start_does_not_loop_hot(self, group):
        each = group()
        address = each.address()
        first, second = each.pids()
        each.behaviour.write_text("exits at import")
        os.kill(first, signal.SIGKILL)
        began = time.monotonic()
        for _ in range(5):
            each.until(DIED)
        assert time.monotonic() - began > 0.25 + 0.25 + 0.5 + 1
        assert {ask(address, "/who") for _ in range(5)} == {second}
        assert [post["state"] for post in each.status()] in (["waiting", "ready"], ["starting", "ready"])
        each.behaviour.write_text("")
        each.tell(signal.SIGHUP)
        each.until("replaced 2 workers")
        assert each.end() == 0

    def test_without_the_protection_it_does(self, group):
        each = group(module="unguarded_workers")
        each.address()
        first, _ = each.pids()
        each.behaviour.write_text("exits at import")
        os.kill(first, signal.SIGKILL)
        for _ in range(5):
            each.until(r"is started again at once")
        assert each.end() == 0

    def test_one_whose_event_loop_is_blocked_is_replaced_and_says_where_it_hung(self, group):
        each = group(server_worker_timeout="2s")
        address = each.address()
        before = set(each.pids())
        with Wire(address) as client:
            client.send("/block?seconds=30")
            each.until("in the call")
            each.until("its event loop has been blocked for 2 s")
            assert client.answer()[0] == 0
        each.until(r"worker \d is ready")
        assert 'workers_app.py", line' in each.output, "the stack is in the log"
        after = set(each.pids())
        assert len(after) == 2
        assert len(before & after) == 1
        assert each.end() == 0

    def test_without_the_protection_it_stays_until_the_end_when_it_is_killed(self, group):
        each = group(server_worker_timeout="0", server_shutdown_seconds="0")
        address = each.address()
        before = each.pids()
        with Wire(address) as client:
            client.send("/block?seconds=30")
            each.until("in the call")
            time.sleep(3)
            assert each.pids() == before
            assert each.end() == 1
        assert "did not end in time and is killed" in each.output
        assert each.last()["message"].startswith("stopped; cut: workers: ")
        assert each.last()["message"].endswith("(it did not end in time)")

    def test_when_the_supervisor_is_killed_the_workers_end(self, group):
        each = group()
        address = each.address()
        pids = each.pids()
        with Wire(address) as client:
            client.send("/slow?seconds=0.5")
            each.until("in the call")
            each.tell(signal.SIGKILL)
            assert client.answer()[0] == 200, "in order"
        assert all(gone(pid) for pid in pids)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)

    def test_when_it_is_killed_while_they_start_too(self, group):
        each = group()
        children = Path(f"/proc/{each.process.pid}/task/{each.process.pid}/children")
        end = time.monotonic() + PATIENCE
        while not (pids := children.read_text().split()) and time.monotonic() < end:
            time.sleep(0.01)
        each.tell(signal.SIGKILL)
        assert gone(int(*pids))

    def test_one_that_somebody_else_ends_is_replaced(self, group):
        each = group()
        address = each.address()
        first, second = each.pids()
        os.kill(first, signal.SIGTERM)
        each.until("worker 0 ends, as somebody has told it to")
        each.until("worker 0 is ready")
        assert gone(first)
        assert second in each.pids()
        assert ask(address, "/who") != first
        assert each.end() == 0


class TestRolls:
    def test_no_request_is_lost_and_the_code_is_new(self, group):
        each = group("first")
        address = each.address()
        before = set(each.pids())
        each.behaviour.write_text("second")
        load = asyncio.run(roll_under_load(each, address, 1))
        assert load.failures == []
        assert before.isdisjoint(each.pids())
        assert {ask(address, "/code") for _ in range(10)} == {"second"}
        assert each.end() == 0

    def test_without_the_protection_requests_are_lost(self, group):
        each = group(drain="off", server_drain_grace="0")
        load = asyncio.run(roll_under_load(each, each.address(), 2))
        assert load.failures != []
        assert load.answered > 0

    def test_code_and_settings_that_are_wrong_are_not_taken_over(self, group, tmp_path):
        file = tmp_path / "seawall.toml"
        file.write_text("[http]\ntimeout = 5\n")
        each = group("good", config=file)
        address = each.address()
        before = each.pids()
        each.behaviour.write_text("fails at import")
        each.tell(signal.SIGHUP)
        line = each.until(r'"message":"(gave up replacing workers[^\n]*)')[1]
        assert "2 of 2 stay as they are: importing workers_app failed: RuntimeError: this code is broken" in line
        assert each.pids() == before
        file.write_text("[http]\ntimeout = 'soon'\n")
        each.tell(signal.SIGHUP)
        each.until("settings not reloaded, the workers stay as they are")
        assert each.pids() == before
        assert ask(address, "/code") == "good"
        each.behaviour.write_text("better")
        file.write_text("[server]\nport = 9\n")
        each.tell(signal.SIGHUP)
        each.until("needs a restart: server.port: 8000 → 9")
        each.until("replaced 2 workers")
        assert ask(address, "/code") == "better"
        assert each.end() == 0


class TestTheEnd:
    def test_what_is_cut_is_summed(self, group):
        each = group(server_shutdown_seconds="1s")
        address = each.address()
        with Wire(address) as one, Wire(address) as two, Wire(address) as three:
            for client in (one, two, three):
                client.send("/slow?seconds=1000")
                each.until("in the call")
            assert each.end() == 1
        line = each.last()
        assert line["message"] == "stopped; cut: 3 calls"
        assert line["cut_calls"] == 3

    def test_a_second_signal_hurries(self, group):
        each = group()
        with Wire(each.address()) as client:
            client.send("/slow?seconds=1000")
            each.until("in the call")
            each.tell()
            each.until('"stopping"')
            began = time.monotonic()
            assert each.end(signal.SIGINT) == 1
            assert time.monotonic() - began < 10
        assert each.last()["message"] == "stopped; cut: 1 call"

    def test_a_signal_that_everybody_gets_hurries_nobody(self, group):
        each = group()
        address = each.address()
        pids = each.pids()
        with Wire(address) as client:
            client.send("/slow?seconds=1")
            each.until("in the call")
            for pid in (*pids, each.process.pid):
                os.kill(pid, signal.SIGTERM)
            assert client.answer()[0] == 200
        assert each.ended() == 0
        assert each.last()["message"] == "stopped"
        assert "as somebody has told it to" not in each.output or each.output.count("is ready") == 2


class TestWrongCounts:
    @pytest.mark.parametrize(
        ("count", "why"), [("0", "greater than or equal to 1"), ("100000", "less than or equal to 256")]
    )
    def test_on_the_command_line(self, group_options, count, why):
        status, output = group_options("run", "workers_app:service", "--port=0", f"--workers={count}")
        assert status == 2
        assert "--workers" in output
        assert why in output

    def test_in_the_environment(self, group):
        each = group(workers=0)
        assert each.ended() == 1
        assert "SEAWALL_SERVER_WORKERS" in each.output
        assert "at least 1" in each.output

    def test_with_dev(self, group_options):
        status, output = group_options("dev", "workers_app:service", "--workers=2")
        assert status == 2
        assert "there is no --workers" in output

    def test_a_worker_without_a_supervisor(self, group_options):
        for wrong in ("x", "0,0,2,98,99"):
            status, output = group_options("run", "workers_app:service", f"--worker={wrong}")
            assert status == 2
            assert "for the supervisor" in output

    def test_settings_in_code(self, tmp_path, group_options):
        (tmp_path / "coded.py").write_text(
            "from seawall import Service\nfrom seawall.settings import ServerSettings, Settings\n"
            "service = Service('coded', settings=Settings(server=ServerSettings(workers=3)))\n"
        )
        status, output = group_options("run", "coded", folder=tmp_path)
        assert status == 1
        assert "--workers 3" in output


@pytest.fixture
def group_options(tmp_path):
    """Run a command that ends by itself; return its status and what it wrote."""
    (tmp_path / "behaviour").write_text("")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SEAWALL_")}
    environment |= {"APP_BEHAVIOUR": str(tmp_path / "behaviour"), "COLUMNS": "200"}

    def run(*arguments, folder=HERE):
        each = Watched("seawall", *arguments, folder=folder, environment=environment)
        try:
            return each.ended(), each.output
        finally:
            each.close()

    return run
