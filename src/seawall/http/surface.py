"""The HTTP surface of a service: every route, mount and fallback behind one function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seawall.call import Call
from seawall.http.cors import CorsPolicy
from seawall.http.dispatch import Matcher, split_raw
from seawall.http.mounts import Mount, guard_websocket
from seawall.plan import Place, Plan, Writer
from seawall.problems import BadRequest, MethodNotAllowed, NotFound, Problem

__all__ = ["Allowed", "Preflight", "Settle", "Surface", "head_target"]

Target = Callable[[Any, Any, Any, Any], Awaitable[None]]
NO_PARTS: list[str] = []


@dataclass(slots=True)
class Surface:
    """What a request can be answered by. Its parts are replaced as a whole when settings are reloaded.

    Args:
        matchers: Finders of targets, by method.
        mounts: Mounted applications and their plans, the longest path first.
        fallback: Answers what has no route; its last argument is the problem, or what OPTIONS is answered with.
        cors: Answers preflights; None where no other origin is allowed.
        max_path: Bytes of path that are looked at.
        request_ids: Makes ids for WebSockets.
        lifespan: Answers the lifespan protocol.
        doors: What every WebSocket must pass: trusted hosts and proxies.
        wires: Finders of plans for ``wire``, by method as it stands on the wire; empty where every request must go
            the ASGI way.
    """

    matchers: Mapping[str, Matcher]
    mounts: Sequence[tuple[Mount, Plan]]
    fallback: Target
    cors: CorsPolicy | None
    max_path: int
    request_ids: Callable[[], bytes]
    lifespan: Target
    doors: Sequence[Callable[[Any, Call], None]] = ()
    wires: Mapping[bytes, Matcher] = field(default_factory=dict)

    def app(self) -> Callable[[Any, Any, Any], Awaitable[None]]:
        """Return the ASGI application: a plain function, so that a call costs one coroutine, the plan's."""

        def dispatch(scope: Any, receive: Any, send: Any) -> Any:
            if scope["type"] != "http":
                return self.other(scope, receive, send)
            matcher = self.matchers.get(scope["method"])
            if matcher is None:
                return self.otherwise(scope, receive, send)
            raw = scope.get("raw_path")
            if raw is not None and 37 in raw:  # "%"; a look for the byte is faster than for the text
                return self.encoded(matcher, scope, receive, send)
            path = scope["path"]
            if scope.get("root_path"):
                path = own_path(scope)
            target = matcher.static.get(path)
            if target is not None:
                return target(scope, receive, send, NO_PARTS)
            parts = path.split("/", 64)
            target = matcher.find(parts)
            if target is not None:
                return target(scope, receive, send, parts)
            return self.otherwise(scope, receive, send)

        return dispatch

    def encoded(self, matcher: Matcher, scope: Any, receive: Any, send: Any) -> Any:
        """Find the plan for a path with percent-encoded characters."""
        try:
            parts = own_parts(scope)
        except ValueError:
            return self.fallback(scope, receive, send, BadRequest("The path is not UTF-8."))
        target = matcher.target(parts)
        if target is not None:
            return target(scope, receive, send, parts)
        return self.otherwise(scope, receive, send)

    def otherwise(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        """Answer what no route matches: a mount, OPTIONS, 405 or 404."""
        path = own_path(scope)
        preflight = self.preflight(scope)
        for mount, plan in self.mounts if preflight is None else ():
            if mount.covers(path):
                answer: Awaitable[None] = plan.run(scope, receive, send, NO_PARTS)
                return answer
        return self.fallback(scope, receive, send, preflight or self.explain(scope, path))

    def preflight(self, scope: Any) -> Preflight | None:
        """Return the answer to a cross-origin preflight; None when the request is not one, or none is answered."""
        if scope["method"] != "OPTIONS" or self.cors is None:
            return None
        headers = dict(scope["headers"])
        origin, method = headers.get(b"origin"), headers.get(b"access-control-request-method")
        if origin is None or method is None:
            return None
        return Preflight(self.cors.preflight(origin, method, headers.get(b"access-control-request-headers")))

    def explain(self, scope: Any, path: str) -> Problem | Allowed:
        """Return what to answer where no route matches."""
        method = scope["method"]
        if len(path) > self.max_path:
            return NotFound("There is nothing under this path.")
        try:
            parts = own_parts(scope)
        except ValueError:
            return BadRequest("The path is not UTF-8.")
        allowed = self.allowed(parts)
        if not allowed:
            other = parts[:-1] if parts[-1] == "" else [*parts, ""]
            hint = f"; there is something at {'/'.join(other)[:200]}" if path != "/" and self.allowed(other) else ""
            return NotFound(f"There is nothing at {path[:200]}{hint}.")
        if method == "OPTIONS":
            return Allowed(allowed)
        return MethodNotAllowed(
            f"{method[:32]} is not possible here; {', '.join(allowed)} are.",
            headers={"Allow": ", ".join(allowed)},
        )

    def allowed(self, parts: list[str]) -> tuple[str, ...]:
        """Return the methods the resource at a path takes; OPTIONS is among them if there are any."""
        if parts == ["*"]:
            return tuple(sorted({*self.matchers, "OPTIONS"}))
        methods = {method for method, matcher in self.matchers.items() if matcher.target(list(parts)) is not None}
        return tuple(sorted(methods | {"OPTIONS"})) if methods else ()

    def other(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        """Answer what is not HTTP: the lifespan protocol and WebSockets."""
        if scope["type"] == "lifespan":
            return self.lifespan(scope, receive, send, None)
        return self.websocket(scope, receive, send)

    async def websocket(self, scope: Any, receive: Any, send: Any) -> None:
        """Hand a WebSocket to the mount it belongs to, or refuse it."""
        path = own_path(scope)
        for mount, _ in self.mounts:
            if mount.covers(path):
                await guard_websocket(mount, self.doors, scope, receive, send, self.request_ids())
                return
        await receive()
        await send({"type": "websocket.close", "code": 1000})


@dataclass(frozen=True, slots=True)
class Allowed:
    """The answer to OPTIONS: the methods a resource takes."""

    methods: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preflight:
    """The answer to a cross-origin preflight; None refuses it by granting nothing."""

    fields: list[tuple[bytes, bytes]] | None


class Settle:
    """The fragment at the inner end of the fallback's plan; ``parts`` is what `Surface.explain` returned."""

    name = "fallback"
    place = Place.OPERATION
    note = "404, 405, OPTIONS"

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        """Write the call that answers or raises."""
        writer.lines(
            f"{writer.bind('settle', settle)}(parts, call)",
            "status = 204",
            "content_type = None",
            'body = b""',
        )
        inner()


def settle(outcome: Problem | Allowed | Preflight, call: Call) -> None:
    """Raise a problem, or leave the fields of an OPTIONS answer in *call*."""
    if isinstance(outcome, Problem):
        raise outcome
    if isinstance(outcome, Allowed):
        call.add_header("allow", ", ".join(outcome.methods))
        return
    call.fields = list(outcome.fields or ())


def own_path(scope: Any) -> str:
    """Return the path below the place this application is mounted at."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    if not root or not path.startswith(root) or path[len(root) : len(root) + 1] not in ("", "/"):
        return path
    return path[len(root) :] or "/"


def own_parts(scope: Any) -> list[str]:
    """Return the decoded parts of the path below the place this application is mounted at.

    Raises:
        ValueError: A part is not UTF-8.
    """
    raw = scope.get("raw_path")
    if raw is None or b"%" not in raw:
        return own_path(scope).split("/", 64)
    parts = split_raw(raw)
    root = scope.get("root_path", "").rstrip("/").split("/")
    if len(root) > 1 and parts[: len(root)] == root:
        parts[: len(root)] = [""]
    return parts if len(parts) > 1 else [*parts, ""]


def head_target(target: Target) -> Target:
    """Return a target that answers HEAD with what GET would send, without its body (RFC 9110 §9.3.2).

    Ranges are for GET alone (§14.2).
    """

    def head(scope: Any, receive: Any, send: Any, parts: Any) -> Awaitable[None]:
        async def send_head(message: Any) -> None:
            if message["type"] == "http.response.body":
                if not message.get("more_body"):
                    await send({"type": "http.response.body", "body": b""})
                return
            await send(message)

        if any(name == b"range" for name, _ in scope["headers"]):
            scope = {**scope, "headers": [field for field in scope["headers"] if field[0] != b"range"]}
        return target(scope, receive, send_head, parts)

    return head
