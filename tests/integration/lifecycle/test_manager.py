"""What a service manager and a container see: notifications, sockets handed over, the duties of process 1."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.process import PATIENCE, Watched, Wire

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd and process 1 of a container are Linux's")


class Manager:
    """The manager's socket, as sd_notify(3) describes it."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(PATIENCE)
        self.seen = []

    def until(self, line):
        """Wait for a message with *line*; return all of its lines."""
        while True:
            message = self.socket.recv(65536).decode().split("\n")
            self.seen.append(message)
            if line in message:
                return message


@pytest.fixture
def manager(kind, tmp_path):
    name = str(tmp_path / "notify") if kind == "path" else f"@seawall-test-{os.getpid()}"
    made = Manager(name.replace("@", "\0"))
    made.name = name
    yield made
    made.socket.close()


def environment_of(tmp_path, **variables):
    (tmp_path / "behaviour").write_text("")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SEAWALL_")}
    return {**kept, "APP_BEHAVIOUR": str(tmp_path / "behaviour"), **variables}


@contextlib.contextmanager
def watched(module, *arguments, **options):
    each = Watched(module, *arguments, folder=HERE, **options)
    try:
        yield each
    finally:
        each.close()


@pytest.mark.parametrize(("workers", "kind"), [(1, "abstract"), (2, "path")])
def test_the_manager_is_told(workers, kind, manager, tmp_path):
    environment = environment_of(tmp_path, NOTIFY_SOCKET=manager.name, WATCHDOG_USEC="2000000")
    arguments = ["run", "workers_app:service", "--port=0", f"--workers={workers}"]
    with watched("seawall", *arguments, environment=environment) as each:
        ready = manager.until("READY=1")
        assert re.match(r"STATUS=(serving|2 of 2 workers serve)", ready[1])
        began = time.monotonic_ns() // 1000
        each.tell(signal.SIGHUP)
        _, moment = manager.until("RELOADING=1")
        assert began <= int(moment.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000
        manager.until("READY=1")
        manager.until("WATCHDOG=1")
        each.tell()
        manager.until("STOPPING=1")
        assert each.ended() == 0
    kinds = [message[0] for message in manager.seen if not message[0].startswith(("STATUS", "WATCHDOG"))]
    assert kinds == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"], "by one process, once"


def test_a_manager_that_is_gone_is_no_harm(tmp_path):
    environment = environment_of(tmp_path, NOTIFY_SOCKET=str(tmp_path / "nowhere"), WATCHDOG_USEC="200000")
    with watched("seawall", "run", "workers_app:service", "--port=0", environment=environment) as each:
        each.until("listening on")
        assert each.end() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_sockets_that_were_opened_before(workers, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        activate = (
            f"import os, sys; os.dup2({listening.fileno()}, 3); os.environ.update(LISTEN_PID=str(os.getpid()), "
            "LISTEN_FDS='1'); os.execv(sys.executable, [sys.executable, '-m', 'seawall', *sys.argv[1:]])"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", activate, "run", "workers_app:service", f"--workers={workers}"],
            cwd=HERE,
            env=environment_of(tmp_path),
            pass_fds=[listening.fileno()],
            stderr=subprocess.DEVNULL,
        )
        try:
            with Wire(listening.getsockname()) as client:
                assert client.get("/who")[0] == 200
        finally:
            process.terminate()
            assert process.wait(PATIENCE) == 0


INIT = """
import ctypes, os, sys, time
from seawall.workers.init import init
PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)  # orphans come to this process, as they do to process 1
parent = os.getpid()
if "off" not in sys.argv:
    init()
orphans = []
for _ in range(5):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        orphan = os.fork()
        if orphan:
            os.write(writing, b"%d" % orphan)
            os._exit(0)
        time.sleep(0.2)
        os._exit(0)
    os.waitpid(child, 0)
    orphans.append(int(os.read(reading, 20)))
time.sleep(0.5)
left = 0
for each in orphans:
    try:
        left += open(f"/proc/{each}/stat").read().split()[2] == "Z"
    except FileNotFoundError:
        pass
print("left", left, flush=True)
import signal
def told(number, frame):
    print("told", number, flush=True)
    time.sleep(0.3)
    sys.exit(7)
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, told)
print("waiting", flush=True)
while True:
    signal.pause()
"""


@pytest.mark.parametrize(("protection", "left"), [("on", 0), ("off", 5)])
def test_process_1_buries_orphans_and_passes_signals_on_once(protection, left, tmp_path):
    (tmp_path / "first.py").write_text(INIT)
    each = Watched("first", protection, folder=tmp_path, environment=dict(os.environ))
    try:
        assert each.until(r"left (\d)")[1] == str(left)
        each.until("waiting")
        assert each.end() == 7
        assert each.output.count("told") == 1
    finally:
        each.close()


def test_what_kills_the_child_is_the_status_of_process_1(tmp_path):
    (tmp_path / "first.py").write_text(
        "import os, signal\nfrom seawall.workers.init import init\ninit()\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    each = Watched("first", folder=tmp_path, environment=dict(os.environ))
    try:
        assert each.ended() == 128 + signal.SIGKILL
    finally:
        each.close()


NAMESPACE = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]


@pytest.mark.parametrize("workers", [1, 2])
def test_the_service_as_process_1(workers, tmp_path):
    if subprocess.run([*NAMESPACE, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this system lets nobody make a PID namespace; the parts are tried above")
    process = subprocess.Popen(
        [*NAMESPACE, sys.executable, "-m", "seawall", "run", "workers_app:service", "--port=0", f"--workers={workers}"],
        cwd=HERE,
        env=environment_of(tmp_path, PYTHONUNBUFFERED="1"),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        lines = []
        while not any("listening on" in line for line in lines):
            lines.append(process.stderr.readline())
            assert lines[-1], lines
        first = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())
        os.kill(first, signal.SIGTERM)
        _, rest = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
        assert '"message":"stopped"' in rest
        assert "told to stop again" not in rest
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
