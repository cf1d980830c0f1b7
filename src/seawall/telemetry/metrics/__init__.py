"""Metrics that are exact over all workers of a service, shown in Prometheus's formats."""

from seawall.telemetry.metrics.metrics import Counter, Metrics, Readings

__all__ = ["Counter", "Metrics", "Readings"]
