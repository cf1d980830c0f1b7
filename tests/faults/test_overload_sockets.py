"""Scenarios 5 and 6 on a real server that has too much to compute, over real sockets.

What callers see depends on the machine; asserted is what it cannot be blamed for. The bars are asserted in virtual
time, in ``test_overload``; ``pytest -s`` prints what was measured here.
"""

import asyncio
import contextlib
import random
import time
from collections import Counter
from pathlib import Path

from support.process import served

HERE = Path(__file__).parent
SECONDS = 3.0
PATIENCE = 0.4
"""Seconds after which an answer is of no use to its caller any more."""
RATE = 300
"""Calls a second: several times what one core can do at 10 ms each."""


class Caller:
    """A connection that is used again when it is free."""

    def __init__(self, address):
        self._address = address
        self._free = []
        self._all = set()

    async def ask(self, path):
        """Return status and seconds; status 0 for a connection that ended."""
        began = time.monotonic()
        reader, writer = self._free.pop() if self._free else await asyncio.open_connection(*self._address)
        self._all.add(writer)
        try:
            writer.write(b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            await reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            self._all.discard(writer)
            await _closed(writer)
            return 0, time.monotonic() - began
        self._free.append((reader, writer))
        return int(head.split()[1]), time.monotonic() - began

    async def close(self):
        await asyncio.gather(*map(_closed, self._all))


async def _closed(writer):
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def storm(address, rate, seconds, shares):
    """Send calls without waiting for answers; return (path, status, seconds) of each."""
    caller, chance, results, tasks = Caller(address), random.Random(5), [], set()

    async def one(path):
        results.append((path, *await caller.ask(path)))

    began = sent = time.monotonic()
    while sent - began < seconds:
        sent += chance.expovariate(rate)
        await asyncio.sleep(max(0.0, sent - time.monotonic()))
        (path,) = chance.choices(list(shares), list(shares.values()))
        task = asyncio.create_task(one(path))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.wait_for(asyncio.gather(*tasks), 60)
    await caller.close()
    return results


def measured(rate=RATE, **variables):
    with served("overload_app:service", HERE, **variables) as server:
        address = server.address()
        shares = {"/work": 0.85, "/vital": 0.1, "/health/live": 0.05}
        results = asyncio.run(storm(address, rate, SECONDS, shares))
        assert server.end() == 0
    sent = Counter(path for path, *_ in results)
    passed = Counter(path for path, status, _ in results if status == 200)
    in_time = Counter(path for path, status, seconds in results if status == 200 and seconds <= PATIENCE)
    refused = sorted(seconds for _, status, seconds in results if status == 503)
    statuses = Counter(status for _, status, _ in results)
    print(statuses, "in time", {path: f"{in_time[path] / sent[path]:.0%}" for path in sent})
    print("refused after", f"{refused[len(refused) // 2] * 1000:.0f} ms" if refused else "never")
    return {path: passed[path] / sent[path] for path in sent}, statuses


def test_a_server_with_too_much_to_compute_refuses_some_and_keeps_what_is_important():
    passed, statuses = measured(SEAWALL_ADMISSION_ENABLED="yes")
    assert set(statuses) == {200, 503}
    assert passed["/vital"] > passed["/work"]
    assert passed["/health/live"] == 1.0


def test_without_admission_it_keeps_everybody_waiting():
    _, statuses = measured(SEAWALL_ADMISSION_ENABLED="no")
    assert set(statuses) == {200}


def test_a_bulkhead_over_sockets():
    with served("overload_app:service", HERE) as server:
        address = server.address()
        results = asyncio.run(storm(address, 400, 1.5, {"/slots": 1.0}))
        assert server.end() == 0
    statuses = Counter(status for _, status, _ in results)
    print(statuses)
    assert set(statuses) == {200, 503}
