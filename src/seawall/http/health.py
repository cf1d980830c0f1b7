"""Health over HTTP: ``/health/live``, ``/health/ready`` and ``/health/startup``.

The documents have the form of draft-inadarei-api-health-check-06, the statuses are 200 and 503. These routes are for
those who run the service: no guard of the user's stands in front of them, they answer whatever host is asked for
(an orchestrator asks by address), and they are not in the API document.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec
from starlette.responses import Response

from seawall.call import Call
from seawall.http.binding import bind
from seawall.http.route import Route, parse_template
from seawall.operation import Policy, describe

__all__ = ["HEALTH_TYPE", "Detail", "HealthSource", "answers", "covers", "health_routes", "may_see"]

HEALTH_TYPE = "application/health+json"
PROBES = ("live", "ready", "startup")
_FORWARDED = (b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via")

Detail = Literal["never", "loopback", "always"]


class HealthSource(Protocol):
    """What knows how the service is."""

    async def health_of(self, probe: str, *, detail: bool) -> tuple[bool, dict[str, Any]]:
        """Return whether a probe passes, and its document."""
        ...


def health_routes(
    source: HealthSource, detail: Detail, routes: Sequence[Route], prefixes: Sequence[str]
) -> Iterator[Route]:
    """Return the routes of the probes, without those in whose place the user has something.

    Args:
        source: What knows how the service is.
        detail: Who is told what was looked at.
        routes: The user's routes.
        prefixes: Where applications are mounted.
    """
    for probe in PROBES:
        path = f"/health/{probe}"
        if any(answers(route, path) for route in routes) or any(covers(prefix, path) for prefix in prefixes):
            continue
        operation = describe(_handler(source, probe, detail), name=f"health_{probe}")
        template = parse_template(path, operation.where)
        yield Route(
            method="GET",
            template=template,
            operation=operation,
            # No deadline: every check has one of its own.
            policy=Policy(timeout=None, compress=False, on_disconnect="finish", priority="health"),
            bounds=bind(operation, "GET", (), frozenset()),
            status=200,
            documented=False,
        )


def _handler(source: HealthSource, probe: str, detail: Detail) -> Callable[..., Awaitable[Response]]:
    async def health(call: Call) -> Response:
        passed, document = await source.health_of(probe, detail=may_see(detail, call.client, call.metadata))
        return Response(
            msgspec.json.encode(document),
            status_code=200 if passed else 503,
            headers={"cache-control": "no-store"},
            media_type=HEALTH_TYPE,
        )

    return health


def may_see(detail: Detail, client: str | None, fields: Mapping[bytes, bytes]) -> bool:
    """Return whether a caller is told what was looked at.

    What comes from this machine but says that it was forwarded comes from a proxy on it, for somebody else.
    """
    if detail != "loopback":
        return detail == "always"
    if client is None or any(name in fields for name in _FORWARDED):
        return False
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def answers(route: Route, path: str) -> bool:
    """Return whether the user's *route* is meant for *path*; one that takes every path is not."""
    segments, wanted = route.template.segments, path[1:].split("/")
    if route.method != "GET" or segments[0] is None:
        return False
    if route.template.tail:
        if len(segments) > len(wanted):
            return False
        segments, wanted = segments[:-1], wanted[: len(segments) - 1]
    return len(segments) == len(wanted) and all(
        segment is None or segment == part for segment, part in zip(segments, wanted, strict=True)
    )


def covers(prefix: str, path: str) -> bool:
    """Return whether *path* belongs to an application mounted at *prefix*."""
    return bool(prefix) and path.startswith(f"{prefix}/")
