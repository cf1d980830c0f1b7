"""Gives a service its Redis: resources and readiness."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any, Protocol

from seawall.data.redis.connections import Connections
from seawall.problems import ConfigurationError

__all__ = ["redis"]

logger = logging.getLogger("seawall.data")


class _Composition(Protocol):
    """What is needed of a `Service`."""

    name: str

    @property
    def settings(self) -> Any: ...

    @property
    def resource(self) -> Any: ...

    @property
    def check(self) -> Any: ...


def redis(service: _Composition) -> None:
    """Give *service* the Redis that ``SEAWALL_REDIS_URL`` names.

    Operations and resources may take, by their types: `redis.asyncio.Redis` (the client; a `RedisCluster` has the same
    commands) and `Connections` (for further URLs). ``/health/ready`` passes while it answers.

    Raises:
        ConfigurationError: The driver is not installed.
    """
    try:
        from redis.asyncio import Redis  # noqa: PLC0415 - of an extra
    except ModuleNotFoundError:
        raise ConfigurationError(
            "Redis needs its driver, which is not installed; install it with: pip install 'seawall[redis]'."
        ) from None

    async def connections() -> AsyncIterator[Connections]:
        """Connect, and close in the end."""
        settings = service.settings.redis
        opened = Connections(settings, name=service.name)
        try:
            try:
                await opened.start()
            except ConfigurationError as error:
                if settings.require:
                    raise
                logger.warning("%s", error)
            yield opened
        finally:
            await opened.close()

    def client(connections: Connections) -> Any:
        """Return the client for the settings' own URL."""
        return connections.get()

    async def ping(connections: Connections) -> None:
        await connections.ping()

    service.resource(connections)
    service.resource(provides=Redis)(client)
    service.check(name="redis")(ping)
