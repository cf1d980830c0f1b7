"""SQLite in a file: write-ahead log, one writer at a time, statements that end when their call does."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine
from sqlalchemy.util.concurrency import in_greenlet

from seawall.clock import SystemClock
from seawall.data.backend import Failure
from seawall.data.spans import BeginStatement
from seawall.problems import ConfigurationError
from seawall.settings import DatabaseSettings

__all__ = ["Sqlite", "backend"]

INTERRUPT_AFTER = 0.02
"""Seconds a statement of a cancelled call may go on by itself."""
_DUPLICATE = (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
_RUNNING = frozenset({"execute", "executemany", "executescript", "_execute_insert", "_execute_fetchall"})
_UNREACHABLE = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL)


class Sqlite:
    """What is particular to SQLite, by the driver aiosqlite: a thread for each connection."""

    name = "sqlite"
    single_writer = True

    @staticmethod
    @contextmanager
    def watch_driver(connection: Any, begin: BeginStatement) -> Iterator[None]:
        """Tell of every statement: they all pass through one method of aiosqlite's."""
        run = connection._execute  # noqa: SLF001 - there is no other place that sees them all

        async def execute(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
            if getattr(function, "__name__", "") not in _RUNNING or not arguments:
                return await run(function, *arguments, **options)
            end = begin(arguments[0])
            try:
                answer = await run(function, *arguments, **options)
            except BaseException as error:
                end(error)
                raise
            end(None)
            return answer

        connection._execute = execute  # noqa: SLF001 - as above
        try:
            yield
        finally:
            del connection._execute  # noqa: SLF001 - as above

    def options(self, settings: DatabaseSettings, application: str) -> Mapping[str, Any]:  # noqa: ARG002
        """Return keyword arguments of the engine: none."""
        return {}

    def prepare(self, engine: Engine, settings: DatabaseSettings, *, read_only: bool) -> None:
        """Set connections up, begin transactions as what they are, and interrupt what is cancelled."""
        milliseconds = int(settings.busy_timeout * 1000)

        @event.listens_for(engine, "connect")
        def set_up(connection: Any, _: Any) -> None:
            # The driver must not begin transactions of its own: it would begin them too late, with the first
            # write, and a transaction that read before fails there when another one has written meanwhile.
            connection.isolation_level = None
            cursor = connection.cursor()
            cursor.execute(f"PRAGMA busy_timeout = {milliseconds}")
            _use_wal(cursor)
            cursor.execute("PRAGMA synchronous = NORMAL")
            cursor.execute("PRAGMA foreign_keys = ON")
            if read_only:
                cursor.execute("PRAGMA query_only = ON")
            cursor.close()

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

        @event.listens_for(engine, "invalidate")
        def end(connection: Any, _: Any, error: BaseException | None) -> None:  # noqa: ARG001
            # A call that is cancelled while a statement runs has its connection closed. As long as anything, if only
            # the traceback, still holds the cursor, SQLite keeps a closed connection's transaction, and its lock with
            # it. So the transaction is ended first, in the driver's thread, behind the statement. One that goes on is
            # interrupted, which any thread may do; not at once, since that would hit the end of the transaction too.
            if in_greenlet():
                raw = connection.driver_connection._conn  # noqa: SLF001 - its own `interrupt` waits for the statement
                timer = SystemClock().call_later(INTERRUPT_AFTER, lambda: _interrupt(raw))
                try:
                    for _ in range(2):
                        with suppress(sqlite3.Error, ValueError):
                            connection.rollback()
                            break
                finally:
                    timer.cancel()

    def is_alive(self, connection: Any) -> bool:
        """Whether its thread runs."""
        return bool(connection._conn)  # noqa: SLF001 - the driver tells it no other way

    def is_clean(self, connection: Any) -> bool:
        """Whether no transaction is open."""
        return not connection.in_transaction

    def classify(self, error: BaseException) -> Failure | None:
        """Return what an error means, by its extended code (https://sqlite.org/rescode.html)."""
        code = getattr(error, "sqlite_errorcode", None)
        if code is None:
            return None
        if code in _DUPLICATE:
            return Failure.DUPLICATE
        if code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return Failure.SERIALIZATION
        return Failure.UNREACHABLE if code & 0xFF in _UNREACHABLE else None


def _interrupt(connection: sqlite3.Connection | None) -> None:
    with suppress(sqlite3.Error):
        if connection is not None:
            connection.interrupt()


def _use_wal(cursor: Any) -> None:
    """Let readers and the writer work at once: the file remembers it, so the first connection switches it.

    SQLite does not wait for others here, even with a busy timeout. When several processes open a new file
    at the same moment, all but one are refused; they wait for that one in a way that SQLite does wait.
    """
    for _ in range(10):
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            cursor.execute("BEGIN IMMEDIATE")
            cursor.execute("COMMIT")
        else:
            return
    raise ConfigurationError(
        "database: SQLite does not switch to write-ahead logging (WAL); is the file open in another program?"
    )


backend = Sqlite()
