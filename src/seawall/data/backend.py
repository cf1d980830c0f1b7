"""What differs between databases: the port that `sqlite`, `postgres` and `mysql` implement, chosen by URL."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import make_url
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import ArgumentError

from seawall.data.spans import WatchDriver
from seawall.problems import ConfigurationError
from seawall.settings import DatabaseSettings

__all__ = ["Backend", "Failure", "backend_of", "parse_url", "shown_url"]


class Failure(StrEnum):
    """What a driver's error means to a call."""

    UNREACHABLE = "unreachable"
    SERIALIZATION = "serialization"
    TIMEOUT = "timeout"
    DUPLICATE = "duplicate"
    REFUSED = "refused"
    """Wrong credentials, or no such database: waiting does not help."""


class Backend(Protocol):
    """One kind of database, as its driver behaves."""

    name: str
    single_writer: bool
    """Whether all that write must take turns: they get a pool of one connection."""
    watch_driver: WatchDriver
    """Tells of the statements of a connection that is lent as the driver made it."""

    def options(self, settings: DatabaseSettings, application: str) -> Mapping[str, Any]:
        """Return keyword arguments of the engine."""
        ...

    def prepare(self, engine: Engine, settings: DatabaseSettings, *, read_only: bool) -> None:
        """Listen to what must be done for each connection and transaction."""

    def is_alive(self, connection: Any) -> bool:
        """Whether the driver's *connection* can be used, as far as is known without asking the server."""
        ...

    def is_clean(self, connection: Any) -> bool:
        """Whether no transaction is open on the driver's *connection*."""
        ...

    def classify(self, error: BaseException) -> Failure | None:
        """Return what the driver's *error* means, None when it is the caller's own affair."""
        ...


_DRIVERS = {
    "sqlite": ("sqlite+aiosqlite", "sqlite", "sql"),
    "sqlite+aiosqlite": ("sqlite+aiosqlite", "sqlite", "sql"),
    "postgres": ("postgresql+asyncpg", "postgres", "sql"),
    "postgresql": ("postgresql+asyncpg", "postgres", "sql"),
    "postgresql+asyncpg": ("postgresql+asyncpg", "postgres", "sql"),
    "mysql": ("mysql+aiomysql", "mysql", "mysql"),
    "mariadb": ("mariadb+aiomysql", "mysql", "mysql"),
    "mysql+aiomysql": ("mysql+aiomysql", "mysql", "mysql"),
    "mariadb+aiomysql": ("mariadb+aiomysql", "mysql", "mysql"),
}


def parse_url(text: str) -> URL:
    """Return the URL with its driver named.

    Raises:
        ConfigurationError: It cannot be used; the message says why, and shows no password.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ConfigurationError(
            "database URL: it cannot be read; write it like 'sqlite:///shop.sqlite3', 'postgresql://user@host/name' or "
            "'mysql://user@host/name', with special characters of a password percent-encoded."
        ) from None
    known = _DRIVERS.get(url.drivername)
    if known is None:
        raise ConfigurationError(
            f"database URL {shown_url(url)!r}: {url.drivername!r} is not supported; use 'sqlite:///FILE', "
            "'postgresql://USER@HOST/NAME' or 'mysql://USER@HOST/NAME'."
        )
    if known[1] == "sqlite":
        _check_file(url)
    elif not url.database:
        raise ConfigurationError(f"database URL {shown_url(url)!r}: it names no database; write it behind the host.")
    return url.set(drivername=known[0])


def backend_of(url: URL) -> Backend:
    """Return what is particular to the database *url* leads to.

    Raises:
        ConfigurationError: Its driver is not installed.
    """
    driver, module, extra = _DRIVERS[url.drivername]
    try:
        importlib.import_module(driver.rpartition("+")[2])
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"database URL {shown_url(url)!r}: its driver {error.name!r} is not installed; "
            f"install it with: pip install 'seawall[{extra}]'."
        ) from None
    backend: Backend = importlib.import_module(f"seawall.data.{module}").backend
    return backend


def shown_url(url: URL) -> str:
    """Return *url* as it may stand in a message: without password, driver and options, which may hold one."""
    return url.set(drivername=url.drivername.partition("+")[0], query={}).render_as_string(hide_password=True)


def _check_file(url: URL) -> None:
    if url.database in (None, "", ":memory:"):
        raise ConfigurationError(
            f"database URL {shown_url(url)!r}: each connection would see an empty database of its own; "
            "name a file, as in 'sqlite:///shop.sqlite3'."
        )
    folder = Path(str(url.database)).parent
    if not folder.is_dir():
        raise ConfigurationError(
            f"database URL {shown_url(url)!r}: there is no folder {str(folder)!r}; create it first."
        )
