"""The lines by which a plan records its calls: histogram, access line, span.

They stand outside of everything that can refuse or fail, so that each call is recorded once, however it ends.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable
from contextvars import Token
from dataclasses import dataclass

from seawall.call import Call
from seawall.clock import Clock
from seawall.plan import Place, Writer
from seawall.problems import Problem
from seawall.telemetry.logs.access import MOST_LINES, AccessLog
from seawall.telemetry.logs.lines import FIELDS, Form, Forms
from seawall.telemetry.metrics.board import BOUNDS, SUM, Exemplar
from seawall.telemetry.metrics.metrics import CallSeries, Metrics
from seawall.telemetry.traces.traces import Recording, Traces

__all__ = ["Record", "Recorder"]

CLIENT_GONE = 499
STATUS_OF_END = {"": CLIENT_GONE, "disconnect": CLIENT_GONE, "deadline": 504, "shutdown": 503}
"""The status that stands in records for a call that was cancelled and never answered."""


@dataclass(frozen=True, slots=True)
class Record:
    """The fragment that records the calls of one plan; what is off has no lines.

    Args:
        clock: Measures how long calls take.
        metrics: Where they are counted; None counts none.
        access: Where their lines go; None for no lines.
        traces: Makes their spans; None for none.
    """

    clock: Clock
    metrics: Metrics | None
    access: AccessLog | None
    traces: Traces | None
    name: str = "record"
    place: Place = Place.RECORD

    @property
    def note(self) -> str:
        """What is recorded, for people."""
        parts = (("metrics", self.metrics), ("access line", self.access), ("trace", self.traces))
        return ", ".join(name for name, part in parts if part is not None)

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        """Write the lines before, around and after everything further in."""
        subject = writer.subject
        direct = subject.carrier == "direct"
        series = None
        if self.metrics is not None:
            series = self.metrics.calls(subject.operation, subject.path, subject.method, direct=direct)
        recorder = Recorder(self, series, subject.method, subject.path)
        monotonic = writer.bind("monotonic", self.clock.monotonic)
        method, path = self._request(writer)
        writer.lines(f"record_began = {monotonic}()", "ended = 0.0")
        writer.now, writer.look, writer.ended = "record_began", f"{monotonic}()", "ended"
        if series is not None:
            active = writer.bind("active", series.active)
            writer.line(f"{active}[0] += 1")
        if self.traces is not None:
            self._begin_span(writer, self.traces, method, path)
        span = "record_span" if self.traces is not None else "None"
        outer = "token" if direct else "None"
        with writer.block("try:"):
            inner()
        with writer.block("except BaseException as error:"):
            failed = writer.bind("record_failed", recorder.failed)
            writer.lines(f"{failed}(call, error, record_began, {method}, {path}, {span}, {outer})", "raise")
        now = f"ended or {monotonic}()" if writer.now == "ended" else f"{monotonic}()"
        writer.lines(f"record_ended = {now}", "record_took = record_ended - record_began")
        status = "200" if direct else "status"
        if series is not None:
            self._count(writer, series, method, status)
        if self.traces is not None:
            with writer.block("if record_span is not None:"):
                end = writer.bind("end_span", recorder.end_span)
                writer.line(f"{end}(record_span, call, {method}, {status}, record_took)")
        if self.access is not None:
            self._add_line(writer, self.access, (status, method, path))

    def _request(self, writer: Writer) -> tuple[str, str]:
        """Return expressions for the method and the path of the request."""
        subject = writer.subject
        if subject.carrier == "direct":
            return '""', '""'
        if subject.carrier == "asgi":
            return 'scope["method"]', "path"
        return writer.bind("method", subject.method), "path"

    def _begin_span(self, writer: Writer, traces: Traces, method: str, path: str) -> None:
        if writer.subject.carrier == "direct":
            begin = writer.bind("begin_span", traces.begin_direct)
            writer.line(f"record_span = {begin}(call, token.old_value)")
            return
        begin = writer.bind("begin_span", traces.begin)
        route = writer.bind("route", writer.subject.path)
        chance, ratio = writer.bind("chance", traces.random.random), writer.bind("trace_ratio", traces.ratio)
        with writer.block(f'if b"traceparent" in headers or {chance}() < {ratio}:'):
            writer.line(f"record_span = {begin}(call, {method}, {route}, {path}, scheme)")
        with writer.block("else:"):
            writer.lines("record_span = None", f"call.span = {writer.bind('unsampled', traces.unsampled)}")

    def _count(self, writer: Writer, series: CallSeries, method: str, status: str) -> None:
        assert self.metrics is not None  # noqa: S101 - there are no series without
        board = self.metrics.board
        subject = writer.subject
        find, new, key = series.get, series.new, status
        if not subject.method and subject.carrier != "direct":
            new, key = series.new_for, f"({method}, {status})"  # type: ignore[assignment]  # by the key's own type
        counts, sums = writer.bind("counts", board.counts), writer.bind("sums", board.sums)
        bucket, bounds = writer.bind("bucket", bisect_left), writer.bind("bounds", BOUNDS)
        writer.lines(
            f"{writer.bind('active', series.active)}[0] -= 1",
            f"record_at = {writer.bind('series', find)}({key}) or {writer.bind('new_series', new)}({key})",
            f"{counts}[record_at if record_took <= {BOUNDS[0]} else record_at + {bucket}({bounds}, record_took)] += 1",
            f"{sums}[record_at + {SUM}] += record_took",
        )
        with writer.block("if call.guard:"):
            rejected = writer.bind("rejected", self.metrics.rejected)
            writer.line(f"{rejected}(call.operation, call.guard, call.problem)")

    def _add_line(self, writer: Writer, access: AccessLog, what: tuple[str, str, str]) -> None:
        status, method, path = what
        add, lines = writer.bind("add_line", access.pending.extend), writer.bind("access_lines", access.pending)
        attend = writer.bind("attend", access.attend)
        subject = writer.subject
        if subject.carrier == "asgi":  # HEAD is answered by the plan for GET
            forms = Forms(subject.operation, subject.path)
            find, new = writer.bind("form", forms.get), writer.bind("new_form", forms.new)
            form = f"{find}({method}) or {new}({method})"
        else:
            form = writer.bind("form", Form(subject.operation, subject.method, subject.path))

        request_id, headers = ("call.id", "call.metadata") if subject.carrier == "direct" else ("request_id", "headers")
        marks = "call.span is not None"
        if self.traces is not None:
            marks = f"call.span is not {writer.bind('unsampled', self.traces.unsampled)}"
        # Without a problem, a span and a caller's trace, the caller is all that is kept of the call.
        whole = f'call if {marks} or call.problem or b"traceparent" in {headers} else call.principal'

        def write() -> None:
            writer.line(
                f"{add}((record_ended, record_took, {status}, {request_id}, {form}, {path}, call.peer, "
                f'{headers}.get(b"user-agent"), {whole}))'
            )
            with writer.block(f"if not {FIELDS} < len({lines}) < {FIELDS * MOST_LINES}:"):
                writer.line(f"{attend}()")

        if writer.subject.carrier != "direct":
            write()
            return
        # Within another call it is part of what that one did, whose line is yet to come.
        with writer.block(f"if token.old_value is {writer.bind('nothing', Token.MISSING)}:"):
            write()


@dataclass(frozen=True, slots=True, eq=False)
class Recorder:
    """What the plan of one operation calls for the calls that are not everyday: recorded spans, and none answered.

    Args:
        record: What is recorded.
        series: Where the operation's calls are counted.
        method: The operation's method; empty where it takes several.
        route: The template of its path.
    """

    record: Record
    series: CallSeries | None
    method: str
    route: str

    def failed(
        self,
        call: Call,
        error: BaseException,
        began: float,
        method: str,
        path: str,
        span: Recording | None,
        outer: Token[Call] | None,
    ) -> None:
        """Record a call that ended with *error*: it was cancelled, or called with typed arguments and refused."""
        record = self.record
        ended = record.clock.monotonic()
        took = ended - began
        status = _status_of(call, error)
        if self.series is not None and record.metrics is not None:
            self.series.active[0] -= 1
            board, place = record.metrics.board, self._place(method, status)
            board.counts[place + bisect_left(BOUNDS, took)] += 1
            board.sums[place + SUM] += took
            if call.guard:
                record.metrics.rejected(call.operation, call.guard, call.problem)
        if span is not None:
            self._end(span, call, method, status, took, error)
        if record.access is not None and (outer is None or outer.old_value is Token.MISSING):
            form = Form(call.operation, method, self.route)
            agent = call.metadata.get(b"user-agent")
            record.access.pending.extend((ended, took, status, call.id, form, path, call.peer, agent, call))
            record.access.attend()

    def end_span(self, span: Recording, call: Call, method: str, status: int, took: float) -> None:
        """End the span of an answered call, and leave its trace as an example with its bucket."""
        self._end(span, call, method, status, took, None)

    def _end(
        self, span: Recording, call: Call, method: str, status: int, took: float, error: BaseException | None
    ) -> None:
        metrics = self.record.metrics
        if self.series is not None and metrics is not None:
            context = span.get_span_context()
            exemplar = Exemplar(f"{context.trace_id:032x}", f"{context.span_id:016x}", took, self.record.clock.time())
            metrics.board.mark(self._place(method, status), bisect_left(BOUNDS, took), exemplar)
        span.end(call, status, error)

    def _place(self, method: str, status: int) -> int:
        assert self.series is not None  # noqa: S101 - asked for only where there are series
        if self.method or not method:
            return self.series.get(status) or self.series.new(status)
        return self.series.get((method, status)) or self.series.new_for((method, status))


def _status_of(call: Call, error: BaseException) -> int:
    if isinstance(error, Problem):
        call.problem, call.guard = error.type, error.guard
        return error.status
    if call.ended or isinstance(error, asyncio.CancelledError):
        return STATUS_OF_END[call.ended]
    return 500
