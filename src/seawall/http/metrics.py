"""Metrics over HTTP: ``/metrics``, in the format the scraper asks for.

As the probes of health, it is for those who run the service: no guard of the user's stands in front of it, it answers
whatever host is asked for, and it is not in the API document.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Protocol

from starlette.responses import Response

from seawall.call import Call
from seawall.http.binding import bind
from seawall.http.health import Detail, answers, covers, may_see
from seawall.http.route import Route, parse_template
from seawall.operation import Policy, describe
from seawall.problems import Forbidden

__all__ = ["MetricsSource", "metrics_routes"]


class MetricsSource(Protocol):
    """What knows the metrics."""

    def moment(self) -> Any:
        """Return what must be read on the event loop."""
        ...

    def write(self, accept: str, moment: Any) -> tuple[str, bytes]:
        """Return media type and text; in a thread."""
        ...


def metrics_routes(
    source: MetricsSource, path: str, readers: Detail, routes: Sequence[Route], prefixes: Sequence[str]
) -> Iterator[Route]:
    """Return the route of the metrics, unless nobody may read them or the user has something in its place.

    Args:
        source: What knows them.
        path: Where.
        readers: Who may read them.
        routes: The user's routes.
        prefixes: Where applications are mounted.
    """
    taken = any(answers(route, path) for route in routes) or any(covers(prefix, path) for prefix in prefixes)
    if readers == "never" or taken:
        return
    operation = describe(_handler(source, readers), name="metrics")
    yield Route(
        method="GET",
        template=parse_template(path, operation.where),
        operation=operation,
        policy=Policy(timeout=None),
        bounds=bind(operation, "GET", (), frozenset()),
        status=200,
        documented=False,
    )


def _handler(source: MetricsSource, readers: Detail) -> Callable[..., Awaitable[Response]]:
    async def metrics(call: Call) -> Response:
        if not may_see(readers, call.client, call.metadata):
            raise Forbidden("The metrics are for callers on this machine; the setting telemetry.metrics decides.")
        # A thousand operations make thirty thousand lines: other calls go on meanwhile.
        media_type, text = await asyncio.to_thread(source.write, call.header("accept") or "", source.moment())
        return Response(text, headers={"content-type": media_type, "cache-control": "no-store"})

    return metrics
