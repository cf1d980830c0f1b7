"""What besides calls is measured: gauges over what the capabilities of a service tell of themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from seawall.admission import Admission
from seawall.lifecycle.tasks import Tasks

if TYPE_CHECKING:
    from seawall.admission.state import GateState
    from seawall.resilience import Resilience
    from seawall.telemetry import Metrics

__all__ = ["show_admission", "show_resilience", "show_tasks"]

OUTCOMES = ("finished", "failed", "restarted", "cancelled", "cut")
STATES = ("closed", "open", "half-open", "forced-open", "forced-closed")
SERVICE = ""
"""The gate of the whole service, among those of operations."""


def show_tasks(metrics: Metrics, tasks: Tasks) -> None:
    """Show the background tasks of a service."""
    metrics.gauge(
        "seawall_background_tasks",
        "Background tasks that have not ended, those about to be restarted included.",
        lambda: tasks.counts.running,
    )
    metrics.gauge(
        "seawall_background_runs",
        "Runs of background tasks, by how they ended; and how many were started again.",
        lambda: {each: getattr(tasks.counts, each) for each in OUTCOMES},
        labels=("outcome",),
        total=True,
    )


def show_admission(metrics: Metrics, admission: Admission) -> None:
    """Show the gates of a service: that in front of everything, whose operation is empty, and those of operations."""

    def gates() -> Mapping[str, GateState]:
        state = admission.state()
        return ({SERVICE: state.service} if state.service is not None else {}) | dict(state.operations)

    def of_gates(read: Callable[[GateState], float]) -> Callable[[], dict[str, float]]:
        return lambda: {name: read(gate) for name, gate in gates().items()}

    def sheds() -> dict[tuple[str, ...], float]:
        return {(name, *kind): count for name, gate in gates().items() for kind, count in gate.shed.items()}

    metrics.gauge(
        "seawall_admission_limit",
        "Calls that may run at once.",
        of_gates(lambda gate: gate.limit),
        labels=("operation",),
    )
    metrics.gauge(
        "seawall_admission_in_flight",
        "Calls that have been admitted and run.",
        of_gates(lambda gate: gate.in_flight),
        labels=("operation",),
    )
    metrics.gauge(
        "seawall_admission_waiting",
        "Calls that wait to be admitted.",
        of_gates(lambda gate: gate.waiting),
        labels=("operation",),
    )
    metrics.gauge(
        "seawall_admission_shed",
        "Calls refused because of load, by priority and reason.",
        sheds,
        labels=("operation", "priority", "reason"),
        total=True,
    )


def show_resilience(metrics: Metrics, registries: Callable[[], Iterable[Resilience]]) -> None:
    """Show the breakers of a service, and what its policies around calls to others do."""

    def states() -> dict[tuple[str, ...], float]:
        known = [item for registry in registries() for item in registry.states().items()]
        return {(name, state): state == now for name, now in known for state in STATES}

    def events() -> dict[tuple[str, ...], float]:
        found: dict[tuple[str, ...], float] = {}
        for registry in registries():
            for key, count in registry.counts.items():
                found[key] = found.get(key, 0) + count
        return found

    metrics.gauge(
        "seawall_breaker_state",
        "1 for the state in which a breaker is, 0 for the others.",
        states,
        labels=("name", "state"),
    )
    metrics.gauge(
        "seawall_resilience_events",
        "What policies around calls to others did: retried, refused, hedged, timed_out, became_open and so on.",
        events,
        labels=("event", "policy", "name"),
        total=True,
    )
