"""What the counts on a board are called outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

__all__ = ["BY_KIND", "OWN", "Family", "Form", "Kind", "Sample"]

Kind = Literal["counter", "gauge", "histogram", "summary"]


@dataclass(frozen=True, slots=True)
class Form:
    """One family that is counted exactly.

    Args:
        name: Its name in Prometheus; a counter's without ``_total``.
        kind: Its type.
        help: What it is.
        labels: Names of its labels, in the order of their values in a key.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


BY_KIND = {
    "http": Form(
        "http_server_request_duration_seconds",
        "histogram",
        "How long requests took, from the end of their head to the answer.",
        ("operation", "http_route", "http_request_method", "http_response_status_code"),
    ),
    "call": Form(
        "seawall_call_duration_seconds",
        "histogram",
        "How long operations took that were called with typed arguments, by the status they would have had over HTTP.",
        ("operation", "status"),
    ),
    "rejected": Form(
        "seawall_rejections",
        "counter",
        "Calls that a guard has refused.",
        ("operation", "guard", "reason"),
    ),
    "lag": Form(
        "seawall_event_loop_lag_seconds", "histogram", "How much later than due the event loop came to a timer."
    ),
    "gc": Form(
        "seawall_gc_pause_seconds", "summary", "How long garbage collection has held up everything.", ("generation",)
    ),
    "overflow": Form(
        "seawall_series_overflow",
        "counter",
        "Calls that are in no other series, because a worker had as many as it can have.",
    ),
}
"""By the first word of a key."""
OWN = "own"
"""The first word of the keys of counters that a service has defined; the second is the counter's name."""


class Sample(msgspec.Struct, array_like=True):
    """One line of an exposition."""

    name: str
    labels: dict[str, str]
    value: float


class Family(msgspec.Struct, array_like=True):
    """One family as a worker tells it to the others: what is true at the moment."""

    name: str
    kind: str
    help: str
    samples: list[Sample]
