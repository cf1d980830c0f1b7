"""PostgreSQL by asyncpg, whose cancelled statements are cancelled at the server as well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy.engine import Engine

from seawall.data.backend import Failure
from seawall.data.spans import BeginStatement
from seawall.settings import DatabaseSettings

__all__ = ["Postgres", "backend"]

_BY_STATE = {
    "40001": Failure.SERIALIZATION,
    "40P01": Failure.SERIALIZATION,
    "57014": Failure.TIMEOUT,
    "23505": Failure.DUPLICATE,
    "53300": Failure.UNREACHABLE,
    "25P03": Failure.UNREACHABLE,
    "3D000": Failure.REFUSED,
}
"""SQLSTATE (PostgreSQL 15, appendix A)."""
_BY_CLASS = {"08": Failure.UNREACHABLE, "57P": Failure.UNREACHABLE, "28": Failure.REFUSED}


class Postgres:
    """What is particular to PostgreSQL."""

    name = "postgresql"
    single_writer = False

    @staticmethod
    @contextmanager
    def watch_driver(connection: Any, begin: BeginStatement) -> Iterator[None]:
        """Tell of what asyncpg tells of: all but prepared statements, cursors and COPY that are used by themselves.

        It does so once a statement is over, when the event loop runs next.
        """

        def told(query: Any) -> None:
            begin(query.query, query.elapsed)(query.exception)

        connection.add_query_logger(told)
        try:
            yield
        finally:
            connection.remove_query_logger(told)

    def options(self, settings: DatabaseSettings, application: str) -> Mapping[str, Any]:
        """Return keyword arguments of the engine.

        The server's own limits are the net below the deadlines of calls: they are told once, with the connection,
        since telling what is left before each statement would be one more trip to the server.
        """
        milliseconds = str(int(settings.statement_timeout * 1000))
        return {
            "connect_args": {
                "timeout": settings.connect_timeout,
                "server_settings": {
                    "application_name": application[:63],
                    "statement_timeout": milliseconds,
                    "idle_in_transaction_session_timeout": str(int(settings.statement_timeout * 2000)),
                },
            }
        }

    def prepare(self, engine: Engine, settings: DatabaseSettings, *, read_only: bool) -> None:
        """Nothing: the driver begins transactions itself, as its `readonly` says."""

    def is_alive(self, connection: Any) -> bool:
        """Whether the server has not closed it."""
        return not connection.is_closed()

    def is_clean(self, connection: Any) -> bool:
        """Whether no transaction is open."""
        return not connection.is_in_transaction()

    def classify(self, error: BaseException) -> Failure | None:
        """Return what an error means, by its SQLSTATE."""
        state = getattr(error, "sqlstate", None)
        if not isinstance(state, str):
            return Failure.UNREACHABLE if "connection is closed" in str(error) else None
        return _BY_STATE.get(state) or _BY_CLASS.get(state[:3]) or _BY_CLASS.get(state[:2])


backend = Postgres()
