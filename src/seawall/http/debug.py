"""Profiling over HTTP: ``/debug/`` and what is below it.

These routes show code, names and request ids, and cost something when they are asked for. So they are off unless the
settings switch them on, and then answer callers on this machine, or those with the token. They are like the health
probes in the rest: own plans, no guard of the user's, not in the API document, never cached.

A web page in a browser on this machine is no caller on this machine: requests that a browser says come from another
site or origin are refused, and so is a ``Host`` that is a name other than ``localhost`` (DNS rebinding).
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta
from starlette.responses import Response

from seawall.call import Call
from seawall.http.binding import bind
from seawall.http.debug_breakers import Breakers
from seawall.http.health import may_see
from seawall.http.parameters import Query
from seawall.http.route import Route, parse_template
from seawall.http.security_headers import content_security_policy, csp_hash, security_headers
from seawall.operation import Policy, describe
from seawall.problems import Forbidden, Problem, Unauthorized
from seawall.profiling import Profiler, flame_page, index, speedscope
from seawall.profiling.flame import SCRIPT, STYLE

__all__ = ["DebugAccess", "debug_routes"]

Format = Literal["text", "json"]
Top = Annotated[int, Meta(ge=1, le=200)]
Handler = Callable[..., Awaitable[Response]]

_HTML = "text/html; charset=utf-8"
_TEXT = "text/plain; charset=utf-8"


class DebugAccess:
    """Who may look.

    Args:
        token: What callers must send; None for callers on this machine only.
    """

    def __init__(self, token: str | None) -> None:
        self._token = token.encode() if token is not None else None

    def check(self, call: Call) -> None:
        """Let *call* pass.

        Raises:
            Unauthorized: It has not the token.
            Forbidden: It is not from this machine, or a page of another site sent it.
        """
        if self._token is not None:
            scheme, _, sent = (call.header("authorization") or "").partition(" ")
            if scheme.lower() != "bearer" or not hmac.compare_digest(sent.strip().encode(), self._token):
                raise _refused(
                    Unauthorized("This needs the token.", headers={"www-authenticate": 'Bearer realm="debug"'})
                )
            return
        if not may_see("loopback", call.client, call.metadata):
            raise _refused(Forbidden("Only callers on the machine of the service may look."))
        host = call.header("host")
        foreign = call.header("sec-fetch-site") in ("cross-site", "same-site") or _is_foreign(
            call.header("origin"), host
        )
        if foreign or not _names_this_machine(host):
            raise _refused(Forbidden("A page of another site may not look; open this address yourself."))


_IN_NAMES = str.maketrans("", "", "{}")


def debug_routes(
    profiler: Profiler,
    breakers: Breakers,
    access: DebugAccess,
    name: str,
    routes: Sequence[Route],
    prefixes: Sequence[str],
) -> Iterator[Route]:
    """Return the routes, or none where the user has a route or a mount under ``/debug``.

    Args:
        profiler: What looks into the process.
        breakers: The breakers that can be read and switched.
        access: Who may look.
        name: The service's name.
        routes: The user's routes.
        prefixes: Where applications are mounted.
    """
    if "/debug" in prefixes or any(route.template.segments[0] == "debug" for route in routes):
        return
    pages = _Pages()
    looks = _handlers(profiler, access, name, pages)
    for method, path, handler in (*looks, *_breakers(breakers, access)):
        plain = path.removeprefix("/debug").translate(_IN_NAMES).strip("/").replace("/", "_")
        named = f"debug_{plain or 'index'}"
        operation = describe(handler, name=named if method == "GET" else f"{method.lower()}_{named}")
        template = parse_template(path, operation.where)
        yield Route(
            method=method,
            template=template,
            operation=operation,
            # A profile lasts as long as it is asked to, within limits of its own.
            policy=Policy(timeout=None),
            bounds=bind(operation, method, template.names, frozenset()),
            status=200,
            documented=False,
        )


def _handlers(profiler: Profiler, access: DebugAccess, name: str, pages: _Pages) -> Iterator[tuple[str, str, Handler]]:
    async def page(call: Call) -> Response:
        access.check(call)
        return pages.index(name)

    async def cpu(
        call: Call,
        seconds: Annotated[float, Meta(gt=0, le=60)] = 10.0,
        hz: Annotated[int, Meta(ge=1, le=250)] = 100,
        format: Literal["flame", "speedscope"] = "flame",  # noqa: A002 - its name in the query
    ) -> Response:
        access.check(call)
        profile = await profiler.cpu(seconds, hz)
        if format == "flame":
            return pages.flame(flame_page(profile, f"{name}: where the time goes"))
        body = msgspec.json.encode(speedscope(profile, f"{name} {profile.pid}"))
        return _answer(
            body,
            "application/json",
            {"content-disposition": f'attachment; filename="profile-{profile.pid}.speedscope.json"'},
        )

    async def memory(
        call: Call,
        seconds: Annotated[float, Meta(gt=0, le=60)] = 10.0,
        frames: Annotated[int, Meta(ge=1, le=10)] = 1,
        top: Top = 30,
        format: Format = "text",  # noqa: A002
    ) -> Response:
        access.check(call)
        return _report(await profiler.memory(seconds, frames, top), format)

    async def objects(call: Call, top: Top = 50, format: Format = "text") -> Response:  # noqa: A002
        access.check(call)
        return _report(await profiler.objects(top), format)

    async def tasks(call: Call, format: Format = "text") -> Response:  # noqa: A002
        access.check(call)
        return _report(await profiler.tasks(), format)

    async def locks(call: Call, format: Format = "text") -> Response:  # noqa: A002
        access.check(call)
        return _report(await profiler.locks(), format)

    async def stalls(call: Call, format: Format = "text") -> Response:  # noqa: A002
        access.check(call)
        watch = profiler.stalls
        if format == "text":
            return _answer(watch.text().encode(), _TEXT)
        document = {
            "total": watch.total,
            "threshold": watch.threshold,
            "looks": watch.looks,
            "cost_seconds": watch.cost,
            "stalls": watch.stalls,
        }
        return _answer(msgspec.json.encode(document), "application/json")

    yield "GET", "/debug/", page
    yield "GET", "/debug", page
    for each in (cpu, memory, objects, tasks, locks, stalls):
        yield "GET", f"/debug/{each.__name__}", each
    yield from _heap_handlers(profiler, access)


def _heap_handlers(profiler: Profiler, access: DebugAccess) -> Iterator[tuple[str, str, Handler]]:
    async def heap(call: Call, format: Format = "text") -> Response:  # noqa: A002
        access.check(call)
        return _report(profiler.snapshots(), format)

    async def take(
        call: Call,
        frames: Annotated[int, Query(), Meta(ge=1, le=10)] = 1,
        format: Annotated[Format, Query()] = "text",  # noqa: A002
    ) -> Response:
        access.check(call)
        return _report(await profiler.snapshot(frames), format)

    async def drop(call: Call) -> Response:
        access.check(call)
        return _report(profiler.drop(), "text")

    async def difference(
        call: Call,
        since: Annotated[int, Meta(ge=1)] | None = None,
        until: Annotated[int, Meta(ge=1)] | None = None,
        top: Top = 30,
        format: Format = "text",  # noqa: A002
    ) -> Response:
        access.check(call)
        return _report(await profiler.difference(since, until, top), format)

    yield "GET", "/debug/heap", heap
    yield "POST", "/debug/heap", take
    yield "DELETE", "/debug/heap", drop
    yield "GET", "/debug/heap/difference", difference


def _breakers(breakers: Breakers, access: DebugAccess) -> Iterator[tuple[str, str, Handler]]:
    async def breakers_report(call: Call, format: Format = "text") -> Response:  # noqa: A002 - its name in the query
        access.check(call)
        return _report(breakers.report(), format)

    async def breaker_switch(call: Call, name: str, to: Literal["open", "closed", "auto"]) -> Response:
        access.check(call)
        return _answer((await breakers.switch(name, to)).encode(), _TEXT)

    yield "GET", "/debug/breakers", breakers_report
    yield "POST", "/debug/breakers/{name}/{to}", breaker_switch


class _Pages:
    """HTML answers, each with a policy that allows exactly its own style and script."""

    def __init__(self) -> None:
        self._index = _page_fields((index.STYLE,), ())
        self._flame = _page_fields((STYLE,), (SCRIPT,))

    def index(self, name: str) -> Response:
        return _answer(index.index_page(name), _HTML, self._index)

    def flame(self, page: bytes) -> Response:
        return _answer(page, _HTML, self._flame)


def _page_fields(styles: Sequence[str], scripts: Sequence[str]) -> Mapping[str, str]:
    policy = content_security_policy(
        styles=[csp_hash(style.encode()) for style in styles], scripts=[csp_hash(script.encode()) for script in scripts]
    )
    return {name.decode(): value.decode() for name, value in security_headers(page_policy=policy).page}


def _report(report: Any, form: Format) -> Response:
    if form == "json":
        return _answer(msgspec.json.encode(report), "application/json")
    return _answer(report.text().encode(), _TEXT)


def _answer(body: bytes, media_type: str, fields: Mapping[str, str] | None = None) -> Response:
    return Response(body, headers={"cache-control": "no-store", **(fields or {})}, media_type=media_type)


def _refused(problem: Problem) -> Problem:
    problem.guard = "profiling"
    return problem


def _is_foreign(origin: str | None, host: str | None) -> bool:
    """Return whether a page of another origin has sent this: older browsers say only that, and only for a POST."""
    return origin is not None and (origin == "null" or urlsplit(origin).netloc != host)


def _names_this_machine(host: str | None) -> bool:
    """Return whether a ``Host`` is an address or ``localhost``: those no other site's name server decides about."""
    if host is None:
        return True
    name = host[1 : host.find("]")] if host.startswith("[") else host.rpartition(":")[0] or host
    if name.lower() == "localhost":
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
