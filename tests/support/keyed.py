"""Clients that send requests with an idempotency key over plain sockets, as many at once as a scenario asks for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

__all__ = ["Answered", "Clients", "Cut"]

PATIENCE = 60.0


class Cut(ConnectionError):
    """The connection ended before the answer was complete."""


@dataclass(frozen=True)
class Answered:
    """One answer as it stood on the wire; ``fields`` in their order, names in lower case."""

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes

    def field(self, name: str) -> str | None:
        return dict(self.fields).get(name)

    @property
    def replayed(self) -> bool:
        return self.field("idempotency-replayed") == "true"

    @property
    def says_later(self) -> bool:
        """Whether it is none yet: the request is in progress, or there is no place for it."""
        return self.status == 503 or (self.status == 409 and b":request-in-progress" in self.body)

    @property
    def lasting(self) -> tuple[object, ...]:
        """What must be the same in every answer to one key: all but what is each answer's own."""
        own = {"date", "x-request-id", "idempotency-replayed"}
        return self.status, tuple(field for field in self.fields if field[0] not in own), self.body


class Clients:
    """Kept connections to one server; a request takes a free one, or opens one."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, path: str, value: object, key: str | None, **fields: str) -> Answered:
        """Send one request.

        Raises:
            Cut: There was no whole answer.
        """
        body = json.dumps(value).encode()
        head = dict(_fields(len(body), key, fields))
        lines = [f"POST {path} HTTP/1.1", *(f"{name}: {text}" for name, text in head.items()), "", ""]
        reader, writer = None, None
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = self._free.pop() if self._free else await self._open()
                writer.write("\r\n".join(lines).encode() + body)
                answer = await _read(reader)
        except (OSError, asyncio.IncompleteReadError) as error:
            if writer is not None:
                writer.close()
            raise Cut(str(error)) from error
        if answer.field("connection") == "close":
            writer.close()
        else:
            self._free.append((reader, writer))
        return answer

    async def until_done(self, path: str, value: object, key: str, **fields: str) -> Answered:
        """Send it again, under the same key, for as long as it is cut off or in progress."""
        async with asyncio.timeout(5 * PATIENCE):
            while True:
                try:
                    answer = await self.post(path, value, key, **fields)
                except Cut:
                    await asyncio.sleep(0.05)
                    continue
                if not answer.says_later:
                    return answer
                await asyncio.sleep(0.05)

    async def close(self) -> None:
        while self._free:
            self._free.pop()[1].close()
        await asyncio.sleep(0.01)  # the loop lets go of what was closed

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)


def _fields(length: int, key: str | None, others: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    yield "host", "localhost"
    yield "content-type", "application/json"
    yield "content-length", str(length)
    if key is not None:
        yield "idempotency-key", key
    for name, text in others.items():
        yield name.replace("_", "-"), text


async def _read(reader: asyncio.StreamReader) -> Answered:
    top = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = tuple((name.lower(), text.strip()) for name, _, text in (line.partition(":") for line in top[1:] if line))
    body = await reader.readexactly(int(dict(fields)["content-length"]))
    return Answered(int(top[0].split()[1]), fields, body)
