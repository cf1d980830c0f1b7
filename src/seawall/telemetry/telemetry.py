"""The telemetry of one service: its metrics, access lines and traces, and the lines they add to every plan."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterable

from seawall.clock import Clock, Random
from seawall.host import Host
from seawall.operation import Policy
from seawall.telemetry.logs.access import AccessLog
from seawall.telemetry.logs.setup import installed
from seawall.telemetry.metrics.exposition import Exposition
from seawall.telemetry.metrics.heartbeat import Heartbeat
from seawall.telemetry.metrics.metrics import Metrics
from seawall.telemetry.record import Record
from seawall.telemetry.traces.traces import Traces

__all__ = ["Telemetry"]


class Telemetry:
    """What is seen of one service. Made with it; costs nothing until plans are compiled.

    Args:
        name: The service's name.
        version: Its release.
        clock: What time it is.
        random: Decides which calls are traced.
        host: The process's place among the workers.
    """

    def __init__(self, name: str, version: str, clock: Clock, random: Random, host: Callable[[], Host]) -> None:
        self._clock = clock
        self.metrics = Metrics(host)
        self.access = AccessLog(clock)
        self.traces = Traces(name, version, random)
        self.exposition = Exposition(self.metrics, clock, os.getpid())
        self._lines = True
        self._counts = True
        self.metrics.gauge(
            "seawall_log_lines_lost",
            "Log lines that were not written: the queue was full, or the system did not take them.",
            _lost_lines,
            labels=("reason",),
            total=True,
        )

    def configure(self, *, access: bool, counts: bool) -> None:
        """Say what is recorded of every call; before plans are compiled.

        Args:
            access: Whether it has an access line.
            counts: Whether it is counted.
        """
        self._lines, self._counts = access, counts
        if self.traces.enabled:
            self.metrics.gauge(
                "seawall_spans",
                "Spans on their way to the collector, by what became of them.",
                self._spans,
                labels=("outcome",),
                total=True,
            )

    def guards(self, policy: Policy) -> Iterable[Record]:  # noqa: ARG002 - every call is recorded, whatever its policy
        """Return what records the calls of a plan: the source of this capability."""
        traces = self.traces if self.traces.enabled else None
        if self._counts or self._lines or traces is not None:
            metrics = self.metrics if self._counts else None
            yield Record(self._clock, metrics, self.access if self._lines else None, traces)

    def heartbeat(self) -> Heartbeat:
        """Return what measures the event loop, for the server to start and stop."""
        return Heartbeat(self.metrics, self.exposition, self._clock)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Export for the time of the block; hand over the last lines and spans after it."""
        self.traces.open()
        try:
            yield
        finally:
            self.access.flush()
            await self.traces.close()

    def _spans(self) -> dict[str, float]:
        counts = self.traces.counts
        return {} if counts is None else {"sent": counts.sent, "failed": counts.failed, "dropped": counts.dropped}


def _lost_lines() -> dict[str, float]:
    handler = installed()
    if handler is None:
        return {}
    counts = handler.counts
    return {"full": counts.dropped, "refused": counts.failed}
