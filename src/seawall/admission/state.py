"""What admission shows of itself, for metrics and people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["AdmissionState", "GateState"]


@dataclass(frozen=True, slots=True)
class GateState:
    """One gate at one moment.

    Args:
        limit: Calls that may run at once.
        in_flight: Calls that run.
        waiting: Calls that wait for their turn.
        shed: Calls refused so far, by priority and reason: ``("normal", "full")``. Reasons are ``full`` (no room to
            wait), ``wait`` (waited for too long) and ``lag`` (the event loop is late).
        latency: How many times as long as without load calls took when last measured; 0 before that.
        measuring: Whether the limit is lowered to measure the latency without load.
        overloaded: Whether calls have waited for so long that some are refused now. Until then, `limit` is the most
            there may be, unless it was set.
    """

    limit: int
    in_flight: int
    waiting: int
    shed: Mapping[tuple[str, str], int]
    latency: float
    measuring: bool
    overloaded: bool


@dataclass(frozen=True, slots=True)
class AdmissionState:
    """All gates of a service at one moment.

    Args:
        service: That of the service; None where admission is off.
        operations: Those of operations with a ``concurrency``, by name.
        lag: Seconds by which the event loop was late when last looked at.
    """

    service: GateState | None
    operations: Mapping[str, GateState]
    lag: float
