"""What a call tells the services it calls, and spans for what is done within it."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, MutableMapping
from typing import Any

from seawall.call import current
from seawall.propagation import TraceContext, format_baggage, read_baggage, shorten_tracestate
from seawall.telemetry.traces.traces import Begun, Recording, Unsampled
from seawall.telemetry.traces.within import place_of

__all__ = ["baggage", "inject", "span"]


def inject(headers: MutableMapping[str, str], *, with_baggage: bool = True) -> None:
    """Put into *headers* what lets the service that is called go on with the trace: W3C ``traceparent`` and its kin.

    Outside of a call, and where nobody traces, nothing is added. Fields that are there already are replaced.

    Args:
        headers: Header fields of an outgoing request, by names in lower case.
        with_baggage: Whether the caller's ``baggage`` goes with it; not to services of somebody else.
    """
    call = current.get(None)
    if call is None:
        return
    recording = call.span
    if isinstance(recording, Recording):
        trace, state = _of_span(recording)
    elif isinstance(recording, Unsampled):
        trace = recording.begin(call)
        state = trace.state
    elif isinstance(recording, Begun):
        trace, state = recording.trace, ""
    else:
        found = call.trace
        if found is None:
            return
        trace, state = found, found.state
    headers["traceparent"] = trace.traceparent
    headers.pop("tracestate", None)
    if state:
        headers["tracestate"] = shorten_tracestate(state)
    if with_baggage:
        members = format_baggage(read_baggage(call.header("baggage")).items())
        if members:
            headers["baggage"] = members


def _of_span(recording: Recording) -> tuple[TraceContext, str]:
    """Return the place of the innermost span: that of a library's own within the call's, if there is one."""
    from opentelemetry.trace import get_current_span  # noqa: PLC0415 - loaded already, where there is a span

    context = get_current_span().get_span_context()
    if not context.is_valid:
        context = recording.get_span_context()
    return place_of(context)


def baggage() -> dict[str, str]:
    """Return what the current call's callers have sent along (W3C Baggage), decoded; anybody may have written it."""
    call = current.get(None)
    if call is None:
        return {}
    return {key: value for key, (value, _) in read_baggage(call.header("baggage")).items()}


@contextlib.contextmanager
def span(name: str, /, **attributes: Any) -> Generator[Any]:
    """Record the block as a span within that of the current call; costs next to nothing in a call that is not recorded.

    Args:
        name: What it does; few different ones.
        attributes: What else is known: texts, numbers, booleans.

    Returns:
        OpenTelemetry's span, or None if the call is not recorded.
    """
    call = current.get(None)
    recording = call.span if call is not None else None
    if not isinstance(recording, Recording):
        yield None
        return
    with recording.tracer.start_as_current_span(name, attributes=attributes) as made:
        yield made
