"""Traces by OpenTelemetry: spans for the calls that are recorded, and W3C headers for all of them."""

from seawall.telemetry.traces.propagate import baggage, inject, span
from seawall.telemetry.traces.traces import Traces

__all__ = ["Traces", "baggage", "inject", "span"]
