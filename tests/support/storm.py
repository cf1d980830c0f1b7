"""Callers in a process of their own: ``python -m support.storm HOST PORT STAGES`` prints what they saw, as JSON.

A stage is open, calls come at a rate whether or not others were answered, or closed, so many callers each wait for
their answer before they ask again. Latency is measured from the moment a call is written to the whole answer.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import uvloop

TESTS = Path(__file__).parent.parent


@dataclass(frozen=True)
class Stage:
    """What is sent, and for how long.

    Args:
        shares: Paths and their part of the calls.
        seconds: For how long.
        rate: Calls a second; 0 for a closed stage.
        callers: How many ask in turn, in a closed one.
        settle: Seconds before anything is noted.
    """

    shares: Mapping[str, float]
    seconds: float
    rate: float = 0.0
    callers: int = 0
    settle: float = 0.0


@dataclass
class Seen:
    """What the callers of one stage saw.

    Args:
        seconds: For how long it was noted.
        sent: Calls, by path.
        answers: Milliseconds of each answer by path, then status; 0 is a connection that ended.
    """

    seconds: float
    sent: dict[str, int] = field(default_factory=dict)
    answers: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def times(self, status: int, path: str | None = None) -> list[float]:
        """Return the sorted milliseconds of answers with *status*."""
        found = [self.answers.get(path, {})] if path else self.answers.values()
        return sorted(each for answers in found for each in answers.get(str(status), []))

    def statuses(self) -> set[int]:
        return {int(status) for answers in self.answers.values() for status in answers}

    def passed(self, path: str) -> float:
        """Return the part of the calls of *path* that were answered with 200."""
        return len(self.times(200, path)) / self.sent[path]

    def goodput(self, path: str, patience: float = float("inf")) -> float:
        """Return the answers a second that came within *patience* milliseconds."""
        return sum(1 for each in self.times(200, path) if each <= patience) / self.seconds


def percentile(times: Sequence[float], part: float) -> float:
    return times[min(len(times) - 1, int(len(times) * part))]


def storm(address: tuple[str, int], *stages: Stage) -> list[Seen]:
    """Let the stages follow each other, in a process of their own; return what was seen in each."""
    done = subprocess.run(
        [sys.executable, "-m", "support.storm", *map(str, address), json.dumps([asdict(each) for each in stages])],
        cwd=TESTS,
        stdout=subprocess.PIPE,
        check=True,
        timeout=120,
    )
    return [Seen(**each) for each in json.loads(done.stdout)]


class Connection(asyncio.Protocol):
    """One call at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.status: asyncio.Future[int]
        self._seen = b""

    def connection_made(self, transport):
        self.transport = transport

    async def ask(self, request: bytes) -> int:
        self.status = asyncio.get_running_loop().create_future()
        self._seen = b""
        self.transport.write(request)
        return await self.status

    def data_received(self, data):
        seen = self._seen = self._seen + data
        head, end, body = seen.partition(b"\r\n\r\n")
        if not end:
            return
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
        if len(body) >= int(length or 0) and not self.status.done():
            self.status.set_result(int(head[9:12]))

    def connection_lost(self, error):
        if not self.status.done():
            self.status.set_result(0)


class Callers:
    """Send the calls of one stage after the other over connections that are kept."""

    def __init__(self, host: str, port: int) -> None:
        self._place = host, port
        self._free: list[Connection] = []
        self._chance = random.Random(5)

    async def run(self, stage: Stage) -> Seen:
        seen = Seen(stage.seconds - stage.settle)
        begin = time.monotonic()
        if stage.rate:
            await self._open(stage, seen, begin)
        else:
            await asyncio.gather(*(self._closed(stage, seen, begin) for _ in range(stage.callers)))
        return seen

    async def _open(self, stage, seen, begin):
        sent, tasks = begin, set()
        while sent - begin < stage.seconds:
            sent += self._chance.expovariate(stage.rate)
            wait = sent - time.monotonic()
            if wait > 0.0005:
                await asyncio.sleep(wait)
            task = asyncio.create_task(self._one(stage, seen, begin))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.wait_for(asyncio.gather(*tasks), 60)

    async def _closed(self, stage, seen, begin):
        while time.monotonic() - begin < stage.seconds:
            await self._one(stage, seen, begin)

    async def _one(self, stage, seen, begin):
        (path,) = self._chance.choices(list(stage.shares), list(stage.shares.values()))
        status = 0
        while not status:
            connection, kept = await self._connection()
            began = time.monotonic()
            status = await connection.ask(b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode())
            took = time.monotonic() - began
            if status:
                self._free.append(connection)
            elif not kept:  # one that was kept may have ended when it was used: then another is
                break
        if began - begin >= stage.settle:
            seen.sent[path] = seen.sent.get(path, 0) + 1
            seen.answers.setdefault(path, {}).setdefault(str(status), []).append(round(took * 1000, 3))

    async def _connection(self):
        """Return a connection, and whether it was used before."""
        while self._free:
            connection = self._free.pop()
            if not connection.transport.is_closing():
                return connection, True
        _, connection = await asyncio.get_running_loop().create_connection(Connection, *self._place)
        return connection, False

    async def close(self):
        for connection in self._free:
            connection.transport.close()
        await asyncio.sleep(0)


async def main(host: str, port: int, stages: Sequence[Stage]) -> list[Seen]:
    callers = Callers(host, port)
    try:
        return [await callers.run(stage) for stage in stages]
    finally:
        await callers.close()


if __name__ == "__main__":
    given = [Stage(**each) for each in json.loads(sys.argv[3])]
    print(json.dumps([asdict(each) for each in uvloop.run(main(sys.argv[1], int(sys.argv[2]), given))]))
