"""Chooses where a service keeps its answers."""

from __future__ import annotations

import logging
import sys
from typing import Any

from seawall.idempotency.keeper import IdempotencyOptions, Keeper
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
    shared = data is not None and data.Database in service.resources.types
    redis = "url" in settings.redis.model_fields_set
    name: str = options.store
    if name == "auto":
        named = "url" in settings.database.model_fields_set
        name = "database" if shared or named else "redis" if redis else "memory"
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
            return _database(service, shared=shared)
        if name == "redis":
            from seawall.data.redis.connections import Connections  # noqa: PLC0415 - an extra
            from seawall.idempotency.redis import RedisStore  # noqa: PLC0415 - as above

            return RedisStore(Connections(settings.redis, name=service.name))
        return MemoryStore(service.clock, options.max_keys)

    session = data.Session if data is not None and shared and name == "database" else None
    return Keeper(service.name, service.clock, service.random, name, connect, session)


def _database(service: Any, *, shared: bool) -> Store:
    try:
        from seawall.data.database import Database  # noqa: PLC0415 - an extra
        from seawall.idempotency.sql import SqlStore  # noqa: PLC0415 - as above
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f'idempotency.store = "database" needs {error.name!r}, which is not installed; '
            "install it with: pip install 'seawall[sql]'."
        ) from None
    if shared:
        return SqlStore(service.resources.values[Database], service.clock)
    own = Database(service.settings.database, name=service.name, clock=service.clock, random=service.random)
    return SqlStore(own, service.clock, owned=True)
