"""Durations and sizes as people write them (being written by the settings helper; replace freely)."""

from __future__ import annotations


def seconds(value: float | str) -> float:
    """Return seconds."""
    if isinstance(value, str):
        for suffix, factor in (("ms", 0.001), ("s", 1.0), ("m", 60.0)):
            if value.endswith(suffix):
                return float(value[: -len(suffix)]) * factor
    return float(value)


def size(value: int | str) -> int:
    """Return bytes."""
    return int(value)
