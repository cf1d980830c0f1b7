"""Data: SQL databases and Redis as resources.

The names of SQL are imported when they are first used, so that those who only want Redis need no SQLAlchemy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from seawall.data.problems import (
    CommitUnknown,
    DatabaseUnavailable,
    Duplicate,
    InvalidCursor,
    PoolExhausted,
    SerializationFailed,
    VersionConflict,
    VersionMismatch,
)
from seawall.problems import ConfigurationError

if TYPE_CHECKING:
    from seawall.data.database import Database, ReadSession, Session
    from seawall.data.gauges import show_pools
    from seawall.data.keyset import Key, Keyset, KeysetPage
    from seawall.data.slots import Holder, PoolObserver, PoolStats
    from seawall.data.statements import StatementObserver
    from seawall.data.wiring import sql

__all__ = [
    "CommitUnknown",
    "Database",
    "DatabaseUnavailable",
    "Duplicate",
    "Holder",
    "InvalidCursor",
    "Key",
    "Keyset",
    "KeysetPage",
    "PoolExhausted",
    "PoolObserver",
    "PoolStats",
    "ReadSession",
    "SerializationFailed",
    "Session",
    "StatementObserver",
    "VersionConflict",
    "VersionMismatch",
    "show_pools",
    "sql",
]

_PLACES = {
    "Database": "database",
    "Holder": "slots",
    "Key": "keyset",
    "Keyset": "keyset",
    "KeysetPage": "keyset",
    "PoolObserver": "slots",
    "PoolStats": "slots",
    "ReadSession": "database",
    "show_pools": "gauges",
    "Session": "database",
    "StatementObserver": "statements",
    "sql": "wiring",
}


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(f"{__name__}.{place}"), name)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"seawall.data.{name} needs {error.name!r}, which is not installed; "
            "install it with: pip install 'seawall[sql]'."
        ) from None
