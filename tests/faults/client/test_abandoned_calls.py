"""Scenario 22 for calls that go out: clients of a service leave while it asks another one; everything comes back.

300 clients in the suite, 10,000 with SEAWALL_FAULTS=full; the seed is printed, and taken from SEAWALL_TEST_SEED.
"""

from __future__ import annotations

import asyncio
import os
import random
import time

import msgspec

from support.process import Wire
from support.rows import Row

CLIENTS = 10_000 if os.environ.get("SEAWALL_FAULTS") == "full" else 300
AT_ONCE = 60
SEED = int(os.environ.get("SEAWALL_TEST_SEED", "20261125"))
BACK_WITHIN = 5.0


def held(row: Row) -> dict[str, int]:
    """Return what A, which asks, and B, which is asked, hold."""
    found = {}
    for name in "AB":
        with Wire(row.addresses[name]) as wire:
            status, _, body = wire.get("/held")
            assert status == 200
        found |= {f"{name} {what}": number for what, number in msgspec.json.decode(body).items()}
    return found


async def leave(address: tuple[str, int], path: bytes, chance: random.Random, most: float) -> None:
    """Be a client that goes away while its call is worked on, or in its answer."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % path)
        await writer.drain()
        await asyncio.sleep(chance.random() * most)
        if chance.random() < 0.1:
            async with asyncio.timeout(0.02):
                await reader.read(100)
    except (OSError, TimeoutError):
        pass
    finally:
        if chance.random() < 0.5:
            writer.transport.abort()
        writer.close()


async def stay(address: tuple[str, int]) -> None:
    """Be a client that waits for its answer; those who leave are kept in step by it."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"GET /ask/1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    writer.close()


async def abandon(row: Row, paths: list[bytes], clients: int, most: float) -> dict[str, int]:
    """Let *clients* come and go; return what is held above the baseline when *BACK_WITHIN* seconds have passed."""
    print(f"SEAWALL_TEST_SEED={SEED}")
    chance, gate = random.Random(SEED), asyncio.Semaphore(AT_ONCE)
    baseline = await asyncio.to_thread(held, row)

    async def one(number: int) -> None:
        own = random.Random(chance.getrandbits(64))
        async with gate:
            if number % 10 or most > 0.2:
                await leave(row.addresses["A"], own.choice(paths), own, most)
            else:
                await stay(row.addresses["A"])

    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(one(number))
    until = time.monotonic() + BACK_WITHIN
    while True:
        now = await asyncio.to_thread(held, row)
        over = {what: number - baseline[what] for what, number in now.items() if number > baseline[what]}
        if not over or time.monotonic() > until:
            return over
        await asyncio.sleep(0.1)


def test_22_everything_comes_back_when_clients_go_away(row: Row) -> None:
    paths = [b"/ask/0", b"/ask/10", b"/ask/40", b"/pieces/40"]
    assert asyncio.run(abandon(row, paths, CLIENTS, 0.1)) == {}


def test_22_what_is_asked_of_others_is_given_up(row: Row) -> None:
    assert asyncio.run(abandon(row, [b"/ask/60000", b"/pieces/60000"], 60, 0.3)) == {}


def test_22_it_is_not_where_calls_are_to_finish(row: Row) -> None:
    """The check above finds what is held when the protection is off."""
    over = asyncio.run(abandon(row, [b"/ask-on/6000"], 8, 0.3))
    assert {"A tasks", "A permits", "A under_way", "A connections", "B tasks"} <= over.keys()
    end = time.monotonic() + 60
    while held(row)["A under_way"]:  # others are to find nothing of it
        assert time.monotonic() < end
        time.sleep(0.2)
