"""Logs, metrics and traces: what is seen of a service, for less than two microseconds a call."""

from seawall.telemetry.logs.redaction import Secret
from seawall.telemetry.metrics.metrics import Counter, Metrics
from seawall.telemetry.telemetry import Telemetry
from seawall.telemetry.traces.propagate import baggage, inject, span

__all__ = ["Counter", "Metrics", "Secret", "Telemetry", "baggage", "inject", "span"]
