"""What is measured by itself while a server runs: how late the event loop is, and how long collections pause it."""

from __future__ import annotations

import gc
from bisect import bisect_left
from collections.abc import Mapping
from typing import Any

from seawall.clock import Clock, Timer
from seawall.telemetry.metrics.board import BOUNDS, SUM
from seawall.telemetry.metrics.exposition import Exposition
from seawall.telemetry.metrics.metrics import Metrics

__all__ = ["Heartbeat"]

BEAT_SECONDS = 0.25
PUBLISH_BEATS = 4


class Heartbeat:
    """Beats four times a second on the event loop. Owned by the server, which starts and stops it.

    Args:
        metrics: Where what it finds is counted.
        exposition: What is published to the other workers, once a second.
        clock: The timer, and how late it was.
    """

    def __init__(self, metrics: Metrics, exposition: Exposition, clock: Clock) -> None:
        self._metrics = metrics
        self._exposition = exposition
        self._clock = clock
        self._timer: Timer | None = None
        self._due = 0.0
        self._beats = 0
        self._lag = 0
        self._pauses: list[int] = []
        self._paused = 0.0

    def start(self) -> None:
        """Begin, on the running event loop."""
        board = self._metrics.board
        self._lag = board.claim(("lag",))
        self._pauses = [board.claim(("gc", str(generation))) for generation in range(3)]
        gc.callbacks.append(self._collecting)
        self._next()

    def stop(self) -> None:
        """End; what other workers were told ends with it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            gc.callbacks.remove(self._collecting)

    def _next(self) -> None:
        self._due = self._clock.monotonic() + BEAT_SECONDS
        self._timer = self._clock.call_later(BEAT_SECONDS, self._beat)

    def _beat(self) -> None:
        late = max(0.0, self._clock.monotonic() - self._due)
        board = self._metrics.board
        board.counts[self._lag + bisect_left(BOUNDS, late)] += 1
        board.sums[self._lag + SUM] += late
        if self._beats % PUBLISH_BEATS == 0 and len(self._metrics.workers) > 1:
            self._exposition.publish()
        self._beats += 1
        self._next()

    def _collecting(self, phase: str, info: Mapping[str, Any]) -> None:
        """Called by the collector before and after each run; whichever thread that is, it holds up all of them."""
        if phase == "start":
            self._paused = self._clock.monotonic()
            return
        place = self._pauses[info["generation"]]
        board = self._metrics.board
        board.counts[place] += 1
        board.sums[place + SUM] += self._clock.monotonic() - self._paused
