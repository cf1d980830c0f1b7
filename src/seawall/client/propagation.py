"""What a call that goes out says about the call it is made for.

A propagator is a function without arguments that returns header fields. Those that the rest of Seawall has fit as they
are: what a service says about the time that is left, what tracing says about the span.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from seawall.call import current
from seawall.clock import Clock
from seawall.problems import DeadlineExceeded
from seawall.resilience.attempts import ATTEMPT_HEADER, attempt, served_attempt

__all__ = ["Propagator", "attempt_number", "call_context", "remaining_time"]

Propagator = Callable[[], Mapping[str, str]]
_NOTHING: Mapping[str, str] = {}
# gRPC over HTTP/2, "Timeout": at most eight digits and a unit.
_UNITS = ((1, "m"), (1000, "S"), (60_000, "M"))
_MOST = 99_999_999
_TRACEPARENT_LENGTH = 55  # of version 00; who takes part in the trace judges the rest


def call_context() -> Mapping[str, str]:
    """Return the id of the call being served, and its place in its trace (W3C Trace Context) as it came."""
    call = current.get(None)
    if call is None:
        return _NOTHING
    fields = {"X-Request-ID": call.request_id}
    metadata = call.metadata
    trace = metadata.get(b"traceparent")
    if trace is not None and len(trace) == _TRACEPARENT_LENGTH:
        fields["traceparent"] = trace.decode("latin-1")
        if b"tracestate" in metadata:
            fields["tracestate"] = metadata[b"tracestate"].decode("latin-1")
    return fields


def attempt_number() -> Mapping[str, str]:
    """Return which attempt it is, where it is not the first: this call's own, or that of the call being served."""
    number = max(attempt.get(), served_attempt())
    return {ATTEMPT_HEADER: str(number)} if number > 1 else _NOTHING


def remaining_time(clock: Clock, field: str = "Grpc-Timeout") -> Propagator:
    """Return a propagator that says how long the call being served has left, in gRPC's form.

    It is rounded down to a millisecond: who is asked never has more time than whoever asks.

    Args:
        clock: The clock of the deadlines.
        field: The header field's name.

    Raises:
        DeadlineExceeded: When it is called and nothing is left: the call is not made.
    """
    monotonic = clock.monotonic

    def propagate() -> Mapping[str, str]:
        call = current.get(None)
        if call is None or call.deadline is None:
            return _NOTHING
        left = int((call.deadline - monotonic()) * 1000)
        if left < 1:
            raise DeadlineExceeded("No time was left to ask another service.")
        for length, unit in _UNITS:
            if left // length <= _MOST:
                return {field: f"{left // length}{unit}"}
        return {field: f"{_MOST}M"}

    return propagate
