"""Mounts: any ASGI application, behind the same guards, under a path."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from seawall.call import Call, enter, leave
from seawall.http.answers import problem_in
from seawall.http.exchange import merge_fields
from seawall.operation import Policy
from seawall.plan import AnswerBroken, Place, Writer
from seawall.problems import ConfigurationError, Problem

__all__ = ["Mount", "Mounted", "already_sent", "guard_websocket", "lifespan_of"]

App = Callable[[Any, Any, Any], Awaitable[None]]
Fields = list[tuple[bytes, bytes]]

logger = logging.getLogger("seawall")
POLICY_VIOLATION = 1008


@dataclass(frozen=True, slots=True)
class Mount:
    """An ASGI application under a path.

    Args:
        prefix: The path, without a slash at its end.
        app: The application.
        policy: Its effective policy.
        name: For people and plans.
        state: What the application's lifespan leaves for its requests.
    """

    prefix: str
    app: App
    policy: Policy
    name: str
    state: dict[str, Any] = field(default_factory=dict)

    def covers(self, path: str) -> bool:
        """Return whether *path* belongs to the mount."""
        return path.startswith(self.prefix) and (len(path) == len(self.prefix) or path[len(self.prefix)] == "/")

    def scope(self, scope: MutableMapping[str, Any]) -> dict[str, Any]:
        """Return the scope the application sees: the same path, and its own place as the root (ASGI 2.5)."""
        root = scope.get("root_path", "").rstrip("/") + self.prefix
        return {**scope, "root_path": root, "state": {**scope.get("state", {}), **self.state}}


class Mounted:
    """The fragment at the inner end of a mount's plan."""

    name = "mount"
    place = Place.OPERATION

    def __init__(self, mount: Mount, base: Fields) -> None:
        self._mount = mount
        self._base = base
        self.note = mount.name

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        """Write the call of the application."""
        run = writer.bind("mounted", self.run)
        writer.lines(f"status = await {run}(scope, receive, send, call)", "content_type = body = response = None")
        inner()

    async def run(self, scope: Any, receive: Any, send: Any, call: Call) -> int:
        """Call the application, adding the service's header fields to its answer; return the answer's status."""
        started = 0

        async def send_with_fields(message: Any) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = message["status"]
                present = {name.lower() for name, _ in message.get("headers", ())}
                own = [(b"x-request-id", call.id), *self._base]
                added = [pair for pair in own if pair[0] == b"vary" or pair[0] not in present]
                message = {**message, "headers": [*message.get("headers", ()), *added, *(call.fields or ())]}
            await send(message)

        try:
            await self._mount.app(self._mount.scope(scope), receive, send_with_fields)
        except Exception as error:
            if not started:
                raise
            # Half an answer is out: the connection must break, so that nobody takes it for a whole one.
            logger.exception("error in mount %s after its answer had begun", self._mount.name)
            raise AnswerBroken("the answer had begun") from error
        return started or 500  # the server says 500 where the application has said nothing


async def already_sent(*_: Any) -> int:
    """Stand in for sending an answer that the application has sent itself."""
    return 200


async def guard_websocket(
    mount: Mount,
    doors: Sequence[Callable[[Any, Call], None]],
    scope: Any,
    receive: Any,
    send: Any,
    request_id: bytes,
) -> None:
    """Run a mount's guards for a WebSocket, then hand it over; a refusal closes it before it is accepted."""
    call = Call(request_id, mount.name, merge_fields(scope["headers"]), scope.get("client"))
    token = enter(call)
    guards = sorted(mount.policy.guards, key=lambda guard: guard.place)
    held = []
    error: BaseException | None = None
    admitted = False
    try:
        for door in doors:
            door(scope, call)
        known = not mount.policy.closed
        for guard in guards:
            if not known and guard.place > Place.AUTHENTICATE:
                await _admit(mount, call)
                known = True
            await guard.check(call)
            held.append(guard)
        if not known:
            await _admit(mount, call)
        admitted = True
        await mount.app(mount.scope(scope), receive, send)
    except BaseException as raised:
        error = raised
        problem = problem_in(raised)
        if problem is None or admitted:
            raise
        await receive()  # websocket.connect
        await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": _reason(problem)})
    finally:
        for guard in reversed(held):
            await guard.release(call, error)
        leave(token)


async def _admit(mount: Mount, call: Call) -> None:
    from seawall.auth.guards import admit  # noqa: PLC0415 - services without callers do without

    await admit(mount.policy, call)


def _reason(problem: Problem) -> str:
    return (problem.detail or problem.title)[:120]


@asynccontextmanager
async def lifespan_of(mount: Mount) -> AsyncIterator[None]:
    """Run the application's own lifespan around the block; one that has none is left alone.

    Raises:
        ConfigurationError: The application says that it cannot start.
    """
    to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": mount.state}

    async def run() -> None:
        try:
            await mount.app(scope, to_app.get, from_app.put)
        except Exception as error:  # noqa: BLE001 - by the ASGI specification it says 'no lifespan here'
            await from_app.put({"type": "lifespan.none", "error": error})
        else:
            await from_app.put({"type": "lifespan.none", "error": None})

    # Not a task group: it would wrap whatever ends the block, here or in the service, in an exception group.
    task = asyncio.get_running_loop().create_task(run(), name=f"lifespan of {mount.name}")
    try:
        await to_app.put({"type": "lifespan.startup"})
        answer = await from_app.get()
        if answer["type"] == "lifespan.startup.failed":
            raise ConfigurationError(
                f"{mount.name} did not start: {answer.get('message') or 'it did not say why'}"
            ) from answer.get("error")
        try:
            yield
        finally:
            if answer["type"] == "lifespan.startup.complete" and not task.done():
                await to_app.put({"type": "lifespan.shutdown"})
                await from_app.get()
    finally:
        task.cancel()
        await asyncio.wait([task])
