"""Which trace a call belongs to."""

from __future__ import annotations

from seawall.call import Call

__all__ = ["identity"]


def identity(call: Call) -> tuple[str, str]:
    """Return the ids of the trace and the span of *call*, in hexadecimal digits; empty where there is none.

    A call without a span of its own still belongs to the trace of its caller.
    """
    if call.span is not None:
        context = call.span.get_span_context()
        if context is not None:
            return f"{context.trace_id:032x}", f"{context.span_id:016x}"
    if b"traceparent" in call.metadata:
        trace = call.trace
        if trace is not None:
            return trace.trace_id, ""
    return "", ""
