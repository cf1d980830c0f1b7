"""Access lines: one for each call, kept as a tuple while the call runs and written by one flush for many.

The plan appends a tuple; that is all a call pays at once. A timer, armed when the first line comes, encodes what there
is and hands it to the log's queue. A thousand lines are never exceeded: the call that would brings the flush forward.
The names of the fields are those of OpenTelemetry's semantic conventions.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from seawall.call import Call
from seawall.clock import Clock, Timer
from seawall.telemetry.logs.redaction import without_credentials
from seawall.telemetry.logs.setup import installed
from seawall.telemetry.traces.identity import identity
from seawall.telemetry.traces.traces import Unsampled

__all__ = ["FLUSH_SECONDS", "MOST_LINES", "AccessLog", "Entry"]

FLUSH_SECONDS = 0.05
"""Seconds a line waits at the most before it is handed to the log."""
MOST_LINES = 1024
"""Lines that may wait."""
_AGENT_LENGTH = 256
_MOST_KEPT = 2048

Entry = tuple[float, float, int, Call, str, str, str]
"""When the call ended (monotonic), how long it took, its status, the call, method, route and path."""

logger = logging.getLogger("seawall.access")
_encode = msgspec.json.Encoder(enc_hook=str).encode


class AccessLog:
    """The lines of one service that have not been written yet.

    Args:
        clock: When calls ended, and the timer.
    """

    def __init__(self, clock: Clock) -> None:
        self.pending: list[Entry] = []
        self._clock = clock
        self._timer: Timer | None = None
        self._lines = Lines()

    def attend(self) -> None:
        """Arm the timer for the first line, or flush when there are too many; called by the plan that added it."""
        if len(self.pending) >= MOST_LINES:
            self.flush()
        elif self.pending:
            self._disarm()
            self._timer = self._clock.call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Hand every line to the log. Never raises and never waits: what the log cannot take, it counts."""
        self._disarm()
        entries = self.pending[:]
        self.pending.clear()
        if not entries or not logger.isEnabledFor(logging.WARNING):
            return
        if not logger.isEnabledFor(logging.INFO):
            entries = [entry for entry in entries if entry[2] >= 500]
        handler = installed()
        if handler is None:
            _log(entries)
        elif handler.is_json:
            handler.write(
                b"".join(self._lines.encode(entries, self._clock.time() - self._clock.monotonic())), len(entries)
            )
        else:
            _log(entries)

    def _disarm(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()


class Lines:
    """Encodes lines, most of whose parts are those of a line before.

    What belongs to an operation and a status, and what belongs to a client, is encoded once and kept; what is left are
    the time, the id, the path and the duration. A third of what one pass over all fields takes.
    """

    def __init__(self) -> None:
        self._of_operation: dict[tuple[str, str, str, int], bytes] = {}
        self._of_client: dict[tuple[str | None, bytes | None], bytes] = {}

    def encode(self, entries: Iterable[Entry], offset: float) -> Iterator[bytes]:
        """Return the lines.

        Args:
            entries: What they say.
            offset: What the wall clock is ahead of the monotonic one, in seconds.
        """
        of_operation, of_client, encode = self._of_operation, self._of_client, _encode
        last, stamp = -1, b""
        for ended, took, status, call, method, route, path in entries:
            moment = int((ended + offset) * 1000)
            if moment != last:
                last, stamp = moment, _stamp(moment)
            what = (call.operation, method, route, status)
            operation = of_operation.get(what)
            if operation is None:
                operation = self._operation(what)
            metadata, peer, span = call.metadata, call.peer, call.span
            who = (peer[0] if peer else None, metadata.get(b"user-agent"))
            client = of_client.get(who)
            if client is None:
                client = self._client(who)
            rest = b""
            if (
                call.problem
                or call.principal is not None
                or call.ended
                or (span is not None and type(span) is not Unsampled)
                or b"traceparent" in metadata
            ):
                rest = _rest(call)
            yield b'{"timestamp":"%b",%b,"url.path":%b,"request_id":%b,"duration":%b%b%b}\n' % (
                stamp,
                operation,
                encode(path) if path.isascii() and "://" not in path else _path(path),
                encode(call.id.decode("latin-1")),
                encode(took),
                client,
                rest,
            )

    def _operation(self, what: tuple[str, str, str, int]) -> bytes:
        operation, method, route, status = what
        fields: dict[str, Any] = {
            "level": "info" if status < 500 else "warning",
            "message": f"{method} {route or 'unknown'}" if method else operation,
            "logger": "seawall.access",
            "operation": operation,
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": status,
        }
        found = _members(fields)
        _keep(self._of_operation, what, found)
        return found

    def _client(self, who: tuple[str | None, bytes | None]) -> bytes:
        address, agent = who
        fields = {
            "client.address": address,
            "user_agent.original": agent[:_AGENT_LENGTH].decode("latin-1") if agent else None,
        }
        members = _members(fields)
        found = b"," + members if members else b""
        if agent is None or len(agent) <= _AGENT_LENGTH:
            _keep(self._of_client, who, found)
        return found


def _keep(kept: dict[Any, bytes], key: Any, found: bytes) -> None:
    """Keep *found*; when there is no more room, begin anew."""
    if len(kept) >= _MOST_KEPT:
        kept.clear()
    kept[key] = found


def _members(fields: Mapping[str, Any]) -> bytes:
    """Return *fields* that say something as members of a JSON object, without its braces."""
    return _encode({name: value for name, value in fields.items() if value is not None and value != ""})[1:-1]


def _rest(call: Call) -> bytes:
    """Return what few calls have."""
    trace_id, span_id = identity(call)
    fields = {
        "trace_id": trace_id,
        "span_id": span_id,
        "user.id": None if call.principal is None else call.principal.subject,
        "error.type": call.problem,
        "seawall.guard": call.guard,
        "seawall.ended": call.ended,
    }
    members = _members(fields)
    return b"," + members if members else b""


def _path(path: str) -> bytes:
    """Return *path* as JSON: passwords struck out, and what is no Unicode (half a surrogate pair) written out."""
    return _encode(without_credentials(path).encode("utf-8", "backslashreplace").decode())


def _stamp(moment: int) -> bytes:
    second, milli = divmod(moment, 1000)
    return b"%b.%03dZ" % (datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode(), milli)


def _log(entries: Iterable[Entry]) -> None:
    """Log for people, or by whatever logging there is where Seawall has not set it up."""
    for _, took, status, call, method, _, path in entries:
        trace_id, span_id = identity(call)
        extra: dict[str, Any] = {"request_id": call.request_id, "operation": call.operation}
        if call.principal is not None:
            extra["user.id"] = call.principal.subject
        if trace_id:
            extra["trace_id"], extra["span_id"] = trace_id, span_id
        if call.problem:
            extra["error.type"] = call.problem
        level = logging.INFO if status < 500 else logging.WARNING
        what = f"{method} {path}" if method else call.operation
        logger.log(level, "%s %s %.1f ms", what, status, took * 1000, extra=extra)
