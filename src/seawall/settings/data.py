"""Settings of the databases: SQL and Redis. Every limit is finite."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from seawall.settings.table import Seconds, Table

__all__ = ["DatabaseSettings", "RedisSettings"]

_DAY = 24 * 60 * 60


class DatabaseSettings(Table, table="database", env_prefix="SEAWALL_DATABASE_"):
    """The SQL database, and what its connections may cost. Each worker has a pool of its own."""

    url: str = Field(
        default="sqlite:///seawall.sqlite3",
        max_length=2048,
        description="Where it is: `sqlite:///FILE`, `postgresql://USER:PASSWORD@HOST/NAME` or "
        "`mysql://USER:PASSWORD@HOST/NAME` (MariaDB too).",
    )
    replica_urls: tuple[str, ...] = Field(
        default=(), description="Read replicas; sessions that only read go there, and to `url` while none answers."
    )
    pool_size: int = Field(default=10, ge=1, le=1000, description="Most connections at once, per worker and pool.")
    pool_wait: Seconds = Field(
        default=5.0,
        gt=0,
        le=_DAY,
        description="How long a call may wait for a connection, within its own deadline; then 503.",
    )
    pool_queue: int = Field(
        default=1000,
        ge=0,
        le=1_000_000,
        description="How many calls may wait for one at once; the next gets 503.",
    )
    connect_timeout: Seconds = Field(default=3.0, gt=0, le=_DAY, description="How long connecting may take.")
    recycle: Seconds = Field(default=1800.0, gt=0, le=_DAY, description="Age at which a connection is renewed.")
    replica_retry: Seconds = Field(
        default=10.0, gt=0, le=_DAY, description="How long a server that did not answer is left alone."
    )
    statement_timeout: Seconds = Field(
        default=30.0,
        gt=0,
        le=_DAY,
        description="How long the server itself lets a statement run (PostgreSQL, MariaDB): the net below deadlines.",
    )
    busy_timeout: Seconds = Field(
        default=5.0, gt=0, le=_DAY, description="How long SQLite waits for the writer of another process; then 503."
    )
    slow_statement: Seconds = Field(
        default=0.5, ge=0, le=_DAY, description="Statements that take longer are logged, without values; 0 logs none."
    )
    repeated_statements: int = Field(
        default=5,
        ge=0,
        le=10_000,
        description="In development: how often one call may run a statement before a warning names it; 0 never.",
    )
    require: bool = Field(
        default=True,
        description="Whether the service refuses to start without it; if not, it is ready once it answers.",
    )
    migrations: str = Field(
        default="migrations", min_length=1, max_length=1024, description="The folder of Alembic migrations."
    )
    migrations_check: Literal["refuse", "warn", "off"] = Field(
        default="refuse",
        description="What a start does when migrations of that folder were not applied. A database that is ahead of "
        "the code, as in a rolling release, is only ever warned of.",
    )


class RedisSettings(Table, table="redis", env_prefix="SEAWALL_REDIS_"):
    """Redis or Valkey, and what its connections may cost. Each worker has a pool of its own."""

    url: str = Field(
        default="redis://127.0.0.1:6379/0",
        min_length=1,
        max_length=2048,
        description="Where it is: `redis://`, `rediss://` (TLS), `unix://`, `redis+sentinel://HOST,HOST/SERVICE/DB` or "
        "`redis+cluster://HOST,HOST` (`rediss+…` with TLS).",
    )
    max_connections: int = Field(default=50, ge=1, le=10_000, description="Most connections at once, per worker.")
    pool_wait: Seconds = Field(default=1.0, gt=0, le=_DAY, description="How long to wait for one; then an error.")
    connect_timeout: Seconds = Field(default=2.0, gt=0, le=_DAY, description="How long connecting may take.")
    timeout: Seconds = Field(default=2.0, gt=0, le=_DAY, description="How long an answer may take.")
    retries: int = Field(
        default=2,
        ge=0,
        le=10,
        description="How often a command whose connection broke is sent again; it may have run before.",
    )
    require: bool = Field(
        default=True,
        description="Whether the service refuses to start without it; if not, it is ready once it answers.",
    )
