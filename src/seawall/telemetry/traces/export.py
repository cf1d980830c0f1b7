"""Spans on their way to a collector, by OpenTelemetry's own SDK and OTLP over HTTP (the extra ``otel``).

A span that has ended is put into a queue with an end; a thread of the SDK's sends what is there every few seconds. The
collector may be down, slow or refuse: calls do not notice, what is lost is counted, and the log says so once and once
more when it is over.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import get_current_span

from seawall.call import current
from seawall.telemetry.traces.export_keys import DECIDED

if TYPE_CHECKING:
    from opentelemetry.trace import Link, SpanKind, TraceState

__all__ = ["ExportCounts", "Exports", "exporting_provider"]

EXPORT_SECONDS = 5.0
"""Seconds the collector has for one batch, and between two."""
_BATCH = 512

logger = logging.getLogger("seawall.traces")


@dataclass(frozen=True, slots=True)
class ExportCounts:
    """What has become of spans.

    Args:
        sent: Spans the collector has taken.
        failed: Spans it has not.
        dropped: Spans that found the queue full.
    """

    sent: int = 0
    failed: int = 0
    dropped: int = 0


class Exports:
    """Counts spans on their way, and keeps no more than *limit* of them waiting.

    Args:
        limit: Spans that may wait.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._lock = threading.Lock()
        self._waiting = 0
        self._sent = self._failed = self._dropped = 0
        self._failing = False

    @property
    def counts(self) -> ExportCounts:
        """What has become of spans so far."""
        return ExportCounts(self._sent, self._failed, self._dropped)

    def admit(self) -> bool:
        """Return whether one more span may wait."""
        with self._lock:
            if self._waiting >= self.limit:
                self._dropped += 1
                return False
            self._waiting += 1
            return True

    def settle(self, spans: int, *, sent: bool) -> None:
        """Note that *spans* no longer wait."""
        with self._lock:
            self._waiting -= spans
            self._sent += spans * sent
            self._failed += spans * (not sent)
            news, self._failing = self._failing is sent, not sent
        if news and sent:
            logger.info("spans can be exported again; %d were lost", self._failed + self._dropped)
        elif news:
            logger.warning(
                "spans cannot be exported: the collector does not take them; those that are lost are counted"
            )


class _Processor(SpanProcessor):
    def __init__(self, inner: SpanProcessor, exports: Exports) -> None:
        self._inner = inner
        self._exports = exports

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self._inner.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is not None and span.context.trace_flags.sampled and self._exports.admit():
            self._inner.on_end(span)

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._inner.force_flush(timeout_millis)


class _Exporter(SpanExporter):
    def __init__(self, inner: SpanExporter, exports: Exports) -> None:
        self._inner = inner
        self._exports = exports

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        try:
            result = self._inner.export(spans)
        finally:
            self._exports.settle(len(spans), sent=result is SpanExportResult.SUCCESS)
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._inner.force_flush(timeout_millis)


class CallSampler(Sampler):
    """Follows what was decided for the call; decides by ratio for spans outside of any.

    Args:
        ratio: How many of those are recorded.
    """

    def __init__(self, ratio: float) -> None:
        self._outside = TraceIdRatioBased(ratio)

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Any = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Return whether a span is recorded."""
        parent = get_current_span(parent_context).get_span_context()
        state = parent.trace_state if parent.is_valid else trace_state
        if parent_context is not None and DECIDED in parent_context:
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, state)
        if parent.is_valid:
            sampled = parent.trace_flags.sampled
        elif current.get(None) is not None:
            sampled = False  # a span of a library's, in a call that is not recorded
        else:
            return self._outside.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)
        return SamplingResult(
            Decision.RECORD_AND_SAMPLE if sampled else Decision.DROP, attributes if sampled else None, state
        )

    def get_description(self) -> str:
        """Return what it is called in traces."""
        return "SeawallCallSampler"


def exporting_provider(
    name: str, version: str, endpoint: str, ratio: float, exports: Exports
) -> tuple[TracerProvider, Callable[[], None]]:
    """Return a provider whose spans go to *endpoint*, and what sends the last of them and ends its thread.

    Args:
        name: The service.
        version: Its release.
        endpoint: The collector: OTLP over HTTP, without ``/v1/traces``. Header fields for it come from
            ``OTEL_EXPORTER_OTLP_HEADERS``, as everywhere.
        ratio: How many spans outside of calls are recorded.
        exports: Counts.
    """
    for noisy in ("opentelemetry.exporter", "opentelemetry.sdk"):
        # Each failed batch would be a line or three; `Exports` says it once.
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_SECONDS)
    processor = BatchSpanProcessor(
        _Exporter(exporter, exports),
        max_queue_size=max(exports.limit, _BATCH),
        schedule_delay_millis=EXPORT_SECONDS * 1000,
        max_export_batch_size=_BATCH,
    )
    provider = TracerProvider(
        sampler=CallSampler(ratio),
        resource=Resource.create({"service.name": name, "service.version": version}),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(_Processor(processor, exports))
    return provider, provider.shutdown
