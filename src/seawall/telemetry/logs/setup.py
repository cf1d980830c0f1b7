"""Logging: every line of the process in one form, JSON for machines or text for people.

Nothing happens at import; `configure` is called once, by whatever owns the process. Seawall, the server and
most libraries log through the standard library's ``logging``, a service may as well use ``structlog``: both
come out the same way, with the call they belong to, and with secrets struck out. Lines go through a queue
(`seawall.telemetry.logs.sink`), so that a log nobody can write to stops nothing.
"""

from __future__ import annotations

import asyncio
import functools
import io
import logging
import sys
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import IO, Any, Literal

from seawall.call import current
from seawall.telemetry.logs.redaction import HIDDEN, hide, in_one_line, is_secret_name, without_credentials
from seawall.telemetry.logs.sink import Sink, SinkCounts
from seawall.telemetry.traces.identity import identity

__all__ = [
    "LineHandler",
    "LogFormat",
    "choose_format",
    "configure",
    "flush",
    "installed",
    "quieter_server",
    "set_level",
]

LogFormat = Literal["auto", "json", "console"]
FLUSH_SECONDS = 1.0
"""Seconds the last lines of a process may take."""


class LineHandler(logging.Handler):
    """Formats a line where it is logged, and hands it to what writes.

    Args:
        stream: Where to. One with a file descriptor is written to by a thread; one without (a buffer) at once.
        is_json: Whether lines are JSON.
    """

    def __init__(self, stream: IO[str], *, is_json: bool) -> None:
        super().__init__()
        self.is_json = is_json
        self._stream = stream
        self._lost = 0
        descriptor = _descriptor(stream)
        self._sink = None if descriptor is None else Sink(descriptor)

    @property
    def counts(self) -> SinkCounts:
        """Lines that were lost."""
        counts = self._sink.counts if self._sink else SinkCounts()
        return SinkCounts(counts.dropped, counts.failed + self._lost)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; one that cannot be formatted says so instead of failing the call that logs it."""
        try:
            line = self.format(record)
        except Exception as error:  # noqa: BLE001 - whatever an argument's own representation raises
            self._lost += 1
            line = f'{{"level":"error","message":"a line could not be formatted: {type(error).__name__}"}}'
        self.write(line.encode("utf-8", "backslashreplace") + b"\n")

    def write(self, data: bytes, lines: int = 1) -> None:
        """Write whole *lines* that are formatted already."""
        if self._sink is not None:
            self._sink.write(data, lines)
            return
        try:
            self._stream.write(data.decode())
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: it is closed
            self._lost += lines

    def flush_within(self, seconds: float) -> bool:
        """Wait until everything is written, for *seconds* at the most; return whether it is."""
        return self._sink is None or self._sink.flush(seconds)


def _descriptor(stream: IO[str]) -> int | None:
    try:
        stream.flush()
        return stream.fileno()
    except (OSError, ValueError, AttributeError):
        return None


def choose_format(wanted: LogFormat, stream: IO[str]) -> Literal["json", "console"]:
    """Return the form of lines: for ``auto``, text on a terminal and JSON anywhere else."""
    if wanted == "auto":
        return "console" if stream.isatty() else "json"
    return wanted


def installed() -> LineHandler | None:
    """Return the handler that `configure` has installed, if it has."""
    return next((each for each in logging.getLogger().handlers if isinstance(each, LineHandler)), None)


def flush(seconds: float = FLUSH_SECONDS) -> bool:
    """Wait until every line is written, for *seconds* at the most; return whether they are."""
    handler = installed()
    return handler is None or handler.flush_within(seconds)


def configure(
    level: str = "info", wanted: LogFormat = "auto", stream: IO[str] | None = None, *, worker: int | None = None
) -> None:
    """Send every log line of the process to *stream*.

    Args:
        level: The least severe level that is logged: debug, info, warning, error or critical.
        wanted: The form of lines.
        stream: Where to; standard error by default.
        worker: The number of this process among the workers of a service, for every line.
    """
    import structlog  # noqa: PLC0415 - takes longer to import than the rest of Seawall together

    out = stream or sys.stderr
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.stdlib.PositionalArgumentsFormatter(),
        add_call,
        *([functools.partial(add_worker, worker)] if worker is not None else []),
    ]
    is_json = choose_format(wanted, out) == "json"
    handler = LineHandler(out, is_json=is_json)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                add_time,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *(_for_machines() if is_json else _for_people(out)),
            ],
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(number)
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def set_level(level: str) -> None:
    """Change the least severe level that is logged, while the process runs."""
    logging.getLogger().setLevel(logging.getLevelNamesMapping()[level.upper()])


def quieter_server(level: str) -> None:
    """Keep the server's own chatter out of the log, unless everything is wanted.

    Seawall says itself when it listens and stops. What is left of the server are its errors.
    """
    for name in ("uvicorn", "uvicorn.error", "_granian"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.DEBUG if level == "debug" else logging.ERROR)
        logger.addFilter(is_news)
    access = logging.getLogger("uvicorn.access")
    access.handlers.clear()
    access.propagate = False


def is_news(record: logging.LogRecord) -> bool:
    """Return whether a line of uvicorn's says something else than that a stopping server cancels calls."""
    kind = record.exc_info[0] if record.exc_info else None
    is_cancelled = kind is not None and issubclass(kind, asyncio.CancelledError)
    return not (is_cancelled or str(record.msg).startswith("Cancel %s running task(s)"))


def add_time(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add when it happened, in UTC: the record knows, no clock is asked again."""
    moment = datetime.fromtimestamp(event["_record"].created, UTC)
    event["timestamp"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return event


def add_call(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add what tells the call the line was logged in: request id, operation, trace, who calls."""
    call = current.get(None)
    if call is not None:
        event.setdefault("request_id", call.request_id)
        if call.operation:
            event.setdefault("operation", call.operation)
        trace_id, span_id = identity(call)
        if trace_id:
            event.setdefault("trace_id", trace_id)
        if span_id:
            event.setdefault("span_id", span_id)
        if call.principal is not None:
            event.setdefault("user.id", call.principal.subject)
    return event


def add_worker(worker: int, _: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add which worker it was."""
    event.setdefault("worker", worker)
    return event


def hide_secrets(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Strike out values whose names or types say that they are secret, however deep they lie."""
    for name, value in event.items():
        if name not in ("exc_info", "stack_info"):
            event[name] = HIDDEN if is_secret_name(name) and value else hide(value)
    return event


def _for_machines() -> list[Any]:
    import msgspec  # noqa: PLC0415 - beside its only use
    import structlog  # noqa: PLC0415 - as in configure

    encode = msgspec.json.Encoder(enc_hook=str).encode

    def dumps(event: Mapping[str, Any], **_: Any) -> str:
        try:
            return in_one_line(encode({str(key): value for key, value in event.items()}).decode())
        except Exception:  # noqa: BLE001 - a number too large for JSON, half a surrogate pair: shown as Python shows it
            return encode({ascii(key)[1:-1]: ascii(value) for key, value in event.items()}).decode()

    return [
        structlog.processors.format_exc_info,
        hide_secrets,
        structlog.processors.EventRenamer("message"),
        ordered,
        structlog.processors.JSONRenderer(serializer=dumps),
    ]


def ordered(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put what every line has first, so that lines can be read under each other."""
    first = {name: event[name] for name in ("timestamp", "level", "message") if name in event}
    return {**first, **{name: value for name, value in event.items() if name not in first}}


def _for_people(out: IO[str]) -> list[Any]:
    import structlog  # noqa: PLC0415 - as in configure

    def short_time(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["timestamp"] = event["timestamp"][11:-1]
        event.pop("logger", None)
        return event

    def printable(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for name, value in event.items():
            if isinstance(value, str):
                event[name] = _printable(value, lines=name in ("exception", "stack"))
        return event

    def traceback(out: Any, error: Any) -> None:
        # Plain tracebacks: the decorated ones print local variables, and those hold secrets.
        text = io.StringIO()
        structlog.dev.plain_traceback(text, error)
        out.write(_printable(without_credentials(text.getvalue()), lines=True))

    return [
        hide_secrets,
        short_time,
        printable,
        structlog.dev.ConsoleRenderer(
            colors=out.isatty(), exception_formatter=traceback, pad_event_to=0, sort_keys=False
        ),
    ]


def _printable(text: str, *, lines: bool) -> str:
    """Return *text* with what could move the cursor, start a line or turn the reading direction written out."""
    if text.isprintable():
        return text
    kept = "\n\t" if lines else ""
    return "".join(
        each if each.isprintable() or each in kept else each.encode("unicode_escape").decode() for each in text
    )
