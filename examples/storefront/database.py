"""The database: Seawall's, with the shop's tables in it."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import text

from seawall import data
from seawall.auth.sql import metadata as identity
from seawall.idempotency.sql import metadata as idempotency
from seawall.settings import DatabaseSettings
from storefront.tables import metadata

__all__ = ["DEFAULT_URL", "Database", "database_url"]

DEFAULT_URL = "sqlite+aiosqlite:///storefront.sqlite3"
_SCHEMA_LOCK = 0x73746F7265  # any number of our own; "store" in ASCII


def database_url(environ: Mapping[str, str]) -> str:
    """Return the URL that *environ* names, or that of a file in the working directory.

    ``STOREFRONT_DATABASE_URL`` is the storefront's own and goes before ``SEAWALL_DATABASE_URL``.
    """
    return environ.get("STOREFRONT_DATABASE_URL") or environ.get("SEAWALL_DATABASE_URL") or DEFAULT_URL


class Database(data.Database):
    """The shop's database.

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
        settings = DatabaseSettings(url=url, pool_size=connections, pool_wait=wait, busy_timeout=wait)
        super().__init__(settings, name="storefront")

    async def create_tables(self) -> None:
        """Create the tables and indexes that do not exist yet."""
        async with self.write() as connection:
            if self.url.get_backend_name() == "postgresql":  # two workers may start at the same moment
                await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})
            await connection.run_sync(metadata.create_all)
            await connection.run_sync(identity.create_all)
            await connection.run_sync(idempotency.create_all)

    async def drop_tables(self) -> None:
        """Drop the tables and everything in them."""
        async with self.write() as connection:
            await connection.run_sync(identity.drop_all)
            await connection.run_sync(idempotency.drop_all)
            await connection.run_sync(metadata.drop_all)
