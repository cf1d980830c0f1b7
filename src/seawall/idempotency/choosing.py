"""Chooses where a service keeps its answers."""

from __future__ import annotations

import logging
import sys
from typing import Any

from seawall.idempotency.keeper import Count, IdempotencyOptions, Keeper
from seawall.idempotency.memory import MemoryStore
from seawall.idempotency.store import Store
from seawall.problems import ConfigurationError

__all__ = ["keeper_of"]

logger = logging.getLogger("seawall.idempotency")


def keeper_of(service: Any) -> Keeper:
    """Return the keeper that the settings of *service* (a `Service`) describe.

    Raises:
        ConfigurationError: There is no address, or a driver is not installed.
    """
    settings = service.settings
    options = IdempotencyOptions(**settings.idempotency.model_dump())
    data = sys.modules.get("seawall.data.database")  # who has given the service a database has imported it
    shared = None if data is None else _given(service, data.Database)
    redis = "url" in settings.redis.model_fields_set
    name: str = options.store
    if name == "auto":
        named = "url" in settings.database.model_fields_set
        name = "database" if shared is not None or named else "redis" if redis else "memory"
    if name == "redis" and not redis:
        raise ConfigurationError(
            'idempotency.store = "redis": there is no address; set SEAWALL_REDIS_URL=redis://HOST:6379/0, '
            "or choose another store."
        )
    if name == "memory" and service.host.slots > 1:
        logger.warning(
            "idempotency keys are kept in the memory of each worker, so the same request sent to two workers is done "
            "twice; set SEAWALL_DATABASE_URL or SEAWALL_REDIS_URL."
        )

    def connect() -> Store:
        if name == "database":
            return _database(service, shared)
        if name == "redis":
            from seawall.data.redis.connections import Connections  # noqa: PLC0415 - an extra
            from seawall.idempotency.redis import RedisStore  # noqa: PLC0415 - as above

            return RedisStore(Connections(settings.redis, name=service.name))
        return MemoryStore(service.clock, options.max_keys)

    session = data.Session if data is not None and shared is not None and name == "database" else None
    return Keeper(
        service.name, service.clock, service.random, name, connect, session, show_idempotency(service.metrics)
    )


def show_idempotency(metrics: Any) -> Count:
    """Show what becomes of calls with a key among *metrics*, exact over all workers; return what counts them."""
    counter = metrics.counter(
        "seawall_idempotency_calls",
        "Calls with an idempotency key, by what became of them.",
        labels=("operation", "outcome"),
    )
    return lambda operation, outcome: counter.add(operation=operation, outcome=outcome)


def _given(service: Any, database: type) -> type | None:
    """Return the type of the database that the service works with: *database*, or the one class made from it."""
    types = [kind for kind in service.resources.types if isinstance(kind, type) and issubclass(kind, database)]
    return database if database in types else types[0] if len(types) == 1 else None


def _database(service: Any, shared: type | None) -> Store:
    try:
        from seawall.data.database import Database  # noqa: PLC0415 - an extra
        from seawall.idempotency.sql import SqlStore  # noqa: PLC0415 - as above
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f'idempotency.store = "database" needs {error.name!r}, which is not installed; '
            "install it with: pip install 'seawall[sql]'."
        ) from None
    if shared is not None:
        return SqlStore(service.resources.values[shared], service.clock)
    own = Database(service.settings.database, name=service.name, clock=service.clock, random=service.random)
    return SqlStore(own, service.clock, owned=True)
