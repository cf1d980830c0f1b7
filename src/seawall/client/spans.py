"""The span of one request that goes out, by OpenTelemetry's semantic conventions for HTTP clients (stable since 1.23).

Each request has its own: an attempt, a redirect, a repetition with new credentials. What is asked goes on with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from seawall.resilience.attempts import attempt
from seawall.spans import Recorder, Value

__all__ = ["RequestSpan"]

_PARENT = "traceparent"
_QUERY_VALUE = re.compile(r"=[^&]*")
_PORTS = {"http": 80, "https": 443}
_LONGEST = 2000


class RequestSpan:
    """A span from the sending of a request to the end of its answer.

    Args:
        spans: Makes it.
        target: The client's name.
        method: The request's method.
        url: The URL; of its query only the names are told.
    """

    __slots__ = ("_kind", "_span")

    def __init__(self, spans: Recorder, target: str, method: str, url: str) -> None:
        parts = urlsplit(url)
        said = f"?{_QUERY_VALUE.sub('=REDACTED', parts.query)}" if parts.query else ""
        attributes: dict[str, Value] = {
            "http.request.method": method,
            "url.full": f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}{said}"[:_LONGEST],
            "server.address": parts.hostname or "",
            "server.port": _port(parts.port, parts.scheme),
            "seawall.client": target,
        }
        again = attempt.get() - 1
        if again:
            attributes["http.request.resend_count"] = again
        self._span = spans.client(method, attributes)
        self._kind = ""

    def joined(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Return *headers* with this span as the caller's, where they tell of a trace at all."""
        if not any(name.lower() == _PARENT for name in headers):
            return headers
        own = self._span.headers()
        return {**{name: value for name, value in headers.items() if name.lower() not in own}, **own}

    def answered(self, status: int) -> None:
        """Note the status of the answer; from 400 on it is an error."""
        self._span.set("http.response.status_code", status)
        if status >= 400:
            self._kind = str(status)

    def end(self, error: BaseException | None) -> None:
        """End it."""
        self._span.end(error, self._kind)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(error)


def _port(port: int | None, scheme: str) -> int:
    return _PORTS.get(scheme, 0) if port is None else port
