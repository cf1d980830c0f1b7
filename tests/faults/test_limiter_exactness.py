"""Scenario 9: four processes, one allowance of 1,000 in each window, and more calls than that; then Redis dies.

``SEAWALL_FAULTS=full`` runs 50 windows of 20,000 calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from seawall import Unavailable
from seawall.call import Call
from seawall.clock import SystemClock
from seawall.data.redis import connect
from seawall.host import Arena, Host
from seawall.limit import LimitOptions, Limits, Rate, groups
from seawall.limit.redis import RedisStore
from seawall.limit.rule import refused, rule_of
from seawall.settings import RedisSettings
from support.clusters import free_port

WORKER = Path(__file__).with_name("limiter_worker.py")
FULL = os.environ.get("SEAWALL_FAULTS") == "full"
WINDOWS, CALLS = (50, 5000) if FULL else (3, 750)
PROCESSES = 4
PATIENCE = 1200 if FULL else 60


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory) -> Iterator[RedisServer]:
    """A Redis of these tests' own, to be killed."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        if os.environ.get("SEAWALL_REQUIRE_SERVICES") == "1":
            pytest.fail("there is no redis-server")
        pytest.skip("there is no redis-server")
    server = RedisServer(program, tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


class RedisServer:
    def __init__(self, program: str, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.sendall(b"PING\r\n")
                if connection.recv(16).startswith(b"+PONG"):
                    return
            assert time.monotonic() < end, "Redis did not start"
            time.sleep(0.02)

    def stop(self, number: int = signal.SIGKILL) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
            self.process.wait(20)
            self.process = None


def granted(store: str, where: str, *, fds=(), rate="1000/day", windows=WINDOWS, calls=CALLS) -> list[int]:
    """Return what all processes together were granted in each window."""
    command = [sys.executable, str(WORKER), store, where, rate, str(windows), str(calls)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=fds)
        for _ in range(PROCESSES)
    ]
    try:
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        results = [json.loads(process.communicate(timeout=PATIENCE)[0]) for process in processes]
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
            process.communicate()
    return [sum(counts) for counts in zip(*results, strict=True)]


def where(server: RedisServer) -> str:
    return f"{server.url} seawall:test:{uuid.uuid4().hex}:"


def test_redis_is_exact(redis_server):
    assert granted("redis", where(redis_server)) == [1000] * WINDOWS


def test_shared_memory_is_exact():
    arena = Arena.create()
    try:
        assert granted("shared", str(arena.descriptor), fds=(arena.descriptor,)) == [1000] * WINDOWS
    finally:
        arena.close()


def test_leases_grant_no_more_than_redis_and_lose_no_more_than_they_hold(redis_server):
    for count in granted("leased", where(redis_server), windows=1):
        assert 1000 - PROCESSES * 20 <= count <= 1000


def test_what_is_not_one_atomic_step_is_not_exact(redis_server):
    assert max(granted("get-then-set", where(redis_server), windows=2)) > 1000
    assert granted("memory", "-", windows=1) == [PROCESSES * min(CALLS, 1000)]


async def _burst_across_boundaries(url: str) -> tuple[int, float]:
    """Return how many calls passed in a few windows of a rate, and how long that took by the server's clock."""
    store = RedisStore(lambda: connect(RedisSettings(url=url, pool_wait=30)), 30.0, f"seawall:test:{uuid.uuid4().hex}:")
    rules = [rule_of(Rate("200/second"), "boundary", 0)]
    client = store._connected()

    async def server_time() -> float:
        seconds, microseconds = await client.time()
        return int(seconds) + int(microseconds) / 1e6

    began, count, now = await server_time(), 0, 0.0
    while (now := await server_time()) - began < (10 if FULL else 1.5):
        results = await asyncio.gather(*(store.take(rules, "ada", 1) for _ in range(50)))
        count += sum(not refused(lefts) for lefts in results)
    now = await server_time()
    await store.close()
    return count, now - began


def test_there_is_no_double_burst_at_a_boundary(redis_server):
    count, seconds = asyncio.run(_burst_across_boundaries(redis_server.url))
    assert count <= 200 + 200 * seconds
    assert count >= 200


def limits_of(server: RedisServer, on_outage: str, **options) -> tuple[Limits, object]:
    settings = RedisSettings(url=server.url, timeout=1, connect_timeout=1, retries=1)
    chosen = LimitOptions(redis_url=server.url, on_outage=on_outage, **options)
    limits = Limits(SystemClock(), Host(), chosen, lambda: lambda: connect(settings))
    check = limits.check(f"op-{uuid.uuid4().hex}", groups([Rate("3/day", key="address")])[0])
    return limits, check.run


def a_call() -> Call:
    return Call(b"id", "op", peer=("192.0.2.1", 1))


async def outcomes(run, number: int) -> list[str]:
    found = []
    for _ in range(number):
        try:
            await run(a_call())
            found.append("passed")
        except Unavailable as problem:
            found.append("unavailable" if problem.guard == "limit" and problem.headers["retry-after"] else "odd")
        except Exception as problem:
            found.append(type(problem).__name__)
    return found


EXPECTED = {
    "open": ["passed"] * 5,
    "closed": ["unavailable"] * 5,
    "local": ["passed"] * 3 + ["TooManyRequests"] * 2,
}


@pytest.mark.parametrize("on_outage", ["open", "closed", "local"])
@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_when_redis_dies_the_chosen_policy_holds_and_one_call_pays_for_it(redis_server, on_outage, how, caplog):
    async def scenario() -> None:
        limits, run = limits_of(redis_server, on_outage, retry=60.0)
        # However busy the machine is, this must succeed: the time a decision may take comes into force below.
        limits.remote.store._timeout = 10.0
        assert await outcomes(run, 1) == ["passed"]
        limits.remote.store._timeout = 0.08
        if how == "killed":
            redis_server.stop()
        else:
            redis_server.process.send_signal(signal.SIGSTOP)  # it does not answer, and does not refuse either
        with caplog.at_level(logging.ERROR, "seawall"):
            assert await outcomes(run, 5) == EXPECTED[on_outage]
        assert limits.remote.outage.failures == 1  # nobody but the first has asked
        assert len(caplog.records) == 1
        await limits.close()

    try:
        asyncio.run(scenario())
    finally:
        redis_server.stop()
        redis_server.start()


def test_when_redis_comes_back_without_its_scripts_nobody_notices(redis_server):
    async def scenario() -> None:
        limits, run = limits_of(redis_server, "closed", retry=0.01, timeout=10.0)
        assert await outcomes(run, 2) == ["passed"] * 2
        redis_server.stop()
        redis_server.start()
        # Connections of the pool are those of before, and the script is not known: it was never saved.
        assert await outcomes(run, 4) == ["passed"] * 3 + ["TooManyRequests"]
        redis_server.stop()
        assert await outcomes(run, 1) == ["unavailable"]
        redis_server.start()
        await asyncio.sleep(0.02)
        assert await outcomes(run, 1) == ["passed"]
        assert not limits.remote.outage.lasts
        await limits.close()

    asyncio.run(scenario())
