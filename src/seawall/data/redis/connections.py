"""Connections to Redis, by URL: single servers, TLS, sentinel, cluster; every wait and every retry is bounded.

A connection that the server closed while it rested is noticed before it is used and opened anew. A command whose
connection breaks is sent again, at most `RedisSettings.retries` times: it may then run twice, so what counts must be
written as a step that may. An answer that is late is an error, and not asked for again.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote, urlsplit

from seawall.problems import ConfigurationError
from seawall.settings import RedisSettings
from seawall.settings.errors import without_passwords

if TYPE_CHECKING:
    from redis.asyncio import Redis, RedisCluster

__all__ = ["Connections", "RedisClient", "connect", "server_time", "shown"]

RedisClient: TypeAlias = "Redis | RedisCluster"

_SCHEMES = (
    "redis",
    "rediss",
    "unix",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
)
_FIX = (
    "write it like 'redis://host:6379/0', 'rediss://…' (TLS), 'redis+sentinel://a,b/NAME/0' or 'redis+cluster://a,b'."
)
_TRUTHS = {"true": True, "false": False}
HEALTH_CHECK_SECONDS = 30
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.5


def shown(url: str) -> str:
    """Return *url* as it may stand in a message: no user, no password, no options."""
    return without_passwords(url.partition("?")[0])


def connect(settings: RedisSettings, *, name: str = "seawall") -> Any:
    """Return a client for the server or servers that *settings* name; nothing is connected yet.

    Args:
        settings: Where, and within which limits.
        name: What the server calls its connections (``CLIENT SETNAME``).

    Returns:
        A `redis.asyncio.Redis`, or a `RedisCluster` for a cluster; what it answers is bytes.

    Raises:
        ConfigurationError: The URL cannot be used, or the driver is not installed.
    """
    try:
        import redis.asyncio as driver  # noqa: PLC0415 - of an extra
    except ModuleNotFoundError:
        raise ConfigurationError(
            "Redis needs its driver, which is not installed; install it with: pip install 'seawall[redis]'."
        ) from None
    url = settings.url
    scheme = url.partition("://")[0]
    if scheme not in _SCHEMES:
        raise ConfigurationError(f"Redis URL {shown(url)!r}: {_FIX}")
    from seawall.data.redis.traced import TracedRedis  # noqa: PLC0415 - as above

    options = _options(settings, name)
    try:
        if scheme.endswith("+sentinel"):
            return _sentinel(driver, url, options)
        if scheme.endswith("+cluster"):
            return _cluster(url, settings, options)
        pool = driver.BlockingConnectionPool.from_url(
            url, max_connections=settings.max_connections, timeout=settings.pool_wait, **options
        )
        return TracedRedis.from_pool(pool)
    except ConfigurationError:
        raise
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"Redis URL {shown(url)!r}: {without_passwords(str(error))}; {_FIX}") from None


def _options(settings: RedisSettings, name: str) -> dict[str, Any]:
    from redis.asyncio.retry import Retry  # noqa: PLC0415 - as above
    from redis.backoff import ExponentialWithJitterBackoff  # noqa: PLC0415 - as above
    from redis.exceptions import ConnectionError as Broken  # noqa: PLC0415 - as above

    pauses = ExponentialWithJitterBackoff(base=FIRST_PAUSE, cap=LONGEST_PAUSE)
    return {
        "client_name": re.sub(r"[^!-~]", "-", name),  # what CLIENT SETNAME takes
        "socket_timeout": settings.timeout,
        "socket_connect_timeout": settings.connect_timeout,
        "socket_keepalive": True,
        "health_check_interval": HEALTH_CHECK_SECONDS,
        "retry": Retry(pauses, settings.retries, supported_errors=(Broken,)),
    }


def _hosts(netloc: str, port: int, url: str) -> list[tuple[str, int]]:
    hosts = []
    for each in netloc.rpartition("@")[2].split(","):
        try:
            parts = urlsplit(f"//{each}")
            hosts.append((parts.hostname or "", parts.port or port))
        except ValueError:
            hosts.append(("", 0))
    if not all(host for host, _ in hosts):
        raise ConfigurationError(f"Redis URL {shown(url)!r}: a host is missing or its port is no number; {_FIX}")
    return hosts


def _account(netloc: str) -> dict[str, str]:
    account, found, _ = netloc.rpartition("@")
    if not found:
        return {}
    user, _, password = account.partition(":")
    given = {"username": unquote(user), "password": unquote(password)}
    return {key: value for key, value in given.items() if value}


def _sentinel(driver: Any, url: str, options: dict[str, Any]) -> Any:
    parts = urlsplit(url)
    service, _, database = parts.path.strip("/").partition("/")
    if not service or (database and not database.isdigit()):
        raise ConfigurationError(f"Redis URL {shown(url)!r}: name the service, as in 'redis+sentinel://a,b/NAME/0'.")
    from seawall.data.redis.traced import TracedRedis  # noqa: PLC0415 - as above

    secure = {"ssl": True} if parts.scheme.startswith("rediss") else {}
    sentinel = driver.Sentinel(
        _hosts(parts.netloc, 26379, url),
        sentinel_kwargs={**options, **secure},
        **{**options, **secure, **_account(parts.netloc), "db": int(database or 0), **_said(parts.query)},
    )
    return sentinel.master_for(service, redis_class=TracedRedis)


def _cluster(url: str, settings: RedisSettings, options: dict[str, Any]) -> Any:
    from redis.asyncio.cluster import ClusterNode  # noqa: PLC0415 - as above

    from seawall.data.redis.traced import TracedCluster  # noqa: PLC0415 - as above

    parts = urlsplit(url)
    if parts.path.strip("/") not in ("", "0"):
        raise ConfigurationError(f"Redis URL {shown(url)!r}: a cluster has no numbered databases; leave it out.")
    return TracedCluster(
        startup_nodes=[ClusterNode(host, port) for host, port in _hosts(parts.netloc, 6379, url)],
        max_connections=settings.max_connections,
        ssl=parts.scheme.startswith("rediss"),
        **{**options, **_account(parts.netloc), **_said(parts.query)},
    )


def _said(query: str) -> dict[str, Any]:
    """Return the options in *query* as the driver reads them: numbers and truth are no texts."""
    from redis.asyncio.connection import parse_url  # noqa: PLC0415 - as above

    found = parse_url(f"redis://?{query}")
    # It knows the options of one server; those of a cluster that are left as texts are yes or no.
    return {name: _TRUTHS.get(value, value) if isinstance(value, str) else value for name, value in found.items()}


class Connections:
    """The clients of one service: one pool for each URL, however many ask.

    Args:
        settings: The limits, and the URL for those who name none.
        name: What the server calls the connections.
    """

    def __init__(self, settings: RedisSettings, *, name: str = "seawall") -> None:
        self._settings = settings
        self._name = name
        self._clients: dict[str, Any] = {}

    def get(self, url: str | None = None) -> Any:
        """Return the client for *url*, or for the settings' own.

        Raises:
            ConfigurationError: The URL cannot be used.
        """
        url = url or self._settings.url
        if url not in self._clients:
            self._clients[url] = connect(self._settings.model_copy(update={"url": url}), name=self._name)
        return self._clients[url]

    async def ping(self) -> None:
        """Ask the settings' own server for nothing; a cluster, whether it is whole enough to answer for its keys.

        Raises:
            redis.exceptions.RedisError: It cannot be reached, or refuses.
        """
        from redis.asyncio import RedisCluster  # noqa: PLC0415 - of an extra
        from redis.exceptions import ClusterDownError  # noqa: PLC0415 - as above

        client = self.get()
        if not isinstance(client, RedisCluster):
            await client.ping()
            return
        told: Any = await client.cluster_info()
        if told["cluster_state"] != "ok":
            raise ClusterDownError(f"the cluster does not answer for all of its keys: {told['cluster_state']}")

    async def start(self) -> None:
        """Ask as `ping` does.

        Raises:
            ConfigurationError: It cannot be reached, or refuses; the message shows no password.
        """
        from redis.exceptions import (  # noqa: PLC0415 - of an extra
            AuthenticationError,
            RedisClusterException,
            RedisError,
            ResponseError,
        )

        where = f"Redis {shown(self._settings.url)!r} (SEAWALL_REDIS_URL)"
        try:
            await self.ping()
        except (AuthenticationError, ResponseError) as error:
            raise ConfigurationError(f"{where}: the server refuses: {_reason(error)}.") from error
        except TypeError as error:
            raise ConfigurationError(f"{where}: an option of the URL is not known: {_reason(error)}.") from error
        except (RedisError, RedisClusterException, OSError) as error:
            raise ConfigurationError(
                f"{where}: it cannot be reached: {_reason(error)}. Start it or correct the URL; with "
                "SEAWALL_REDIS_REQUIRE=false the service starts without it, and is ready once it answers."
            ) from error

    async def close(self) -> None:
        """Close every connection."""
        while self._clients:
            _, client = self._clients.popitem()
            with suppress(OSError):
                await client.aclose()


def _reason(error: Exception) -> str:
    """Return what the driver says, without the objects it prints."""
    return without_passwords(str(error)).partition(" : <")[0].rstrip(". ")


async def server_time(client: Any) -> float:
    """Return the server's clock, in seconds since 1970: the one clock all processes agree on.

    In a cluster it is that of one node.
    """
    answer = await client.time()
    if isinstance(answer, dict):
        answer = next(iter(answer.values()))
    seconds, microseconds = answer
    return float(seconds) + float(microseconds) / 1_000_000
