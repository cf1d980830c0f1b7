"""Spans within the span of a call, for the capabilities that ask others for something (see `seawall.spans`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from seawall.clock import SystemClock
from seawall.propagation import TraceContext, shorten_tracestate
from seawall.spans import Value

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext, SpanKind

__all__ = ["Within", "begin", "place_of"]


class Within:
    """One of them; `seawall.spans.Span`."""

    __slots__ = ("_span",)

    def __init__(self, span: Any) -> None:
        self._span = span

    def set(self, name: str, value: Value) -> None:
        """Say what has become known of it."""
        self._span.set_attribute(name, value)

    def end(self, error: BaseException | None = None, kind: str = "") -> None:
        """End it, with the kind of what went wrong, and without its text."""
        kind = kind or ("" if error is None else type(error).__qualname__)
        if kind:
            from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415 - loaded already, where there is a span

            self._span.set_attribute("error.type", kind)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()

    def headers(self) -> Mapping[str, str]:
        """Return ``traceparent``, and ``tracestate`` if there is one."""
        trace, state = place_of(self._span.get_span_context())
        fields = {"traceparent": trace.traceparent}
        if state:
            fields["tracestate"] = shorten_tracestate(state)
        return fields


def begin(
    tracer: Any, kind: SpanKind, name: str, attributes: Mapping[str, Value], seconds: float | None = None
) -> Within:
    """Begin a span within the innermost one.

    Args:
        tracer: Makes it.
        kind: What kind it is of.
        name: What is done.
        attributes: What is known of it.
        seconds: How long ago it began; None for now.
    """
    # As the SDK does it: by the wall clock, whatever clock the service was given.
    began = None if seconds is None else int((SystemClock().time() - seconds) * 1e9)
    return Within(tracer.start_span(name, kind=kind, attributes=attributes, start_time=began))


def place_of(context: SpanContext) -> tuple[TraceContext, str]:
    """Return the place of a span, as others are told it, and its ``tracestate``."""
    flags = int(context.trace_flags)
    trace = TraceContext(
        f"{context.trace_id:032x}", f"{context.span_id:016x}", sampled=bool(flags & 1), random=bool(flags & 2)
    )
    return trace, context.trace_state.to_header()
