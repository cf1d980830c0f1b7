"""Several workers that share one arena and one socket, some of them killed in between."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families as parse

from seawall.host import Arena
from support.process import served
from support.server import read_reply, request

HERE = Path(__file__).parent
WORKERS = 4
SEED = 4


class Callers:
    """Who calls, and writes down what became of it."""

    def __init__(self, port):
        self.port = port
        self.answered = 0
        self.unknown = 0
        self.lock = threading.Lock()

    def ask(self, path):
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(request("GET", path))
            return read_reply(connection)

    def call(self):
        """Make one call, and write down what became of it."""
        try:
            status = self.ask("/orders/1").status
        except OSError:
            with self.lock:
                self.unknown += 1  # the worker was killed: it may have counted the call or not
        else:
            assert status == 200
            with self.lock:
                self.answered += 1

    @contextlib.contextmanager
    def calling(self):
        """Call all the time from four threads."""
        stop = threading.Event()

        def load():
            while not stop.is_set():
                self.call()

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def check(self):
        """Compare the ledger with what whoever answers says."""
        counts = []
        for _ in range(8):
            text = self.ask("/metrics").body.decode()
            counts.append(value(text, "http_server_request_duration_seconds_count", operation="read_order"))
        print(f"seed {SEED}: answered {self.answered}, unknown {self.unknown}, counted {counts}")
        assert len(set(counts)) == 1, "every worker says the same"
        assert self.answered > 200
        assert self.answered <= counts[0] <= self.answered + self.unknown
        # What is not killed is exact: no call is unknown from here on.
        before, answered, unknown = counts[0], self.answered, self.unknown
        for _ in range(200):
            self.call()
        text = self.ask("/metrics").body.decode()
        after = value(text, "http_server_request_duration_seconds_count", operation="read_order")
        assert (self.answered - answered, self.unknown, after - before) == (200, unknown, 200)
        assert value(text, "http_server_active_requests") == 0


class Workers(Callers):
    """Four workers, and what their callers have seen."""

    def __init__(self):
        self.arena = Arena.create()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        super().__init__(self.listener.getsockname()[1])
        self.processes = [self.start(slot) for slot in range(WORKERS)]

    def start(self, slot):
        fds = (self.arena.descriptor, self.listener.fileno())
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SEAWALL_")}
        environment["SEAWALL_LOG_ACCESS"] = "false"
        return subprocess.Popen(
            [sys.executable, "worker.py", str(slot), str(WORKERS), *map(str, fds)],
            cwd=HERE,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=fds,
        )

    def kill(self, slot):
        self.processes[slot].kill()
        self.processes[slot].wait()

    def close(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(30)
        self.listener.close()
        self.arena.close()


def value(text, name, **labels):
    return sum(
        sample.value
        for family in parse(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def test_the_metrics_of_four_workers_equal_the_ledger_though_some_are_killed():
    chance = random.Random(SEED)
    workers = Workers()
    try:
        workers.ask("/alive")
        with workers.calling():
            for _ in range(3):
                time.sleep(0.7)
                slot = chance.randrange(WORKERS)
                workers.kill(slot)
                workers.processes[slot] = workers.start(slot)
            time.sleep(1)
        workers.check()
    finally:
        workers.close()


def test_so_do_those_of_a_service_as_it_is_run_whose_workers_are_killed(monkeypatch):
    monkeypatch.setattr("support.process.PATIENCE", 90.0)  # a busy machine starts four processes slowly
    chance = random.Random(SEED)
    settings = {"SEAWALL_SERVER_WORKERS": str(WORKERS), "SEAWALL_LOG_ACCESS": "false"}
    with served("shop:service", HERE, **settings) as service:
        callers = Callers(service.address()[1])
        callers.ask("/alive")
        children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children")
        with callers.calling():
            for _ in range(3):
                time.sleep(0.7)
                victim = chance.choice(children.read_text().split()[-WORKERS:])
                os.kill(int(victim), signal.SIGKILL)
                service.until(r"is ready")
            time.sleep(0.5)
        callers.check()
        assert service.end() == 0
