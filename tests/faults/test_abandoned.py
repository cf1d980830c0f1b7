"""Scenario 22: clients that go away at random points; tasks, sockets, pool slots, transactions and locks come back.

500 clients in the suite, 10,000 with ``make faults``; the seed is printed, and taken from SEAWALL_TEST_SEED.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
import uuid
from pathlib import Path

import asyncpg
import msgspec
import pytest
from sqlalchemy.engine import make_url

from support.databases import postgres_url
from support.process import Wire, served

__all__ = ["postgres_url"]

HERE = Path(__file__).parent
CLIENTS = 10_000 if os.environ.get("SEAWALL_FAULTS") == "full" else 500
AT_ONCE = 60
STAYS = 10
"""One client in so many stays, where answers are quick."""
SHORT = 0.1
SEED = int(os.environ.get("SEAWALL_TEST_SEED", "20261124"))
BACK_WITHIN = 5.0
HELD_IN_DATABASE = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = $1 AND state <> 'idle'
"""
LOCKS_IN_DATABASE = """
    SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE datname = current_database() AND application_name = $1 AND locktype = 'advisory'
"""
HALF_PAIRS = "SELECT count(*) FROM (SELECT pair FROM halves GROUP BY pair HAVING count(*) % 2 = 1) AS halved"

GETS = ["/query", "/locks", "/permit", "/parts", "/within", "/stream", "/nothing"]


def request_of(number: int, chance: random.Random) -> bytes:
    if chance.random() < 0.3:
        body = b'{"number": %d, "note": "%b"}' % (number, b"n" * chance.choice((0, 100, 100_000)))
        length = b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        if chance.random() < 0.3:
            length = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        return b"POST /pair HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + length
    return b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % chance.choice(GETS).encode()


async def leave(address: tuple[str, int], number: int, chance: random.Random, most: float) -> None:
    """Be a client that goes away somewhere: in its request, while it is worked on, in the answer, or behind it."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        raw = request_of(number, chance) * chance.choice((1, 1, 1, 1, 3))
        if chance.random() < 0.2:
            raw = raw[: chance.randrange(len(raw))]
        writer.write(raw)
        await writer.drain()
        await asyncio.sleep(chance.random() * most)
        if chance.random() < 0.1:
            async with asyncio.timeout(0.02):
                await reader.read(100)
        if chance.random() < 0.2:
            writer.write_eof()
    except (OSError, TimeoutError):
        pass
    finally:
        if chance.random() < 0.5:
            writer.transport.abort()
        writer.close()


async def stay(address: tuple[str, int]) -> None:
    """Be a client that waits for its answer: one that is served while others leave, and that keeps them in step.

    Those who leave wait for nothing. Without the others they would fill the listen queue far ahead of the server, and
    the time in which everything comes back would be the time that it takes to accept them.
    """
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"GET /parts HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    writer.close()


class Ledger:
    """What is held, as the service tells it and as the database sees it."""

    def __init__(self, address: tuple[str, int], dsn: str, name: str) -> None:
        self._address = address
        self._name = name
        self._dsn = dsn

    async def look(self) -> dict[str, int]:
        with Wire(self._address) as wire:
            status, _, body = await asyncio.to_thread(wire.get, "/held")
            assert status == 200
        connection = await asyncpg.connect(self._dsn)
        try:
            transactions = await connection.fetchval(HELD_IN_DATABASE, self._name)
            locks = await connection.fetchval(LOCKS_IN_DATABASE, self._name)
            halves = await connection.fetchval(HALF_PAIRS)
        finally:
            await connection.close()
        return {**msgspec.json.decode(body), "transactions": transactions, "database locks": locks, "halves": halves}

    async def why(self) -> str:
        with Wire(self._address) as wire:
            _, _, body = await asyncio.to_thread(wire.get, "/tasks")
        return "\n".join(msgspec.json.decode(body))

    async def excess(self, baseline: dict[str, int]) -> dict[str, int]:
        """Return what is held above *baseline* when *BACK_WITHIN* seconds have passed; nothing, once that is so."""
        until = time.monotonic() + BACK_WITHIN
        while True:
            now = await self.look()
            over = {name: value - baseline[name] for name, value in now.items() if value > baseline[name]}
            if not over or time.monotonic() > until:
                if over:
                    print(await self.why())
                return over
            await asyncio.sleep(0.1)


async def abandon(address: tuple[str, int], dsn: str, name: str, clients: int, most: float) -> dict[str, int]:
    print(f"SEAWALL_TEST_SEED={SEED}")
    chance, gate = random.Random(SEED), asyncio.Semaphore(AT_ONCE)
    ledger = Ledger(address, dsn, name)
    baseline = await ledger.look()
    assert baseline["transactions"] == baseline["connections"] == baseline["permits"] == 0

    async def one(number: int) -> None:
        own = random.Random(chance.getrandbits(64))
        async with gate:
            if number % STAYS or most > SHORT:
                await leave(address, number, own, most)
            else:
                await stay(address)

    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(one(number))
    return await ledger.excess(baseline)


def run(postgres_url: str, carrier: str, clients: int, most: float, **variables: str) -> tuple[dict[str, int], str]:
    dsn = make_url(postgres_url).set(drivername="postgresql").render_as_string(hide_password=False)
    name = f"abandoned-{uuid.uuid4().hex[:8]}"
    variables |= {"FAULTS_DATABASE": postgres_url, "FAULTS_NAME": name, "SEAWALL_SERVER_CARRIER": carrier}
    with served("abandoned_app:service", HERE, **variables) as server:
        over = asyncio.run(abandon(server.address(), dsn, name, clients, most))
        if not over:
            assert server.end() == 0, server.output
        return over, server.output


@pytest.mark.parametrize("carrier", ["wire", "asgi"])
def test_everything_comes_back_when_clients_go_away(postgres_url: str, carrier: str) -> None:
    over, output = run(postgres_url, carrier, CLIENTS, 0.08)
    assert over == {}
    assert "Traceback" not in output


@pytest.mark.parametrize("carrier", ["wire", "asgi"])
def test_slow_work_is_given_up(postgres_url: str, carrier: str) -> None:
    over, output = run(postgres_url, carrier, 100, 0.2, FAULTS_SECONDS="60")
    assert over == {}
    assert "Traceback" not in output


def test_it_is_not_where_calls_are_to_finish(postgres_url: str) -> None:
    """The check above finds what is held when the protection is off."""
    over, _ = run(postgres_url, "wire", 100, 0.2, FAULTS_SECONDS="60", FAULTS_ON_DISCONNECT="finish")
    assert {"tasks", "connections", "permits", "transactions"} <= over.keys()
