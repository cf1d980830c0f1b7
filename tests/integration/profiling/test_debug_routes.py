"""A running service looked into from outside: real sockets, both carriers' server, what a person reads."""

from __future__ import annotations

import json
import re
import threading
import time
from pathlib import Path

import pytest

from support.process import Wire, served

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[2] / "examples" / "docs"
TOKEN = "0123456789abcdef0123456789abcdef"


def app(**variables):
    variables = {"enabled": "true", **variables}
    return served(
        "profiled_app:service",
        HERE,
        **{f"SEAWALL_PROFILING_{name.upper()}": value for name, value in variables.items()},
    )


def source_line_of(text):
    lines = (HERE / "profiled_app.py").read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def get(address, path, *fields):
    with Wire(address) as client:
        return client.get(path, *fields)


def until(address, path, wanted):
    """Ask until the answer holds *wanted*; return it."""
    end = time.monotonic() + 15
    while True:
        status, _, body = get(address, path)
        assert status == 200, body
        if wanted in body.decode():
            return body.decode()
        assert time.monotonic() < end, f"{wanted!r} did not come:\n{body.decode()}"
        time.sleep(0.1)


def until_busy(address):
    end = time.monotonic() + 15
    while get(address, "/debug/objects?top=1")[0] != 409:
        assert time.monotonic() < end


@pytest.fixture(scope="module")
def process():
    with app() as each:
        each.at = each.address()
        yield each


class TestWhoMayLook:
    def test_it_is_off_by_default(self):
        with served("profiled_app:service", HERE) as each:
            address = each.address()
            for path in ("/debug/", "/debug", "/debug/tasks", "/debug/cpu"):
                assert get(address, path)[0] == 404

    @pytest.mark.parametrize("path", ["", "breakers", "cpu", "memory", "objects", "tasks", "locks", "stalls"])
    @pytest.mark.parametrize(
        "field",
        ["X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1", "Sec-Fetch-Site: cross-site"],
    )
    def test_what_is_not_from_here_is_refused(self, process, path, field):
        status, fields, body = get(process.at, f"/debug/{path}", field)
        assert (status, json.loads(body)["type"]) == (403, "urn:problem-type:seawall:forbidden")
        assert fields["content-type"] == "application/problem+json"

    def test_a_name_that_another_site_may_decide_about_is_refused(self, process):
        with Wire(process.at) as client:
            client.socket.sendall(b"GET /debug/tasks HTTP/1.1\r\nHost: evil.example\r\n\r\n")
            assert client.answer()[0] == 403

    def test_with_a_token_only_the_token_counts(self):
        with app(access="token", token=TOKEN) as each:
            address = each.address()
            status, fields, body = get(address, "/debug/tasks")
            assert (status, fields["www-authenticate"]) == (401, 'Bearer realm="debug"')
            assert TOKEN not in body.decode()
            assert get(address, "/debug/tasks", f"Authorization: Bearer {TOKEN[:-1]}0")[0] == 401
            assert (
                get(address, "/debug/tasks", "X-Forwarded-For: 192.0.2.1", f"Authorization: Bearer {TOKEN}")[0] == 200
            )

    def test_a_token_that_is_missing_or_short_stops_the_start(self):
        for variables in ({"access": "token"}, {"access": "token", "token": "short-secret"}):
            with app(**variables) as each:
                assert each.ended() == 1
                assert "PROFILING_TOKEN" in each.output
                assert "short-secret" not in each.output

    def test_it_is_not_in_the_document(self, process):
        assert b"/debug" not in get(process.at, "/openapi.json")[2]


class TestLooking:
    def test_a_blocked_loop_is_found_with_its_line_its_operation_and_its_call(self, process):
        with Wire(process.at) as client:
            client.get("/block?seconds=0.5", "X-Request-ID: block-1")
        text = until(process.at, "/debug/stalls", "block-1")
        assert f"profiled_app.py:{source_line_of('blocks here')}" in text
        assert "operation block, request block-1" in text
        process.until(r'"level":"warning","message":"the event loop has not run for \d+ ms, operation block')
        mine = {"over": False}
        end = time.monotonic() + 15
        while not mine["over"]:
            assert time.monotonic() < end
            stalls = json.loads(get(process.at, "/debug/stalls?format=json")[2])["stalls"]
            mine = next(stall for stall in stalls if stall["request_id"] == "block-1")
        assert mine["line"]["line"] == source_line_of("- blocks here")

    def test_the_example_of_the_how_to_is_found(self):
        with served("profiling:service", EXAMPLES, SEAWALL_PROFILING_ENABLED="true") as each:
            address = each.address()
            with Wire(address) as client, Wire(address) as other:
                client.send("/passwords?password=secret-7", "X-Request-ID: hash-1", method="POST")
                assert client.answer()[0] == 200
                stalls = until(address, "/debug/stalls", "hash-1")
                assert "operation hash_password, request hash-1" in stalls
                assert "return hashlib.pbkdf2_hmac(" in stalls
                assert "secret-7" not in stalls
                client.send("/labels/1", method="POST")
                other.send("/labels/2", method="POST")
                locks = until(address, "/debug/locks", "1 waiting")
                assert re.search(r"held by print_label of request \S+ at profiling.py:\d+ in print_label", locks)
                assert client.answer()[0] == other.answer()[0] == 200

    def test_a_profile_names_the_function_that_burns(self, process):
        burning = threading.Thread(target=get, args=(process.at, "/burn?seconds=1.5&pieces=200"))
        burning.start()
        status, fields, body = get(process.at, "/debug/cpu?seconds=1&format=speedscope")
        burning.join()
        assert (status, fields["content-type"]) == (200, "application/json")
        assert re.fullmatch(r'attachment; filename="profile-\d+\.speedscope\.json"', fields["content-disposition"])
        profile = json.loads(body)
        names = [frame["name"] for frame in profile["shared"]["frames"]]
        assert "spin" in names
        main = next(each for each in profile["profiles"] if each["name"] == "MainThread")
        spinning = sum(
            weight
            for stack, weight in zip(main["samples"], main["weights"], strict=True)
            if names.index("spin") in stack
        )
        assert spinning > 0
        assert profile["cost"]["samples"] > 0

    def test_a_loop_that_waits_is_not_in_the_profile(self, process):
        page = get(process.at, "/debug/cpu?seconds=0.5")[2].decode()
        assert "run_until_complete" not in page
        assert "loop.run" not in page

    def test_the_flame_graph_is_one_page_that_loads_nothing(self, process):
        burning = threading.Thread(target=get, args=(process.at, "/burn?seconds=1.5&pieces=200"))
        burning.start()
        _, fields, body = get(process.at, "/debug/cpu?seconds=1")
        burning.join()
        page = body.decode()
        assert ">spin</text>" in page
        assert "Looking took" in page
        assert "http://" not in page
        assert "https://" not in page
        assert "'unsafe-inline'" not in fields["content-security-policy"]

    def test_one_profile_at_a_time(self, process):
        with Wire(process.at) as first:
            first.send("/debug/cpu?seconds=1.5")
            end, status = time.monotonic() + 10, 0
            while status != 409 and time.monotonic() < end:
                status, fields, body = get(process.at, "/debug/objects")
            assert json.loads(body)["type"] == "urn:problem-type:seawall:profiling-busy"
            assert fields["retry-after"] == "5"
            assert first.answer()[0] == 200
        assert get(process.at, "/debug/objects")[0] == 200

    def test_limits_are_kept(self, process):
        for query in ("cpu?seconds=61", "cpu?seconds=0", "cpu?hz=251", "memory?seconds=nan", "memory?frames=11"):
            assert get(process.at, f"/debug/{query}")[0] == 422, query

    def test_tasks_tell_what_sleeps_for_whom_and_locks_who_holds_them(self, process):
        with Wire(process.at) as holder, Wire(process.at) as waiter:
            holder.send("/sleep?seconds=3", "X-Request-ID: holder-1")
            until(process.at, "/debug/tasks", "holder-1")
            waiter.send("/sleep?seconds=0", "X-Request-ID: waiter-1")
            tasks = until(process.at, "/debug/tasks", "waiter-1")
            assert re.search(r"s old; operation sleep, request holder-1; awaits task \d+, \d+\n", tasks)
            assert "await asyncio.gather(part(seconds), part(seconds))" in tasks
            children = re.findall(r"\n  task \d+ .*operation sleep, request holder-1\n", tasks)
            assert len(children) == 2
            locks = get(process.at, "/debug/locks")[2].decode()
            assert re.search(
                r"held by sleep of request holder-1 at profiled_app.py:\d+ in sleep: await asyncio.gather", locks
            )
            assert re.search(
                r"awaited by sleep of request waiter-1 at profiled_app.py:\d+ in sleep: async with lock:", locks
            )
            assert holder.answer()[0] == waiter.answer()[0] == 200
        assert "1 waiting" not in get(process.at, "/debug/locks")[2].decode()

    def test_memory_that_grows_is_told_by_line(self, process):
        stop = threading.Event()

        def leak():
            while not stop.is_set():
                get(process.at, "/leak?size=100000")
                stop.wait(0.05)

        leaking = threading.Thread(target=leak)
        leaking.start()
        try:
            report = get(process.at, "/debug/memory?seconds=2")[2].decode()
        finally:
            stop.set()
            leaking.join()
        growing = report.partition("Growing")[2].partition("Largest")[0]
        assert "kept.append(bytearray(size))" in growing
        assert "Tracing is off again." in report

    def test_snapshots_of_the_heap_are_kept_and_compared_as_often_as_wanted(self, process):
        def ask(method, path, *fields):
            with Wire(process.at) as client:
                client.send(path, *fields, method=method)
                status, _, body = client.answer()
                return status, body.decode()

        assert ask("GET", "/debug/heap/difference")[0] == 404
        assert ask("POST", "/debug/heap", "Sec-Fetch-Site: cross-site")[0] == 403
        assert "heap: 0." in ask("GET", "/debug/heap")[1]
        assert ask("POST", "/debug/heap?frames=11")[0] == 422
        status, listed = ask("POST", "/debug/heap")
        assert (status, "heap: 1." in listed) == (200, True)
        try:
            for _ in range(3):
                get(process.at, "/leak?size=100000")
                assert ask("POST", "/debug/heap")[0] == 200
            report = ask("GET", "/debug/heap/difference?since=2&until=4")[1]
            growing = report.partition("Growing")[2].partition("Shrinking")[0]
            assert re.search(r"195\.\d KiB in +\d+ blocks|293\.\d KiB in +\d+ blocks", growing), growing
            assert "kept.append(bytearray(size))" in growing
            back = ask("GET", "/debug/heap/difference?since=4&until=2")[1]
            assert "kept.append(bytearray(size))" in back.partition("Shrinking")[2]
            assert "process, which keeps: 1, 2, 3, 4" in ask("GET", "/debug/heap/difference?since=9")[1]
            assert "kept.append" in ask("GET", "/debug/heap/difference")[1], "the last two by default"
            assert ask("GET", "/debug/heap/difference?since=2&until=2")[1].count("(nothing)") == 2
        finally:
            status, dropped = ask("DELETE", "/debug/heap")
        assert (status, "heap: 0." in dropped, "not traced now" in dropped) == (200, True, True)

    def test_the_index_leads_to_everything(self, process):
        _, fields, body = get(process.at, "/debug/")
        assert fields["cache-control"] == "no-store"
        links = re.findall(r'href="(/debug/[^"]+)"', body.decode())
        assert {link.partition("?")[0].removeprefix("/debug/") for link in links} == {
            "breakers", "cpu", "tasks", "stalls", "locks", "memory", "heap", "heap/difference", "objects"
        }  # fmt: skip

    def test_a_profile_does_not_hold_up_the_end(self):
        with app() as each, Wire(each.address()) as client:
            client.send("/debug/cpu?seconds=60&format=speedscope")
            until_busy(client.socket.getpeername())
            assert each.end() == 0, "nothing had to be cut"
            status, _, body = client.answer()
            assert status == 200
            assert json.loads(body)["cost"]["seconds"] < 60
