"""Spans for calls: begun and ended by lines of their plans, and only for those that are recorded.

Whether a call is recorded its caller has decided (``traceparent``), or chance does, by ratio. For one that is not, no
object is made: its plan compares a number, and `inject` passes on what came in.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any

from seawall.call import Call, current
from seawall.clock import Random
from seawall.problems import ConfigurationError
from seawall.propagation import TraceContext, shorten_tracestate
from seawall.spans import Recorder, Span, Value
from seawall.telemetry.traces.within import begin

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext, TracerProvider

    from seawall.telemetry.traces.export import ExportCounts

__all__ = ["Recording", "Traces", "Unsampled"]

_LAST_SECONDS = 2.0
"""Seconds the last spans of a process may take to be sent."""
_AGENT_LENGTH = 256


class Unsampled:
    """Stands in `Call.span` for a call that is not recorded, one object for all of them.

    Args:
        random: Draws the ids of a trace that such a call begins when it calls others.
    """

    recorder = None
    """There are no spans within it (see `seawall.spans`)."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def get_span_context(self) -> None:
        """Return nothing: there is no span."""

    def record_exception(self, error: BaseException) -> None:
        """Take no notice."""

    def begin(self, call: Call) -> TraceContext:
        """Return the place in a trace that is not recorded, for those *call* calls: its caller's, or a new one."""
        trace = call.trace
        if trace is not None:
            return trace
        context = Begun(self._random.getrandbits(128) or 1, self._random.getrandbits(64) or 1)
        call.span = context
        return context.trace


class Begun:
    """Stands in `Call.span` for a call that is not recorded and has told others its trace."""

    recorder = None

    def __init__(self, trace_id: int, span_id: int) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.trace = TraceContext(f"{trace_id:032x}", f"{span_id:016x}", sampled=False, random=True)

    def get_span_context(self) -> Begun:
        """Return the ids."""
        return self

    def record_exception(self, error: BaseException) -> None:
        """Take no notice."""


class Recording:
    """The span of a call that is recorded.

    Args:
        span: OpenTelemetry's.
        tracer: Makes spans within it.
        token: Takes it away as the current one.
    """

    __slots__ = ("span", "token", "tracer")

    def __init__(self, span: Any, tracer: Any, token: Any) -> None:
        self.span = span
        self.tracer = tracer
        self.token = token

    @property
    def recorder(self) -> Recorder | None:
        """What makes spans within it: itself, until it has ended (see `seawall.spans`)."""
        return self if self.span.is_recording() else None

    def client(self, name: str, attributes: Mapping[str, Value], /, *, seconds: float | None = None) -> Span:
        """Begin the span of a request to something else within the innermost span."""
        from opentelemetry.trace import SpanKind  # noqa: PLC0415 - loaded already, where there is a span

        return begin(self.tracer, SpanKind.CLIENT, name, attributes, seconds)

    def internal(self, name: str, attributes: Mapping[str, Value], /) -> Span:
        """Begin the span of something that is done in this process."""
        from opentelemetry.trace import SpanKind  # noqa: PLC0415 - as above

        return begin(self.tracer, SpanKind.INTERNAL, name, attributes)

    def get_span_context(self) -> SpanContext:
        """Return its ids."""
        context: SpanContext = self.span.get_span_context()
        return context

    def record_exception(self, error: BaseException) -> None:
        """Add *error* as an event."""
        self.span.record_exception(error)

    def end(self, call: Call, status: int, error: BaseException | None = None) -> None:
        """End it with what has become of the call; its numbers are HTTP's."""
        from opentelemetry.context import detach  # noqa: PLC0415 - loaded already, where there is a span
        from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415 - as above

        span = self.span
        span.set_attribute("http.response.status_code", status)
        if call.principal is not None:
            span.set_attribute("user.id", call.principal.subject)
        if call.problem:
            span.set_attribute("error.type", call.problem)
        if call.guard:
            span.set_attribute("seawall.guard", call.guard)
        if call.ended:
            span.set_attribute("seawall.ended", call.ended)
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR))
            if error is not None:
                span.set_attribute("error.type", call.problem or type(error).__qualname__)
                span.record_exception(error)
        span.end()
        detach(self.token)


class Traces:
    """The traces of one service; `Telemetry.traces` is the one of a service.

    Args:
        name: The service's name.
        version: Its release.
        random: Decides which calls are recorded.
    """

    def __init__(self, name: str, version: str, random: Random) -> None:
        self.name = name
        self.version = version
        self.random = random
        self.unsampled = Unsampled(random)
        self.ratio = 0.0
        self.follow = True
        self._endpoint: str | None = None
        self._queue = 0
        self._given: TracerProvider | None = None
        self._provider: TracerProvider | None = None
        self._tracer: Any = None
        self._exports: Any = None
        self._close: Callable[[], None] | None = None

    @property
    def enabled(self) -> bool:
        """Whether any call can be recorded."""
        return self._endpoint is not None or self._given is not None

    @property
    def counts(self) -> ExportCounts | None:
        """What has become of spans on their way to the collector; None where there is none."""
        counts: ExportCounts | None = self._exports.counts if self._exports else None
        return counts

    @property
    def provider(self) -> TracerProvider | None:
        """Where spans come from, once the service has started; for libraries that take one."""
        return self._given or self._provider

    def use(self, provider: TracerProvider) -> None:
        """Make spans by *provider* instead of sending them to a collector; before the service is compiled."""
        self._given = provider

    def configure(self, endpoint: str | None, ratio: float, *, follow: bool, queue: int) -> None:
        """Set what the settings say; called before plans are compiled.

        Args:
            endpoint: The collector; None for none.
            ratio: How many of the calls that no caller has decided about are recorded: 0 to 1.
            follow: Whether callers decide for theirs.
            queue: Spans that may wait to be sent.

        Raises:
            ConfigurationError: There is a collector, but what sends spans is not installed.
        """
        self.ratio, self.follow = ratio, follow
        if endpoint is not None and self._endpoint is None and self._given is None:
            try:
                import seawall.telemetry.traces.export  # noqa: F401, PLC0415 - optional, and slow to import
            except ImportError as error:
                raise ConfigurationError(
                    f"settings telemetry.otlp_endpoint={endpoint!r}: exporting traces needs the extra otel "
                    f"({error}); pip install 'seawall[otel]', or unset it."
                ) from None
        self._endpoint, self._queue = endpoint, queue

    # -- its life

    def open(self) -> None:
        """Begin to export."""
        if self._given is not None or self._endpoint is None or self._provider is not None:
            return
        from seawall.telemetry.traces.export import Exports, exporting_provider  # noqa: PLC0415 - see `configure`

        self._exports = self._exports or Exports(self._queue)
        self._provider, self._close = exporting_provider(
            self.name, self.version, self._endpoint, self.ratio, self._exports
        )
        self._tracer = None

    def offer(self) -> None:
        """Let libraries that ask OpenTelemetry for its provider find this one, unless they have another.

        For whatever owns the process; spans of theirs stand in the calls they were made in.
        """
        if self.provider is not None:
            from opentelemetry import trace  # noqa: PLC0415 - where spans are exported

            if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
                trace.set_tracer_provider(self.provider)

    async def close(self) -> None:
        """Send the last spans, for a few seconds at the most."""
        close, self._close, self._provider = self._close, None, None
        if close is None:
            return
        # A thread of its own: one of the loop's would be waited for when the loop ends, however slow the collector is.
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def run() -> None:
            close()
            with contextlib.suppress(RuntimeError):  # the loop has ended without it
                loop.call_soon_threadsafe(done.set)

        threading.Thread(target=run, name="seawall last spans", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_SECONDS):
                await done.wait()

    # -- for plans

    def begin(self, call: Call, method: str, route: str, path: str, scheme: str) -> Recording | None:
        """Begin the span of a call over HTTP that may have to be recorded; None if it has not.

        Args:
            call: The call; its `Call.span` is set.
            method: Its method.
            route: The template of its path; empty where none matched.
            path: Its path.
            scheme: ``http`` or ``https``.
        """
        trace = call.trace
        if b"traceparent" in call.metadata:
            chance = trace is None or not self.follow
            sampled = self.random.random() < self.ratio if chance or trace is None else trace.sampled
            if not sampled:
                call.span = self.unsampled
                return None
        attributes: dict[str, Any] = {
            "http.request.method": method,
            "url.path": path,
            "url.scheme": scheme,
            "seawall.operation": call.operation,
            "seawall.request_id": call.request_id,
        }
        if route:
            attributes["http.route"] = route
        if call.peer:
            attributes["client.address"] = call.peer[0]
        agent = call.metadata.get(b"user-agent")
        if agent:
            attributes["user_agent.original"] = agent[:_AGENT_LENGTH].decode("latin-1")
        return self._record(call, f"{method} {route}" if route else method, attributes, trace, server=True)

    def begin_direct(self, call: Call, outer: Any) -> Recording | None:
        """Begin the span of a call with typed arguments, if it has to be recorded.

        Args:
            call: The call.
            outer: The call it was made in, if it was.
        """
        span = outer.span if isinstance(outer, Call) else None
        if isinstance(span, Recording) or (span is None and self.random.random() < self.ratio):
            return self._record(call, call.operation, {"seawall.operation": call.operation}, None, server=False)
        call.span = span or self.unsampled
        return None

    def _record(
        self, call: Call, name: str, attributes: dict[str, Any], trace: TraceContext | None, *, server: bool
    ) -> Recording | None:
        from opentelemetry.context import Context, attach, get_current  # noqa: PLC0415 - for recorded calls
        from opentelemetry.trace import SpanKind, set_span_in_context  # noqa: PLC0415 - as above

        from seawall.telemetry.traces.export_keys import DECIDED  # noqa: PLC0415 - as above

        tracer = self.tracer
        if tracer is None:  # the service has not started
            call.span = self.unsampled
            return None
        parent = Context() if server else get_current()
        if trace is not None:
            parent = set_span_in_context(_remote(trace), parent)
        within = Context({**parent, DECIDED: True})
        kind = SpanKind.SERVER if server else SpanKind.INTERNAL
        span = tracer.start_span(name, within, kind, attributes)
        recording = Recording(span, tracer, attach(set_span_in_context(span, parent)))
        call.span = recording
        return recording

    @property
    def tracer(self) -> Any:
        """What makes spans; None while nothing is exported."""
        if self._tracer is None:
            provider = self.provider
            self._tracer = None if provider is None else provider.get_tracer("seawall", self.version)
        return self._tracer

    @contextlib.contextmanager
    def background(self, name: str) -> Generator[None]:
        """Record background work, linked to the call that began it, if that was recorded."""
        call = current.get(None)
        started_by = call.span if call is not None else None
        if call is None or not isinstance(started_by, Recording) or self.tracer is None:
            yield
            return
        from opentelemetry.context import Context, attach, detach  # noqa: PLC0415 - for recorded calls
        from opentelemetry.trace import Link, set_span_in_context  # noqa: PLC0415 - as above

        from seawall.telemetry.traces.export_keys import DECIDED  # noqa: PLC0415 - as above

        span = self.tracer.start_span(
            name,
            Context({DECIDED: True}),
            links=[Link(started_by.get_span_context())],
            attributes={"seawall.operation": call.operation, "seawall.request_id": call.request_id},
        )
        token = attach(set_span_in_context(span, Context()))
        call.span = Recording(span, self.tracer, token)
        try:
            yield
        except BaseException as error:
            span.record_exception(error)
            raise
        finally:
            call.span = started_by
            span.end()
            detach(token)


def _remote(trace: TraceContext) -> Any:
    """Return the caller's span, as OpenTelemetry knows it."""
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState  # noqa: PLC0415 - as above

    state = TraceState.from_header([shorten_tracestate(trace.state)]) if trace.state else TraceState()
    return NonRecordingSpan(
        SpanContext(
            int(trace.trace_id, 16),
            int(trace.parent_id, 16),
            is_remote=True,
            trace_flags=TraceFlags(int(trace.sampled)),
            trace_state=state,
        )
    )
