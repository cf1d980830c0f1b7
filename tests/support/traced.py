"""A service whose spans are kept in memory."""

from __future__ import annotations

import asyncio

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from seawall.settings import Settings, TelemetrySettings
from seawall.telemetry.traces.export import CallSampler
from support.settings import service as make_service

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
RECORDED = {"traceparent": f"00-{TRACE}-{SPAN}-01"}


class Traced:
    """A service and what it records: nothing but what callers ask for."""

    def __init__(self, **settings):
        self.kept = InMemorySpanExporter()
        provider = TracerProvider(sampler=CallSampler(0))
        provider.add_span_processor(SimpleSpanProcessor(self.kept))
        self.service = make_service(settings=Settings(telemetry=TelemetrySettings(trace_ratio=0), **settings))
        self.service.telemetry.traces.use(provider)

    async def spans(self):
        """Return those of the calls so far, and forget them; asserts that each stands in its call's."""
        await asyncio.sleep(0)  # asyncpg tells of statements when the loop runs next
        found = self.kept.get_finished_spans()
        self.kept.clear()
        calls = {span.context.span_id for span in found if span.kind.name == "SERVER"}
        inner = [span for span in found if span.kind.name != "SERVER"]
        assert all(f"{span.context.trace_id:032x}" == TRACE for span in found)
        assert all(span.parent is not None and span.parent.span_id in calls for span in inner)
        assert all(span.end_time >= span.start_time > 0 for span in found)
        return sorted(inner, key=lambda span: span.start_time)


def shown(span):
    return span.name, dict(span.attributes)
