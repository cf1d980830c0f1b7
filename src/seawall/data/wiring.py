"""Gives a service its database: resources, readiness, migrations."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any, Protocol

from sqlalchemy import MetaData

from seawall.clock import Clock, Random
from seawall.data.database import Database, ReadSession, Session
from seawall.data.gauges import show_pools
from seawall.data.slots import PoolStats
from seawall.problems import ConfigurationError

__all__ = ["Composition", "Sql", "sql"]

logger = logging.getLogger("seawall.data")


class Composition(Protocol):
    """What is needed of a `Service`."""

    name: str
    clock: Clock
    random: Random

    @property
    def settings(self) -> Any:
        """Its settings."""
        ...

    @property
    def resource(self) -> Any:
        """Declares resources."""
        ...

    @property
    def check(self) -> Any:
        """Declares checks of its health."""
        ...

    @property
    def metrics(self) -> Any:
        """Shows numbers."""
        ...


class Sql:
    """The database of one service, before it starts.

    Args:
        service: The service.
        metadata: The tables, for migrations.
        duplicates: See `sql`.
    """

    def __init__(self, service: Composition, metadata: MetaData | None, *, duplicates: bool) -> None:
        self._service = service
        self._duplicates = duplicates
        self.metadata = metadata
        self._running: Database | None = None

    def connect(self) -> Database:
        """Return the database that the settings name, not yet connected."""
        service = self._service
        return Database(
            service.settings.database,
            name=service.name,
            development=service.settings.service.environment == "development",
            duplicates=self._duplicates,
            clock=service.clock,
            random=service.random,
        )

    async def database(self) -> AsyncIterator[Database]:
        """Connect, look whether migrations are missing, and close in the end."""
        database = self.connect()
        try:
            await self._begin(database)
            self._running = database
            yield database
        finally:
            self._running = None
            await database.close()

    async def session(self, database: Database) -> AsyncIterator[Session]:
        """Open a session for one call; see `Database.session`."""
        async with database.session() as session:
            yield session

    async def read_session(self, database: Database) -> AsyncIterator[ReadSession]:
        """Open a session for one call that only reads; see `Database.reading`."""
        async with database.reading() as session:
            yield session

    def pools(self) -> tuple[PoolStats, ...]:
        """Return how the pools are; none before the database has started and after its end."""
        return self._running.stats() if self._running is not None else ()

    async def _begin(self, database: Database) -> None:
        try:
            await database.start()
        except ConfigurationError as error:
            if database.settings.require:
                raise
            logger.warning("%s", error)
            return
        if database.settings.migrations_check != "off":
            from seawall.data.migrations import check_at_start  # noqa: PLC0415 - imports Alembic where it is used

            await check_at_start(database)


def sql(service: Composition, *, metadata: MetaData | None = None, duplicates: bool = False) -> Sql:
    """Give *service* the SQL database that ``SEAWALL_DATABASE_URL`` names: a file of SQLite by default.

    Operations and resources may take, by their types: `Session` (a transaction, committed before the answer is sent),
    `ReadSession` (which only reads, at a replica where there is one) and `Database`. ``/health/ready`` passes while
    it answers.

    Args:
        service: The service.
        metadata: The tables (``Base.metadata``), for ``seawall db revision`` and ``seawall db check``.
        duplicates: Whether a value that is there already (a unique constraint) is answered with 409 `Duplicate`
            instead of being an error.
    """
    made = Sql(service, metadata, duplicates=duplicates)
    service.resource(made.database)
    service.resource(scope="call")(made.session)
    service.resource(scope="call")(made.read_session)

    async def ping(database: Database) -> None:
        await database.ping()

    service.check(name="database")(ping)
    show_pools(service.metrics, made.pools)
    return made
