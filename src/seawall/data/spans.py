"""Spans of statements, by OpenTelemetry's semantic conventions for databases (stable since 1.33); no values in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL, Dialect

from seawall.data.texts import text_of
from seawall.spans import Recorder, Span, Value, recorder

__all__ = ["SqlSpans", "WatchDriver"]


class SqlSpans:
    """Describes the statements of one database.

    Args:
        url: Where it is.
    """

    def __init__(self, url: URL) -> None:
        system = url.get_backend_name()
        name = url.database or ""
        self.backslashes = system in ("mysql", "mariadb")
        self._common = {
            "db.system.name": system,
            # The folder of a file is nobody's business.
            "db.namespace": Path(name).name if system == "sqlite" else name,
        }
        self._url = url

    def begin(
        self, spans: Recorder, statement: str, target: Any = None, many: int = 0, *, seconds: float | None = None
    ) -> Span:
        """Begin the span of *statement*.

        Args:
            spans: Makes it.
            statement: Its text.
            target: Whom it goes to, with a ``url``; None for the database's own.
            many: How many times it runs, each with other values, if it does more than once.
            seconds: How long ago it began; None for now.
        """
        text = text_of(statement, backslashes=self.backslashes)
        attributes: dict[str, Value] = {
            **self._common,
            **_server(self._url if target is None else target.url),
            "db.query.text": text.shown,
            "db.query.summary": text.summary,
            "db.operation.name": text.operation,
        }
        if len(text.targets) == 1:
            attributes["db.collection.name"] = text.targets[0]
        if many > 1:
            attributes["db.operation.batch.size"] = many
        return spans.client(text.summary, attributes, seconds=seconds)

    def end(self, span: Span, error: BaseException | None) -> None:
        """End *span* with what the driver raised, by the database's own code where it has one."""
        code = "" if error is None else _code(error)
        if code:
            span.set("db.response.status_code", code)
        span.end(error, code)

    def watch_commits(self, dialect: Dialect) -> None:
        """Make a span of each commit: SQLAlchemy says when one begins, but not when it is over."""
        commit = dialect.do_commit

        def do_commit(connection: Any) -> None:
            spans = recorder()
            if spans is None:
                commit(connection)
                return
            span = self.begin(spans, "COMMIT")
            try:
                commit(connection)
            except BaseException as error:
                self.end(span, error)
                raise
            span.end()

        dialect.do_commit = do_commit  # type: ignore[assignment, method-assign]

    def watch_driver(
        self, watch: WatchDriver, spans: Recorder, connection: Any, target: Any
    ) -> AbstractContextManager[None]:
        """Make spans of what *connection*, lent as it is, runs in the block."""

        def begin(statement: str, seconds: float | None = None) -> Callable[[BaseException | None], None]:
            span = self.begin(spans, statement, target, seconds=seconds)
            return lambda error: self.end(span, error)

        return watch(connection, begin)


BeginStatement = Callable[..., Callable[[BaseException | None], None]]
"""Takes a statement and, where it is over already, the seconds it took; returns what ends it with its error."""
WatchDriver = Callable[[Any, BeginStatement], AbstractContextManager[None]]
"""Tells of each statement that a driver's connection runs in the block."""


def _server(url: URL) -> Mapping[str, Value]:
    if url.host is None:
        return {}
    return {"server.address": url.host} | ({} if url.port is None else {"server.port": url.port})


def _code(error: BaseException) -> str:
    """Return MariaDB's number, SQLSTATE, or SQLite's name of the error, whichever *error* has."""
    number = error.args[0] if error.args else None
    if isinstance(number, int) and not isinstance(error, OSError):
        return str(number)
    for name in ("sqlstate", "sqlite_errorname"):
        found = getattr(error, name, None)
        if isinstance(found, str):
            return found
    return ""
