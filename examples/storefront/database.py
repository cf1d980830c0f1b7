"""The database: SQLite in a file, or PostgreSQL when the URL says so."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.util.concurrency import in_greenlet

from seawall.auth.sql import metadata as identity
from seawall.problems import ConfigurationError, Unavailable
from storefront.tables import metadata

__all__ = ["DEFAULT_URL", "Database", "database_url"]

DEFAULT_URL = "sqlite+aiosqlite:///storefront.sqlite3"
_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
}
_SCHEMA_LOCK = 0x73746F7265  # any number of our own; "store" in ASCII


def database_url(environ: Mapping[str, str]) -> str:
    """Return the URL that *environ* names, or that of a file in the working directory.

    ``STOREFRONT_DATABASE_URL`` is the storefront's own and goes before ``SEAWALL_DATABASE_URL``.
    """
    return environ.get("STOREFRONT_DATABASE_URL") or environ.get("SEAWALL_DATABASE_URL") or DEFAULT_URL


class Database:
    """Connections to one database, a bounded number at a time.

    `read` and `write` each open one transaction. Every method of a service opens its own, so services can
    work side by side in one call and no connection is held while nothing is asked of it.

    Args:
        url: ``sqlite:///FILE`` or ``postgresql://USER@HOST/NAME``.
        connections: How many connections there are at most.
        wait: Seconds to wait for a free connection, or for SQLite's one writer, before giving up.

    Raises:
        ConfigurationError: The URL cannot be used.
    """

    def __init__(self, url: str, *, connections: int = 10, wait: float = 5.0) -> None:
        self.url = _parse(url)
        self.engine = _engine(self.url, connections, wait)
        # SQLite has one writer. Those of this process queue here, in order and without blocking a thread
        # each; those of other processes wait in SQLite, for as long as its busy timeout.
        self._writer = asyncio.Lock() if self.url.get_backend_name() == "sqlite" else None
        self._wait = wait

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncConnection]:
        """Open a transaction that only reads; several statements in it see one state on SQLite.

        Raises:
            Unavailable: There is no free connection in time, or no database.
        """
        async with AsyncExitStack() as stack:
            yield await self._begin(stack, write=False)

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncConnection]:
        """Open a transaction that writes: committed when the block ends, undone when it raises.

        Raises:
            Unavailable: There is no free connection or no turn to write in time, or no database.
        """
        async with AsyncExitStack() as stack:
            if self._writer is not None:
                await self._take_turn(self._writer)
                stack.callback(self._writer.release)
            yield await self._begin(stack, write=True)

    async def create_tables(self) -> None:
        """Create the tables and indexes that do not exist yet."""
        async with self.write() as connection:
            if self.url.get_backend_name() == "postgresql":  # two workers may start at the same moment
                await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})
            await connection.run_sync(metadata.create_all)
            await connection.run_sync(identity.create_all)

    async def drop_tables(self) -> None:
        """Drop the tables and everything in them."""
        async with self.write() as connection:
            await connection.run_sync(identity.drop_all)
            await connection.run_sync(metadata.drop_all)

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()

    async def _take_turn(self, writer: asyncio.Lock) -> None:
        try:
            async with asyncio.timeout(self._wait):
                await writer.acquire()
        except TimeoutError as error:
            raise Unavailable("The database is busy.", headers={"Retry-After": "1"}) from error

    async def _begin(self, stack: AsyncExitStack, *, write: bool) -> AsyncConnection:
        try:
            connection = await stack.enter_async_context(self.engine.connect())
            if write:
                await connection.execution_options(storefront_write=True)
            await stack.enter_async_context(connection.begin())
        except (OperationalError, PoolTimeout, OSError) as error:
            raise Unavailable("The database cannot be reached.", headers={"Retry-After": "1"}) from error
        return connection


def _parse(text_url: str) -> URL:
    try:
        url = make_url(text_url)
    except ArgumentError:
        raise ConfigurationError(
            "database URL: it cannot be read; write it like 'sqlite:///shop.sqlite3' or 'postgresql://user@host/name'."
        ) from None
    url = url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))
    if url.drivername not in _DRIVERS.values():
        raise ConfigurationError(
            f"database URL {url.render_as_string()!r}: {url.drivername!r} is not supported; "
            "use 'sqlite:///FILE' or 'postgresql://USER@HOST/NAME'."
        )
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise ConfigurationError(
            f"database URL {text_url!r}: each connection would see an empty database of its own; "
            "name a file, as in 'sqlite:///shop.sqlite3'."
        )
    if url.database is not None and url.get_backend_name() == "sqlite" and not Path(url.database).parent.is_dir():
        raise ConfigurationError(
            f"database URL {text_url!r}: there is no folder {str(Path(url.database).parent)!r}; create it first."
        )
    return url


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


def _engine(url: URL, connections: int, wait: float) -> AsyncEngine:
    postgres = url.get_backend_name() == "postgresql"
    engine = create_async_engine(url, pool_size=connections, max_overflow=0, pool_timeout=wait, pool_pre_ping=postgres)
    if postgres:
        return engine
    milliseconds = int(wait * 1_000)

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, entry: ConnectionPoolEntry) -> None:  # noqa: ARG001
        # The driver must not begin transactions of its own: it would begin them too late, with the first
        # write, and a transaction that read before fails there when another one has written meanwhile.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {milliseconds}")
        _use_wal(cursor)
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @event.listens_for(engine.sync_engine, "invalidate")
    def undo(connection: Any, entry: ConnectionPoolEntry, error: BaseException | None) -> None:  # noqa: ARG001
        # A call that is cancelled while a statement runs has its connection closed. As long as anything, if
        # only the traceback, still holds the cursor, SQLite keeps a closed connection's transaction, and its lock
        # with it. So the transaction ends first; the driver's one thread does that once the statement is done.
        if in_greenlet():
            with suppress(sqlite3.Error):
                connection.rollback()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("storefront_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine
