"""Logging: every line of the process in one form, JSON for machines or text for people.

Nothing happens at import; `configure` is called once, by whatever owns the process. Seawall, the server and
most libraries log through the standard library's ``logging``, a service may as well use ``structlog``: both
come out the same way, with the id of the request they belong to, and with secrets struck out.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import IO, Any, Literal

from seawall.call import current

__all__ = ["LogFormat", "choose_format", "configure", "quieter_server", "set_level"]

LogFormat = Literal["auto", "json", "console"]
HIDDEN = "[hidden]"

_SECRET = re.compile(
    r"authori[sz]ation|passw(or)?d|passphrase|secret|cookie|credential|private_?key|api_?key|(^|_|-)token($|_|-)",
    re.IGNORECASE,
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def choose_format(wanted: LogFormat, stream: IO[str]) -> Literal["json", "console"]:
    """Return the form of lines: for ``auto``, text on a terminal and JSON anywhere else."""
    if wanted == "auto":
        return "console" if stream.isatty() else "json"
    return wanted


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
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                add_time,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                hide_secrets,
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
    """Add the request id and operation of the call the line was logged in."""
    call = current.get(None)
    if call is not None:
        event.setdefault("request_id", call.request_id)
        if call.operation:
            event.setdefault("operation", call.operation)
    return event


def add_worker(worker: int, _: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add which worker it was."""
    event.setdefault("worker", worker)
    return event


def hide_secrets(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Strike out values whose names say that they are secret, one level of mappings deep."""
    for name, value in event.items():
        if _SECRET.search(name):
            event[name] = HIDDEN
        elif isinstance(value, Mapping):
            event[name] = {
                key: HIDDEN if isinstance(key, str) and _SECRET.search(key) else inner for key, inner in value.items()
            }
    return event


def _for_machines() -> list[Any]:
    import msgspec  # noqa: PLC0415 - beside its only use
    import structlog  # noqa: PLC0415 - as in configure

    encode = msgspec.json.Encoder(enc_hook=str).encode

    def dumps(event: Mapping[str, Any], **_: Any) -> str:
        return encode({str(key): value for key, value in event.items()}).decode()

    return [
        structlog.processors.format_exc_info,
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
        # A caller's path or name must not move the cursor or start a line of its own.
        for name, value in event.items():
            if isinstance(value, str) and name not in ("exception", "stack") and not value.isprintable():
                event[name] = _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), value)
        return event

    return [
        short_time,
        printable,
        # Plain tracebacks: the decorated ones print local variables, and those hold secrets.
        structlog.dev.ConsoleRenderer(
            colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=0, sort_keys=False
        ),
    ]
