"""Exchanges with a service as an ASGI server would have them, without server, socket or thread."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

JSON = {"content-type": "application/json"}
MSGPACK = {"content-type": "application/msgpack"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


@dataclass
class Answer:
    """What came back: the first start message, and every piece of body joined."""

    status: int
    raw_headers: list[tuple[bytes, bytes]]
    body: bytes
    messages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode("latin-1") for name, value in self.raw_headers}

    def all(self, name: str) -> list[str]:
        return [value.decode("latin-1") for key, value in self.raw_headers if key == name.encode()]

    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def errors(self) -> dict[str, str]:
        """Where and what: pointers as they are, parameters as ``location:name``."""
        found = {}
        for error in self.json().get("errors", ()):
            place = error["pointer"] if "pointer" in error else f"{error.get('location')}:{error.get('parameter')}"
            assert place not in found, f"two errors at {place}"
            found[place] = error["detail"]
        return found


def scope_of(
    method: str,
    path: str,
    query: str = "",
    headers: dict[str, str] | list[tuple[str, str]] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return the scope a server makes of a request whose target is the percent-encoded *path* and *query*."""
    pairs = list(headers.items()) if isinstance(headers, dict) else list(headers or ())
    raw = path.encode("utf-8", "surrogateescape")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote_to_bytes(raw).decode("utf-8", "replace"),
        "raw_path": raw,
        "query_string": query.encode("utf-8", "surrogateescape"),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs],
        "client": ("192.0.2.1", 40000),
        "server": ("testserver", 80),
        **more,
    }


async def exchange(
    app: Any,
    method: str,
    path: str,
    query: str = "",
    *,
    headers: dict[str, str] | list[tuple[str, str]] | None = None,
    body: bytes | Iterable[bytes] = b"",
    json: Any = None,
    disconnect: bool = False,
    **scope: Any,
) -> Answer:
    """Send one request to *app* and return its answer.

    Args:
        app: The ASGI application.
        method: The method.
        path: The path, percent-encoded.
        query: The query, percent-encoded.
        headers: Header fields.
        body: The body, in one or several messages.
        json: A value to send as JSON in the place of *body*.
        disconnect: Whether the client goes away in the place of the last message of its body.
        scope: What the scope has in the place of the usual.
    """
    if json is not None:
        body = msgspec.json.encode(json)
        headers = [*(headers.items() if isinstance(headers, dict) else headers or ()), *JSON.items()]
    chunks = [body] if isinstance(body, bytes) else list(body)
    inbox = [
        {"type": "http.request", "body": chunk, "more_body": index < len(chunks) - 1 or disconnect}
        for index, chunk in enumerate(chunks)
    ]
    if disconnect:
        inbox.append({"type": "http.disconnect"})
    inbox.reverse()
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if inbox:
            return inbox.pop()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async def send(message: Any) -> None:
        sent.append(dict(message))

    await app(scope_of(method, path, query, headers, **scope), receive, send)
    return answer_of(sent)


def answer_of(sent: list[dict[str, Any]]) -> Answer:
    """Return the answer that the messages *sent* make up; status 0 when there is none."""
    starts = [message for message in sent if message["type"] == "http.response.start"]
    assert len(starts) <= 1, "an answer begins once"
    if not starts:
        return Answer(0, [], b"", sent)
    bodies = [message for message in sent if message["type"] == "http.response.body"]
    ends = [message for message in bodies if not message.get("more_body")]
    assert len(ends) <= 1, "an answer ends once"
    body = b"".join(message.get("body", b"") for message in bodies)
    answer = Answer(starts[0]["status"], list(starts[0]["headers"]), body, sent)
    assert all(name == name.lower() for name, _ in answer.raw_headers)
    lengths = answer.all("content-length")
    assert len(lengths) <= 1, "two lengths"
    return answer


@contextlib.asynccontextmanager
async def running(service: Any) -> AsyncIterator[Any]:
    """Start *service* for the time of the block."""
    async with service.running():
        yield service
