"""Processes, locks and breakers in a served process: deadlines, lost clients, drains, kills, what operators see."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from support.process import Served, Wire, served

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[2] / "examples" / "docs"


@contextlib.contextmanager
def app(**variables: str) -> Iterator[Served]:
    with served("side_app:service", HERE, SEAWALL_PROFILING_ENABLED="true", PYTHONPATH="../..", **variables) as each:
        each.at = each.address()
        yield each


@pytest.fixture(scope="module")
def process() -> Iterator[Served]:
    with app() as each:
        yield each


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def until(condition) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def begun(folder: Path) -> int:
    until(lambda: list(folder.iterdir()))
    return int(next(folder.iterdir()).name.partition(" ")[0])


def ended(folder: Path) -> bool:
    return any("ended" in each.name for each in folder.iterdir())


def get(address, path: str, *fields: str, method: str = "GET") -> tuple[int, str]:
    with Wire(address) as client:
        client.send(path, *fields, method=method)
        status, _, body = client.answer()
        return status, body.decode()


class TestProcesses:
    def test_a_deadline_ends_the_process_that_works_for_it(self, process: Served, tmp_path: Path) -> None:
        assert get(process.at, f"/compute?folder={tmp_path.parent}&seconds=0")[0] == 200, "a process is ready"
        status, body = get(process.at, f"/short?folder={tmp_path}&seconds=60")
        assert (status, json.loads(body)["type"]) == (504, "urn:problem-type:seawall:deadline-exceeded")
        pid = begun(tmp_path)
        until(lambda: not alive(pid))
        assert not ended(tmp_path)
        assert get(process.at, f"/compute?folder={tmp_path}&seconds=0")[0] == 200, "another one has taken its place"

    def test_so_does_a_client_that_goes_away(self, process: Served, tmp_path: Path) -> None:
        with Wire(process.at) as client:
            client.send(f"/compute?folder={tmp_path}&seconds=60")
            pid = begun(tmp_path)
        until(lambda: not alive(pid))
        assert not ended(tmp_path)

    @pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.full)])
    def test_a_drain_lets_work_end_and_leaves_no_process(self, tmp_path: Path, workers: str) -> None:
        with app(SEAWALL_SERVER_WORKERS=workers) as each, Wire(each.at) as client:
            client.send(f"/compute?folder={tmp_path}&seconds=1")
            pid = begun(tmp_path)
            each.tell(signal.SIGTERM)
            assert client.answer()[0] == 200
            assert each.ended() == 0, each.output
        assert ended(tmp_path)
        assert not alive(pid)

    def test_the_example_of_the_how_to_works(self) -> None:
        with served("reports:service", EXAMPLES) as each:
            assert get(each.address(), "/reports/1") == (200, "333328333350000")
            assert each.end() == 0, each.output

    def test_processes_end_with_a_service_that_is_killed(self, tmp_path: Path) -> None:
        with app(PROCESSES="2") as each, Wire(each.at) as client:
            client.send(f"/compute?folder={tmp_path}&seconds=60")
            pid = begun(tmp_path)
            # It returns when nobody has the output open any more: the idle process has ended too.
            assert each.end(signal.SIGKILL) == -signal.SIGKILL
        assert not alive(pid)


class TestWhatOperatorsSee:
    def test_calls_that_wait_for_each_other_are_named(self, process: Served) -> None:
        with Wire(process.at) as one, Wire(process.at) as two:
            one.send("/both?first=a&second=b")
            two.send("/both?first=b&second=a")
            text = ""

            def found() -> bool:
                nonlocal text
                text = get(process.at, "/debug/locks")[1]
                return "DEADLOCK: 2 tasks wait for each other" in text

            until(found)
            assert len(re.findall(r"waits for KeyedLocks 0x[0-9a-f]+, key '[ab]'", text)) == 2
            assert "both (" in text
            assert "async with locks.hold(second):" in text
            report = json.loads(get(process.at, "/debug/locks?format=json")[1])
            assert (report["stuck"], len(report["deadlocks"][0])) == (2, 2)
        until(lambda: "DEADLOCK" not in get(process.at, "/debug/locks")[1])

    def test_breakers_are_read_and_switched_and_seen_in_the_metrics(self, process: Served) -> None:
        for _ in range(4):
            assert get(process.at, "/pay")[0] == 503
        text = get(process.at, "/debug/breakers")[1]
        assert "payments: open;" in text
        assert "shipping: closed;" in text
        assert get(process.at, "/ship") == (200, '"shipped"')
        assert get(process.at, "/debug/breakers/shipping/open", method="POST")[0] == 200
        status, body = get(process.at, "/ship")
        assert (status, json.loads(body)["type"]) == (503, "urn:problem-type:seawall:breaker-open")
        metrics = get(process.at, "/metrics")[1]
        assert re.search(r'seawall_breaker_state\{name="shipping",state="forced-open"\} 1', metrics)
        assert re.search(r'seawall_breaker_state\{name="payments",state="closed"\} 0', metrics)
        for line in (
            'event="became_open",name="payments",policy="breaker"} 1',
            'event="retried",name="payments",policy="retry"} ',
            'event="refused",name="shipping",policy="breaker"} 1',
        ):
            assert f"seawall_resilience_events_total{{{line}" in metrics
        status, text = get(process.at, "/debug/breakers/shipping/auto", method="POST")
        assert (status, text.partition(" in process")[0]) == (200, "shipping: closed")
        assert get(process.at, "/ship")[0] == 200

    @pytest.mark.parametrize(
        "field",
        ["Origin: http://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site", "X-Forwarded-For: 192.0.2.1"],
    )
    def test_pages_of_others_switch_nothing(self, process: Served, field: str) -> None:
        assert get(process.at, "/debug/breakers/shipping/open", field, method="POST")[0] == 403
        assert get(process.at, "/ship")[0] == 200

    def test_what_is_not_there_is_said(self, process: Served) -> None:
        assert get(process.at, f"/debug/breakers/{quote('no such')}/open", method="POST")[0] == 404
        assert get(process.at, "/debug/breakers/shipping/ajar", method="POST")[0] == 422
        assert get(process.at, "/debug/breakers/shipping/open")[0] == 405, "nothing is switched by a link"

    def test_with_a_token_only_the_token_switches(self) -> None:
        token = "0123456789abcdef0123456789abcdef"
        with app(SEAWALL_PROFILING_ACCESS="token", SEAWALL_PROFILING_TOKEN=token) as each:
            path = "/debug/breakers/shipping/open"
            assert get(each.at, path, method="POST")[0] == 401
            assert get(each.at, path, f"Authorization: Bearer {token}", method="POST")[0] == 200
