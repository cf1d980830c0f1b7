"""A target for tests of clients: a real server on loopback that answers as it is told, late, wrong or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import parse_qs

import msgspec

from seawall.clock import Clock, Random, SystemClock, SystemRandom

__all__ = ["FakeReply", "FakeRequest", "FakeServer", "Fault"]

_LARGEST_HEAD = 64 * 1024


@dataclass(frozen=True, slots=True)
class FakeRequest:
    """One request that came: method, path, query, header fields (names in lower case) and body."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body, decoded."""
        return msgspec.json.decode(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeReply:
    """One answer.

    Args:
        status: Its status.
        json: What its body is the JSON of.
        body: Its body, where that is no JSON.
        headers: Further header fields.
        pieces: Pieces that are sent one by one (chunked), each after *pause* seconds.
        pause: Seconds before each piece.
    """

    status: int = 200
    json: Any = msgspec.UNSET
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: tuple[bytes, ...] = ()
    pause: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong with a request.

    Args:
        latency: Seconds before anything else.
        status: The answer's status in place of the right one.
        cut: The connection is reset: ``before`` the operation runs, ``head``, once it has run and before anything is
            sent, or ``body``, in the middle of the answer.
        hang: Nothing is ever answered.
        garbage: What is answered is no HTTP.
        share: The share of requests it befalls, by the server's chance.
        times: How many requests it befalls at most; None for all.
    """

    latency: float = 0.0
    status: int | None = None
    cut: Literal["before", "head", "body"] | None = None
    hang: bool = False
    garbage: bool = False
    share: float = 1.0
    times: int | None = None


Handler = Callable[[FakeRequest], Awaitable[FakeReply] | FakeReply]


class FakeServer:
    """A server for the time of a block, on a port of its own.

    ::

        async with FakeServer() as server:
            server.on("GET", "/items/7", FakeReply(json={"id": 7}))
            server.fault(Fault(cut="head", times=1))
            client = Client("items", server.url)

    Args:
        random: Chance, for faults that befall a share of requests.
        clock: By what latencies pass.
        tls: The server's TLS; None for none.
    """

    def __init__(
        self, random: Random | None = None, clock: Clock | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self.requests: list[FakeRequest] = []
        """Every request that came whole, in order."""
        self.connections = 0
        """How many connections have been made."""
        self.open = 0
        """How many are open."""
        self.port = 0
        self._random = random or SystemRandom()
        self._clock = clock or SystemClock()
        self._tls = tls
        self._replies: dict[tuple[str, str], Handler] = {}
        self._faults: list[list[Any]] = []
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{'https' if self._tls else 'http'}://{'localhost' if self._tls else '127.0.0.1'}:{self.port}"

    def on(self, method: str, path: str, reply: FakeReply | Handler) -> None:
        """Answer *method* and *path* with *reply*, or with what that function returns; everything else gets 404."""
        self._replies[method, path] = reply if callable(reply) else lambda _request: reply

    def fault(self, fault: Fault) -> None:
        """Let *fault* happen from now on; the first one that applies to a request befalls it."""
        self._faults.append([fault, 0])

    def heal(self) -> None:
        """Let nothing go wrong any more."""
        self._faults.clear()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_LARGEST_HEAD, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None  # noqa: S101 - set on entering
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - the streams run it in one
        self._tasks.add(task)
        self.connections += 1
        self.open += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._exchange(reader, writer):
                    pass
        except asyncio.CancelledError:
            pass  # the block has ended, and this connection with it
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return whether the connection goes on."""
        request = await _read(reader)
        self.requests.append(request)
        fault = self._next_fault()
        if fault.latency:
            await self._clock.sleep(fault.latency)
        if fault.hang:
            await asyncio.get_running_loop().create_future()
        if fault.cut == "before":
            return False
        if fault.garbage:
            writer.write(b"what is this\r\n\r\n")
            await writer.drain()
            return False
        reply = await self._reply(request) if fault.status is None else FakeReply(status=fault.status)
        if fault.cut == "head":
            return False
        return await self._answer(writer, reply, half=fault.cut == "body", bodiless=request.method == "HEAD")

    async def _reply(self, request: FakeRequest) -> FakeReply:
        handler = self._replies.get((request.method, request.path))
        if handler is None:
            return FakeReply(status=404)
        made = handler(request)
        return made if isinstance(made, FakeReply) else await made

    async def _answer(self, writer: asyncio.StreamWriter, reply: FakeReply, *, half: bool, bodiless: bool) -> bool:
        body, headers = reply.body, {"content-type": "application/octet-stream"}
        if reply.json is not msgspec.UNSET:
            body = msgspec.json.encode(reply.json)
            headers["content-type"] = "application/json" if reply.status < 400 else "application/problem+json"
        headers.update({name.lower(): value for name, value in reply.headers.items()})
        if reply.pieces:
            headers["transfer-encoding"] = "chunked"
        elif reply.status not in {204, 304}:
            headers["content-length"] = str(len(body))
        head = f"HTTP/1.1 {reply.status} Status\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in headers.items()
        )
        writer.write(head.encode("latin-1") + b"\r\n")
        if bodiless:
            await writer.drain()
            return True
        if not reply.pieces:
            writer.write(body[: len(body) // 2] if half else body)
        for number, piece in enumerate(reply.pieces):
            if half and number >= len(reply.pieces) // 2:
                break
            if reply.pause:
                await self._clock.sleep(reply.pause)
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
        if half:
            await writer.drain()
            return False
        if reply.pieces:
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    def _next_fault(self) -> Fault:
        for entry in self._faults:
            fault, used = entry
            if (fault.times is None or used < fault.times) and (
                fault.share >= 1 or self._random.random() < fault.share
            ):
                entry[1] += 1
                chosen: Fault = fault
                return chosen
        return Fault()


async def _read(reader: asyncio.StreamReader) -> FakeRequest:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ", 2)
    headers: dict[str, str] = {}
    for line in head[1:-2]:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readuntil(b"\r\n")
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    path, _, query = target.partition("?")
    return FakeRequest(method, path, parse_qs(query, keep_blank_values=True), headers, body)
