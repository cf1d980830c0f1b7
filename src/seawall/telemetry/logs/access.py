"""Access lines: one for each call, kept as a few values when the call ends and written by one flush for many.

The plan adds to one list; that is all a call pays at once. A timer, armed when the first line comes, encodes what there
is and hands it to the log's queue. A thousand lines are never exceeded: the call that would brings the flush forward.
"""

from __future__ import annotations

import logging
from typing import Any

from seawall.call import Principal
from seawall.clock import Clock, Timer
from seawall.telemetry.logs.lines import FIELDS, Lines, Values
from seawall.telemetry.logs.setup import installed
from seawall.telemetry.traces.identity import identity

__all__ = ["FLUSH_SECONDS", "MOST_LINES", "AccessLog"]

FLUSH_SECONDS = 0.05
"""Seconds a line waits at the most before it is handed to the log."""
MOST_LINES = 1000
"""Lines that may wait."""

logger = logging.getLogger("seawall.access")


class AccessLog:
    """The lines of one service that have not been written yet.

    Args:
        clock: When calls ended, and the timer.
    """

    def __init__(self, clock: Clock) -> None:
        self.pending: Values = []
        self._clock = clock
        self._timer: Timer | None = None
        self._lines = Lines()

    def attend(self) -> None:
        """Arm the timer for the first line, or flush when there are too many; called by the plan that added it."""
        if len(self.pending) >= MOST_LINES * FIELDS:
            self.flush()
        elif self.pending:
            self._disarm()
            self._timer = self._clock.call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Hand every line to the log. Never raises and never waits: what the log cannot take, it counts."""
        self._disarm()
        values = self.pending[:]
        self.pending.clear()
        if not logger.isEnabledFor(logging.INFO):
            values = _errors(values)
        if not values or not logger.isEnabledFor(logging.WARNING):
            return
        handler = installed()
        if handler is None or not handler.is_json:
            _log(values)
            return
        data = self._lines.encode(values, self._clock.time() - self._clock.monotonic())
        handler.write(data, len(values) // FIELDS)

    def _disarm(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()


def _errors(values: Values) -> Values:
    """Return the lines that are more than information."""
    starts = range(0, len(values), FIELDS)
    return [value for start in starts if values[start + 2] >= 500 for value in values[start : start + FIELDS]]


def _log(values: Values) -> None:
    """Log for people, or by whatever logging there is where Seawall has not set it up."""
    one = iter(values)
    for _, took, status, request_id, form, path, _, _, rest in zip(*[one] * FIELDS, strict=True):
        extra: dict[str, Any] = {"request_id": request_id.decode("latin-1"), "operation": form.operation}
        call, principal = (None, rest) if isinstance(rest, Principal) else (rest, rest and rest.principal)
        if principal is not None:
            extra["user.id"] = principal.subject
        trace_id, _ = identity(call) if call is not None else ("", "")
        if trace_id:
            extra["trace_id"] = trace_id
        if call is not None and call.problem:
            extra["error.type"] = call.problem
        level = logging.INFO if status < 500 else logging.WARNING
        what = f"{form.method} {path}" if form.method else form.operation
        logger.log(level, "%s %s %.1f ms", what, status, took * 1000, extra=extra)
