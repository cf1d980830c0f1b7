"""The ``seawall`` command as its users run it: processes, sockets, signals, files."""

from __future__ import annotations

import importlib
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from typer.testing import CliRunner

from seawall.cli.app import app
from support.process import Watched

SHOP = '''
import asyncio
import os
from collections.abc import AsyncIterator

import msgspec

from seawall.service import Service

service = Service("shop", version="1.2.0")


class Order(msgspec.Struct):
    id: int


class Database:
    pass


class Session:
    pass


@service.resource
async def database() -> AsyncIterator[Database]:
    if os.environ.get("SHOP_START") == "fails":
        raise ConnectionRefusedError("no database")
    if os.environ.get("SHOP_START") == "hangs":
        print("starting", flush=True)
        await asyncio.Event().wait()
    yield Database()
    print("database closed", flush=True)


@service.resource(scope="call")
async def session(database: Database) -> AsyncIterator[Session]:
    try:
        yield Session()
    finally:
        await asyncio.sleep(0.01)
        print("session closed", flush=True)


@service.get("/orders/{order_id}", timeout=2)
async def read_order(order_id: int, session: Session) -> Order:
    """Return an order."""
    return Order(order_id)


@service.post("/orders", status=201, deprecated="2026-01-01")
async def create_order(order: Order) -> Order:
    """Place an order."""
    return order


@service.get("/wait", timeout=None)
async def wait(seconds: float, session: Session) -> str:
    """Wait."""
    print("waiting", flush=True)
    await asyncio.sleep(seconds)
    return "waited"


@service.get("/fail")
async def fail() -> str:
    """Fail."""
    raise RuntimeError("it <failed>")


@service.operation("reindex")
async def reindex(full: bool) -> int:
    """Index everything again."""
    return 1
'''

IN_PROCESS = {"routes", "plan", "openapi", "--help"}
"""Commands that serve nothing are run in this process, which is quicker."""

FINISHED = 60.0
"""Seconds after which a process that should have done something is taken to hang."""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "shop.py").write_text(SHOP)
    return tmp_path


def environment(**variables):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SEAWALL_")}
    return {**kept, "TERM": "dumb", "COLUMNS": "120", **variables}


def seawall(folder, *arguments, **variables):
    """Run the command to its end; the result has ``returncode``, ``stdout`` and ``stderr``."""
    if arguments[0] in IN_PROCESS:
        return in_process(folder, arguments, variables)
    return subprocess.run(
        [sys.executable, "-m", "seawall", *arguments],
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=FINISHED,
        check=False,
    )


def in_process(folder, arguments, variables):
    before = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", [str(folder), *sys.path])
        patch.setattr(sys, "dont_write_bytecode", True)
        hidden = {name: None for name in os.environ if name.startswith("SEAWALL_")}
        importlib.invalidate_caches()
        try:
            result = CliRunner().invoke(app, arguments, env={**hidden, "COLUMNS": "120", **variables})
        finally:
            for name in set(sys.modules) - before:
                if getattr(sys.modules[name], "__file__", None) == str(folder / "shop.py"):
                    del sys.modules[name]
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return SimpleNamespace(returncode=result.exit_code, stdout=result.stdout, stderr=result.stderr)


class Process(Watched):
    """A running command; its lines are read as they come."""

    def __init__(self, folder, *arguments, pass_fds=(), **variables):
        super().__init__("seawall", *arguments, folder=folder, environment=environment(**variables), fds=pass_fds)

    def url(self):
        return self.until(r"listening on (http://[\w.\[\]:]+)")[1]


@contextmanager
def running(folder, *arguments, **options):
    each = Process(folder, *arguments, **options)
    try:
        yield each
    finally:
        each.close()


class TestLooking:
    def test_help_and_version(self, folder):
        shown = seawall(folder, "--help")
        assert shown.returncode == 0
        assert all(
            word in shown.stdout for word in ("run", "dev", "routes", "plan", "openapi", "seawall dev shop:service")
        )
        assert re.fullmatch(r"seawall \d+\.\d+\.\d+\n", seawall(folder, "--version").stdout)

    def test_routes(self, folder):
        shown = seawall(folder, "routes", "shop")
        assert shown.returncode == 0
        lines = [re.split(r" {2,}", line.strip()) for line in shown.stdout.splitlines()]
        assert lines[0] == ["METHOD", "PATH", "OPERATION", "STATUS", "TIMEOUT"]
        assert ["GET", "/orders/{order_id}", "read_order", "200", "2 s"] in lines
        assert ["POST", "/orders", "create_order (deprecated)", "201", "30 s"] in lines
        assert ["GET", "/wait", "wait", "200", "none"] in lines

    def test_routes_as_json(self, folder):
        document = json.loads(seawall(folder, "routes", "shop", "--json").stdout)
        (order,) = [route for route in document["routes"] if route["operation"] == "read_order"]
        assert (order["method"], order["path"], order["timeout"]) == ("GET", "/orders/{order_id}", 2.0)
        assert document["mounts"] == []

    def test_plan_shows_guards_in_order_and_what_differs(self, folder):
        shown = seawall(folder, "plan", "shop", "read_order")
        places = re.findall(r"^\s*\d+\s+\S.*?\s{2,}(\w+)", shown.stdout, re.MULTILINE)
        assert places.index("receive") < places.index("answer") < places.index("bind") < places.index("operation")
        assert "timeout=2 s (default 30 s)" in shown.stdout
        assert "max_body (default" not in shown.stdout

    def test_plan_shows_configuration_in_force(self, folder):
        (folder / "seawall.toml").write_text("[operations.read_order]\ntimeout = 7\n")
        assert "timeout=7 s (default 30 s)" in seawall(folder, "plan", "shop", "read_order").stdout

    @pytest.mark.parametrize("carrier", ["asgi", "direct"])
    def test_source_is_python_when_it_is_piped(self, folder, carrier):
        shown = seawall(folder, "plan", "shop", "read_order", "--source", "--carrier", carrier).stdout
        source = shown[shown.index("async def ") :]
        compile(source, "plan", "exec")
        assert "\x1b" not in shown

    def test_plan_as_json(self, folder):
        plans = json.loads(seawall(folder, "plan", "shop", "--json", "--source").stdout)
        (order,) = [plan for plan in plans if plan["operation"] == "read_order"]
        assert order["policy"]["timeout"] == {"value": 2.0, "changed": True}
        assert order["policy"]["max_body"]["changed"] is False
        assert "async def " in order["source"]
        orders = [step["order"] for step in order["steps"]]
        assert orders == sorted(orders)

    def test_an_operation_without_a_route_has_a_plan_for_the_direct_carrier(self, folder):
        refused = seawall(folder, "plan", "shop", "reindex")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "--carrier direct" in refused.stderr
        assert seawall(folder, "plan", "shop", "reindex", "--carrier", "direct").stdout.startswith("reindex")

    def test_openapi(self, folder):
        document = json.loads(seawall(folder, "openapi", "shop").stdout)
        assert document["openapi"].startswith("3.1")
        assert {"/orders/{order_id}", "/orders"} <= set(document["paths"])
        written = seawall(folder, "openapi", "shop", "--output", "api.json")
        assert (written.returncode, written.stdout) == (0, "")
        assert json.loads((folder / "api.json").read_text()) == document


class TestMistakes:
    @pytest.mark.parametrize(
        ("arguments", "status", "said"),
        [
            (("routes", "shpo"), 2, ("there is no module 'shpo'", "Did you mean 'shop:service'?")),
            (("routes", "shop:servce"), 2, ("has no 'servce'", "Did you mean 'shop:service'?")),
            (("routes", "shop.py"), 2, ("is a path", "Did you mean 'shop:service'?")),
            (("routes", "shop:Order"), 2, ("no Seawall service", "shop:service")),
            (("plan", "shop", "raed_order"), 1, ("no operation 'raed_order'", "Did you mean 'read_order'?")),
            (("plan", "shop", "--carrier", "smoke"), 2, ("no carrier 'smoke'", "asgi")),
            (("openapi", "shop", "--version", "9"), 1, ("no version '9'",)),
            (("openapi", "shop", "-o", "nowhere/api.json"), 1, ("cannot write nowhere/api.json",)),
            (("run", "shop", "--uds", "x", "--port", "1"), 2, ("different places",)),
            (("run", "shop", "--fd", "99"), 1, ("--fd 99 is no open socket",)),
            (("run", "shop", "--host", "192.0.2.1"), 1, ("no address '192.0.2.1'",)),
            (("rnu", "shop"), 2, ("No such command 'rnu'",)),
        ],
    )
    def test_one_message_and_no_traceback(self, folder, arguments, status, said):
        shown = seawall(folder, *arguments)
        assert shown.returncode == status
        assert shown.stdout == ""
        assert all(words in shown.stderr for words in said), shown.stderr
        assert "Traceback" not in shown.stderr

    @pytest.mark.parametrize(
        ("source", "said"),
        [
            ("import nothing_of_this_name\n", ("imports 'nothing_of_this_name'", "(shop.py:1)")),
            ("x = 1\ny = undefined\n", ("NameError", "(shop.py:2)")),
            ("def broken(:\n", ("shop.py:1",)),
            (
                "from seawall.service import Service\nservice = Service('shop', timout=3)\n",
                ("did you mean 'timeout'?",),
            ),
        ],
    )
    def test_a_module_that_fails_is_told_where(self, folder, source, said):
        (folder / "shop.py").write_text(source)
        shown = seawall(folder, "routes", "shop")
        assert shown.returncode == 1
        assert all(words in shown.stderr for words in said), shown.stderr
        assert "Traceback" not in shown.stderr
        assert "Traceback" in seawall(folder, "routes", "shop", "--traceback").stderr

    def test_a_wrong_setting_names_it(self, folder):
        shown = seawall(folder, "run", "shop", SEAWALL_SERVER_PORT="banana")
        assert shown.returncode == 1
        assert "SEAWALL_SERVER_PORT" in shown.stderr
        assert "banana" in shown.stderr

    def test_a_port_in_use_is_told(self, folder):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            shown = seawall(folder, "run", "shop", "--port", str(port))
        assert shown.returncode == 1
        assert f"port {port} on 127.0.0.1 is in use" in shown.stderr

    def test_a_start_that_fails_is_told(self, folder):
        shown = seawall(folder, "run", "shop", "--port", "0", SHOP_START="fails")
        assert shown.returncode == 1
        last = [line for line in shown.stderr.splitlines() if line.startswith("error:")]
        assert len(last) == 1
        assert "no database" in last[0]


class TestRun:
    def test_serves_and_ends_in_order(self, folder):
        with running(folder, "run", "shop", "--port", "0") as each:
            url = each.url()
            answer = httpx.get(f"{url}/orders/7")
            assert answer.json() == {"id": 7}
            assert "server" not in answer.headers
            assert "date" in answer.headers
            assert each.end() == 0
            assert "database closed" in each.output

    def test_the_line_at_the_start_says_what_is_served(self, folder):
        with running(folder, "run", "shop", "--port", "0") as each:
            each.url()
            line = json.loads(next(line for line in each.output.splitlines() if "listening" in line))
        assert (line["service"], line["version"], line["operations"]) == ("shop", "1.2.0", 4)

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_running_call_is_answered_before_the_end(self, folder, number):
        with running(folder, "run", "shop", "--port", "0") as each:
            with socket.create_connection(_address(each.url())) as client:
                client.sendall(b"GET /wait?seconds=0.5 HTTP/1.1\r\nHost: localhost\r\n\r\n")
                each.until("waiting")
                each.process.send_signal(number)
                answer = _read_all(client)
            assert answer.startswith(b"HTTP/1.1 200")
            assert b"waited" in answer
            assert each.ended() == 0
            assert each.output.index("session closed") < each.output.index("database closed")

    @pytest.mark.parametrize("chunked", [False, True], ids=["plain", "asgi"])
    def test_a_call_without_an_end_is_cancelled_in_time_and_gives_back_what_it_has(self, folder, chunked):
        with running(folder, "run", "shop", "--port", "0", SEAWALL_SERVER_SHUTDOWN_SECONDS="2") as each:
            with socket.create_connection(_address(each.url())) as client:
                client.sendall(b"GET /wait?seconds=1000 HTTP/1.1\r\nHost: localhost\r\n")
                client.sendall(b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" if chunked else b"\r\n")
                each.until("waiting")
                began = time.monotonic()
                status = each.end()
                took = time.monotonic() - began
            assert status == 1, "it was cut"
            assert took < 3
            assert "stopped; cut: 1 call" in each.output
            assert each.output.index("session closed") < each.output.index("database closed")
            assert "Traceback" not in each.output

    def test_a_second_interrupt_does_not_wait(self, folder):
        with (
            running(folder, "run", "shop", "--port", "0") as each,
            socket.create_connection(_address(each.url())) as client,
        ):
            client.sendall(b"GET /wait?seconds=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            each.until("waiting")
            each.process.send_signal(signal.SIGINT)
            each.until("stopping")
            assert each.end(signal.SIGINT) == 1

    def test_a_start_that_hangs_can_be_ended(self, folder):
        with running(folder, "run", "shop", "--port", "0", SHOP_START="hangs") as each:
            each.until("starting")
            assert each.end() == 0

    def test_hangup_reads_the_settings_again(self, folder):
        settings = folder / "seawall.toml"
        settings.write_text("[http]\nmax_query_bytes = 100\n")
        with running(folder, "run", "shop", "--port", "0") as each:
            url = each.url()
            long = f"{url}/orders/7?x={'y' * 200}"
            assert httpx.get(long).status_code == 414
            settings.write_text("[http]\nmax_query_bytes = 1000\n")
            each.process.send_signal(signal.SIGHUP)
            assert "max_query_bytes" in each.until("settings reloaded.*")[0]
            assert httpx.get(long).status_code != 414
            settings.write_text("[http]\nmax_query_bytes = 'much'\n")
            each.process.send_signal(signal.SIGHUP)
            each.until("settings not reloaded")
            assert httpx.get(f"{url}/orders/7").status_code == 200
            assert each.end() == 0

    def test_a_unix_socket_is_made_and_taken_away(self, folder):
        path = folder / "s"
        with running(folder, "run", "shop", "--uds", "s") as each:
            each.until("listening on unix:s")
            with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as client:
                assert client.get("http://localhost/orders/7").json() == {"id": 7}
            assert each.end() == 0
        assert not path.exists()

    def test_a_unix_socket_left_behind_is_replaced_and_one_in_use_is_not(self, folder):
        path = folder / "s"
        left = socket.socket(socket.AF_UNIX)
        left.bind(str(path))
        left.close()
        with running(folder, "run", "shop", "--uds", "s") as each:
            each.until("listening")
            second = seawall(folder, "run", "shop", "--uds", "s")
            assert second.returncode == 1
            assert "in use by another process" in second.stderr
            assert path.exists()
            assert each.end() == 0

    def test_an_inherited_socket_is_served(self, folder):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            fd = listener.fileno()
            with running(folder, "run", "shop", "--fd", str(fd), pass_fds=(fd,)) as each:
                assert httpx.get(f"{each.url()}/orders/7").json() == {"id": 7}
                assert each.end() == 0

    def test_an_unexpected_error_tells_the_caller_nothing(self, folder):
        with running(folder, "run", "shop", "--port", "0") as each:
            answer = httpx.get(f"{each.url()}/fail", headers={"Accept": "text/html, */*;q=0.8"})
            assert answer.status_code == 500
            assert "failed" not in answer.text
            assert (
                json.loads(each.until(r'\{[^\n]*"exception":[^\n]*\}')[0])["request_id"] == answer.json()["request_id"]
            )


class TestConnections:
    """What arrives over real sockets and never ends; the details are unit tests of `seawall.protocol`."""

    @pytest.fixture
    def address(self, folder):
        limits = {
            "SEAWALL_HTTP_BODY_TIMEOUT": "1",
            "SEAWALL_HTTP_HEAD_TIMEOUT": "3",
            "SEAWALL_SERVER_MAX_CONNECTIONS": "3",
        }
        with running(folder, "run", "shop", "--port", "0", **limits) as each:
            yield _address(each.url())

    @pytest.mark.parametrize(
        ("start", "piece", "status"),
        [
            (b"GET /orders/7 HTTP/1.1\r\nHost: localhost\r\n", b"X-Field: some value\r\n", 431),
            (b"GET /orders/7 HTTP/1.1\r\nHost: localhost\r\nX: ", b"y" * 1000, 431),
            (b"GET /", b"y" * 1000, 414),
            (
                b"POST /orders HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",
                b"y" * 1000,
                431,
            ),
        ],
        ids=["fields", "value", "target", "trailer"],
    )
    def test_what_never_ends_is_refused_and_the_refusal_arrives(self, address, start, piece, status):
        with socket.create_connection(address) as client:
            client.sendall(start)
            sent = 0
            client.setblocking(False)
            selector = selectors.DefaultSelector()
            selector.register(client, selectors.EVENT_READ | selectors.EVENT_WRITE)
            while True:
                ((_, ready),) = selector.select(FINISHED)
                if ready & selectors.EVENT_READ:
                    break
                try:
                    sent += client.send(piece * 10)
                except BlockingIOError:
                    continue
                assert sent < 50_000_000
            selector.close()
            client.setblocking(True)
            answer = _read_all(client)
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert b"application/problem+json" in answer

    @pytest.mark.parametrize(("size", "status"), [(30_000, 200), (40_000, 431)])
    def test_header_fields_are_measured(self, address, size, status):
        with socket.create_connection(address) as client:
            client.sendall(b"GET /orders/7 HTTP/1.1\r\nHost: localhost\r\nX: %b\r\n\r\n" % (b"y" * size))
            assert client.recv(12) == b"HTTP/1.1 %d" % status

    def test_silence_ends(self, address):
        with socket.create_connection(address) as client:
            assert _read_all(client).startswith(b"HTTP/1.1 408 ")

    def test_a_connection_too_many_is_told(self, address):
        held = [socket.create_connection(address) for _ in range(3)]
        try:
            for each in held:
                each.sendall(b"GET /orders/7 HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert each.recv(12) == b"HTTP/1.1 200"
            with socket.create_connection(address) as client:
                assert client.recv(12) == b"HTTP/1.1 503"
        finally:
            for each in held:
                each.close()


class TestDev:
    def test_logs_requests_and_shows_errors(self, folder):
        with running(folder, "dev", "shop", "--port", "0", "--no-reload") as each:
            url = each.url()
            answer = httpx.get(f"{url}/fail")
            assert answer.status_code == 500
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["traceback"][-1] == "RuntimeError: it <failed>"
            page = httpx.get(f"{url}/fail", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
            assert page.headers["content-type"].startswith("text/html")
            assert "it &lt;failed&gt;" in page.text
            assert "Your code, innermost first" in page.text
            each.until(r"GET /fail 500 \d+\.\d ms")
            httpx.get(f"{url}/orders/7?a=b")
            each.until(r"GET /orders/7 200 \d+\.\d ms")
            assert each.end() == 0

    def test_starts_anew_when_a_file_changes_and_no_request_is_lost(self, folder):
        shop = folder / "shop.py"
        with running(folder, "dev", "shop", "--port", "0") as each:
            url = each.url()
            assert httpx.get(f"{url}/orders/7").json() == {"id": 7}
            shop.write_text(SHOP.replace("return Order(order_id)", "return Order(order_id + 1)"))
            each.until("shop.py changed: starting anew")
            each.until("stopped")
            assert httpx.get(f"{url}/orders/7", timeout=FINISHED).json() == {"id": 8}
            each.until("listening")
            shop.write_text("def broken(:\n")
            each.until("not running; save a file to try again")
            shop.write_text(SHOP)
            each.until("listening")
            assert httpx.get(f"{url}/orders/7").json() == {"id": 7}
            assert each.end(signal.SIGINT) == 0

    def test_a_service_that_is_not_there_ends_it(self, folder):
        with running(folder, "dev", "shpo", "--port", "0") as each:
            assert each.ended() == 2
            assert "Did you mean 'shop:service'?" in each.output


def _address(url):
    host, _, port = url.removeprefix("http://").rpartition(":")
    return host, int(port)


def _read_all(client):
    client.settimeout(FINISHED)
    read = b""
    while chunk := client.recv(65536):
        read += chunk
    return read


def test_the_module_and_the_command_are_the_same(folder):
    command = Path(sys.executable).with_name("seawall")
    shown = subprocess.run([command, "--version"], capture_output=True, text=True, check=True, timeout=FINISHED)
    assert shown.stdout == seawall(folder, "--version").stdout
