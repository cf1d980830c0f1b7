"""What besides calls is measured: gauges over what the capabilities of a service tell of themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from seawall.admission import Admission
from seawall.lifecycle.tasks import Tasks

if TYPE_CHECKING:
    from seawall.admission.state import GateState
    from seawall.telemetry import Metrics

__all__ = ["show_admission", "show_tasks"]

OUTCOMES = ("finished", "failed", "restarted", "cancelled", "cut")
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
