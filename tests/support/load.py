"""Open-loop clients: requests at a fixed rate, whatever becomes of them, on connections that are kept.

The clients are as far away as in reality: between the moment at which one decides to use a connection and that at which
its request arrives lie some milliseconds, in which the server must not close it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

__all__ = ["Failure", "Load"]


@dataclass(frozen=True)
class Failure:
    """A request that was not answered with 200.

    Args:
        reason: What came instead.
        by: What the last answer on the same connection said; None if there was none.
        at: When, by the event loop's clock.
    """

    reason: str
    by: str | None
    at: float


@dataclass(eq=False)
class Line:
    """A connection, and what was last said on it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    said: str | None = None


@dataclass
class Load:
    """Clients that count what became of their requests.

    Args:
        address: Where to.
        rate: Requests a second.
        path: What is asked for.
        away: Seconds a request is on its way.
        kept: Connections that are kept.
    """

    address: tuple[str, int]
    rate: int = 200
    path: str = "/hello"
    away: float = 0.01
    kept: int = 8
    idle: deque[Line] = field(default_factory=deque)
    answered: int = 0
    failures: list[Failure] = field(default_factory=list)
    opened: int = 0
    seconds: float = 0.0

    @property
    def reached(self) -> float:
        """Requests a second that were in fact sent."""
        return (self.answered + len(self.failures)) / self.seconds if self.seconds else 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Send until *stop*."""
        loop = asyncio.get_running_loop()
        began, sent = loop.time(), 0
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                sent += 1
                group.create_task(self.request())
                await asyncio.sleep(max(0.0, began + sent / self.rate - loop.time()))
        self.seconds = loop.time() - began
        while self.idle:
            self.idle.popleft().writer.close()
        await asyncio.sleep(0.05)  # the loop lets go of what was closed

    async def request(self) -> None:
        """Send one request on a kept connection, the one that has rested longest, or on a new one."""
        line: Line | None = None
        try:
            async with asyncio.timeout(10):
                line = await self.connection()
                await asyncio.sleep(self.away)
                line.writer.write(f"GET {self.path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                head = (await line.reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
                body = await line.reader.readexactly(length)
            if not head.startswith(b"http/1.1 200"):
                self.fail(repr(head), line)
                line.writer.close()
                return
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            self.fail(f"{type(error).__name__}: {error}", line)
            if line is not None:
                line.writer.close()
            return
        self.answered += 1
        line.said = body.decode()
        if b"connection: close" in head or len(self.idle) >= self.kept:
            line.writer.close()
        else:
            self.idle.append(line)

    def fail(self, reason: str, line: Line | None) -> None:
        self.failures.append(Failure(reason, line.said if line else None, asyncio.get_running_loop().time()))

    async def connection(self) -> Line:
        """Return a connection that, as far as the client knows, is open."""
        while self.idle:
            line = self.idle.popleft()
            if not line.reader.at_eof() and not line.writer.is_closing():
                return line
            line.writer.close()
        self.opened += 1
        return Line(*await asyncio.open_connection(*self.address))
