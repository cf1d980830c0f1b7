"""Database: connections to one SQL database, a bounded number at a time, and sessions that commit or leave no trace."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any, TypeVar

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from seawall.clock import Clock, Random, SystemClock, SystemRandom
from seawall.data.backend import Backend, Failure, backend_of, parse_url, shown_url
from seawall.data.errors import problem_of
from seawall.data.pool import SlotPool, Target, Targets
from seawall.data.problems import DatabaseUnavailable, SerializationFailed
from seawall.data.slots import PoolObserver, PoolStats, Slots
from seawall.data.spans import SqlSpans
from seawall.data.statements import StatementObserver, Statements
from seawall.problems import ConfigurationError
from seawall.settings import DatabaseSettings
from seawall.spans import recorder

__all__ = ["Database", "ReadSession", "Session"]

T = TypeVar("T")

Session = AsyncSession
"""SQLAlchemy's own: one transaction, committed once the operation has returned and before its answer is sent."""


class ReadSession(AsyncSession):
    """A session that only reads: it goes to a replica where there is one, and a write in it is refused."""


class Database:
    """Connections to one SQL database.

    Two pools: ``primary``, and ``read`` for what only reads, where that is another one: for replicas, and for SQLite,
    which has one writer and any number of readers. A connection is taken when the first statement runs, not before.

    Args:
        settings: Where it is, and what it may cost.
        name: What the server calls its connections.
        development: Whether to watch for statements that are run again and again.
        duplicates: Whether a value that is there already (a unique constraint) is answered with 409 `Duplicate`.
        clock: What time it is.
        random: Chance.

    Raises:
        ConfigurationError: A URL cannot be used, or a driver is not installed.
    """

    def __init__(
        self,
        settings: DatabaseSettings,
        *,
        name: str = "seawall",
        development: bool = False,
        duplicates: bool = False,
        clock: Clock | None = None,
        random: Random | None = None,
    ) -> None:
        self.settings = settings
        self.url = parse_url(settings.url)
        self.backend: Backend = backend_of(self.url)
        self._name = name
        self._duplicates = duplicates
        self._clock: Clock = clock or SystemClock()
        self._random: Random = random or SystemRandom()
        self._spans = SqlSpans(self.url)
        self._statements = Statements(
            settings.slow_statement, settings.repeated_statements if development else 0, self._clock, self._spans
        )
        replicas = [parse_url(url) for url in settings.replica_urls]
        if any(backend_of(url) is not self.backend or self.backend.single_writer for url in replicas):
            raise ConfigurationError(
                f"database replica_urls: they must be servers of the same kind as {shown_url(self.url)!r}, no files."
            )
        size = settings.pool_size
        self.engine = self._engine("primary", [Target(self.url)], 1 if self.backend.single_writer else size)
        self.read_engine = self.engine
        if replicas or self.backend.single_writer:
            targets = [*(Target(url) for url in replicas), Target(self.url, fallback=bool(replicas))]
            self.read_engine = self._engine("read", targets, size, read_only=True)
        own = {"postgresql_readonly": True} if self.backend.name == "postgresql" else {}
        self._reading = self.read_engine.execution_options(seawall_read=True, **own)
        self._session = async_sessionmaker(self.engine, expire_on_commit=False)
        self._read_session = async_sessionmaker(self._reading, class_=ReadSession, expire_on_commit=False)

    # -- transactions

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """Open a session: committed when the block ends, undone when it raises or is cancelled.

        Raises:
            PoolExhausted: No connection became free in time.
            DatabaseUnavailable: The database cannot be reached, or went away; nothing was kept.
            CommitUnknown: It went away during the commit.
            SerializationFailed: Others changed the same data at the same time.
            VersionConflict: A row with a version (``version_id_col``) was changed meanwhile.
            DeadlineExceeded: The server ended a statement for its time limit.
        """
        session = self._session()
        committing = False
        try:
            yield session
            if session.in_transaction():
                committing = True
                await session.commit()
        except Exception as error:
            raise self._translated(error, committing=committing) from error
        finally:
            if session.in_transaction():
                await session.close()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[ReadSession]:
        """Open a session that only reads, at a replica where there is one; nothing is committed.

        Raises:
            Problem: As `session`.
        """
        session = self._read_session()
        try:
            yield session
        except Exception as error:
            raise self._translated(error) from error
        finally:
            if session.in_transaction():
                await session.close()

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction without the ORM: committed when the block ends, undone when it raises.

        Raises:
            Problem: As `session`.
        """
        committing = False
        try:
            async with self.engine.connect() as connection:
                await connection.begin()
                yield connection
                committing = True
                await connection.commit()
        except Exception as error:
            raise self._translated(error, committing=committing) from error

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that only reads, without the ORM, at a replica where there is one.

        Raises:
            Problem: As `session`.
        """
        try:
            async with self._reading.connect() as connection:
                await connection.begin()
                yield connection
        except Exception as error:
            raise self._translated(error) from error

    @asynccontextmanager
    async def driver(self, *, read: bool = False) -> AsyncIterator[Any]:
        """Lend the driver's own connection (asyncpg's, say) from the same pool: no SQLAlchemy, no transaction.

        Each statement is a transaction of its own, unless you begin one and end it. The fast path for what is hot.

        Args:
            read: Whether to use the pool of what only reads.

        Raises:
            Problem: As `session`.
        """
        try:
            async with self._pool(self.read_engine if read else self.engine).driver(self._watched) as connection:
                yield connection
        except Exception as error:
            raise self._translated(error) from error

    async def transact(self, function: Callable[[AsyncSession], Awaitable[T]], *, retries: int = 3) -> T:
        """Run *function* in a session of its own, again when others changed the same data at the same time.

        For work outside of operations; those say ``retry_serialization=3``. It must do nothing but its session's work.

        Raises:
            SerializationFailed: It did not come through with so many retries.
            Problem: As `session`.
        """
        for attempt in range(retries):
            try:
                async with self.session() as session:
                    return await function(session)
            except SerializationFailed:
                await self._clock.sleep(self._random.random() * 0.01 * 2**attempt)
        async with self.session() as session:
            return await function(session)

    # -- its life

    async def start(self) -> None:
        """Connect once.

        Raises:
            ConfigurationError: It cannot be reached, or refuses; the message says what to do and shows no password.
        """
        for engine in dict.fromkeys((self.engine, self.read_engine)):
            try:
                async with self._pool(engine).driver():
                    pass
            except DatabaseUnavailable as error:
                raise self._not_started(error) from error

    async def ping(self) -> None:
        """Ask the primary for nothing.

        Raises:
            Problem: It does not answer.
        """
        async with self.reading_primary() as connection:
            await connection.exec_driver_sql("SELECT 1")

    @asynccontextmanager
    async def reading_primary(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that reads at the primary; where that has one writer only, beside it."""
        engine = self.read_engine if self.backend.single_writer else self.engine
        try:
            async with engine.connect() as connection:
                yield connection
        except Exception as error:
            raise self._translated(error) from error

    async def close(self) -> None:
        """Close every connection that is free."""
        for engine in dict.fromkeys((self.engine, self.read_engine)):
            await engine.dispose()

    # -- what there is to see

    def stats(self) -> tuple[PoolStats, ...]:
        """Return the numbers of the pools: ``primary``, and ``read`` where that is another one."""
        return tuple(self._pool(engine).stats() for engine in dict.fromkeys((self.engine, self.read_engine)))

    def observe(self, *, pool: PoolObserver | None = None, statements: StatementObserver | None = None) -> None:
        """Tell observers, from now on, what happens to pools and statements."""
        if pool is not None:
            for engine in dict.fromkeys((self.engine, self.read_engine)):
                self._pool(engine).slots.observers.append(pool)
        if statements is not None:
            self._statements.observers.append(statements)

    # -- within

    def _engine(self, name: str, targets: list[Target], size: int, *, read_only: bool = False) -> AsyncEngine:
        settings = self.settings
        slots = Slots(name, size, settings.pool_queue, settings.pool_wait, self._clock)
        options = dict(self.backend.options(settings, self._name))
        arguments = options.get("connect_args", {})
        engine = create_async_engine(
            self.url,
            poolclass=SlotPool.of(slots, self.backend, self._clock),
            pool_recycle=int(settings.recycle),
            hide_parameters=True,
            **options,
        )
        servers = Targets(targets, settings.replica_retry, self._clock)

        @event.listens_for(engine.sync_engine, "do_connect")
        def connect(dialect: Any, record: Any, _: Any, __: Any) -> Any:
            return servers.connect(dialect, record, arguments)

        self.backend.prepare(engine.sync_engine, settings, read_only=read_only)
        self._statements.watch(engine.sync_engine)
        self._spans.watch_commits(engine.sync_engine.dialect)
        return engine

    def _watched(self, record: Any) -> AbstractContextManager[None] | None:
        spans = recorder()
        if spans is None:
            return None
        target = record.info.get("seawall_target")
        return self._spans.watch_driver(self.backend.watch_driver, spans, record.driver_connection, target)

    def _pool(self, engine: AsyncEngine) -> SlotPool:
        pool = engine.sync_engine.pool
        assert isinstance(pool, SlotPool)  # noqa: S101 - made by `_engine`
        return pool

    def _translated(self, error: Exception, *, committing: bool = False) -> Exception:
        return problem_of(error, self.backend, duplicates=self._duplicates, committing=committing) or error

    def _not_started(self, error: DatabaseUnavailable) -> ConfigurationError:
        cause = error.__cause__ or error
        cause = getattr(cause, "orig", None) or cause
        shown = f"database {shown_url(self.url)!r} (SEAWALL_DATABASE_URL)"
        reason = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
        password = self.url.password
        if password:
            reason = reason.replace(str(password), "***")
        if self.backend.classify(cause) is Failure.REFUSED:
            return ConfigurationError(
                f"{shown}: the server refuses: {reason}. Correct the URL, or create what is missing."
            )
        return ConfigurationError(
            f"{shown}: it cannot be reached: {reason}. Start it or correct the URL; with "
            "SEAWALL_DATABASE_REQUIRE=false the service starts without it, and is ready once it answers."
        )
