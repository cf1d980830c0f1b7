"""The pools of a database among the metrics of a service, by OpenTelemetry's names for database clients."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from seawall.data.slots import PoolStats

__all__ = ["show_pools"]

Pools = Callable[[], tuple[PoolStats, ...]]

_POOL_GAUGES: tuple[tuple[str, str, Callable[[PoolStats], float], bool], ...] = (
    ("db_client_connection_max", "Connections a pool may have.", lambda pool: pool.size, False),
    ("db_client_connection_pending_requests", "Calls that wait for a connection.", lambda pool: pool.waiting, False),
    ("db_client_connection_timeouts", "Calls that got none in time.", lambda pool: pool.refused, True),
    ("db_client_connection_takes", "Connections that were taken.", lambda pool: pool.takes, True),
    ("db_client_connection_waits", "Connections that had to be waited for.", lambda pool: pool.waits, True),
    ("db_client_connection_wait_seconds", "Time waited for connections.", lambda pool: pool.wait_seconds, True),
    ("db_client_connection_use_seconds", "Time connections were held.", lambda pool: pool.held_seconds, True),
)


def show_pools(metrics: Any, pools: Pools) -> None:
    """Show pools among *metrics*; `sql` does it for the database it gives a service.

    Args:
        metrics: ``service.metrics``.
        pools: Returns how the pools are, such as `Database.stats`; nothing while there is no database.
    """

    def by_state() -> dict[tuple[str, ...], float]:
        states = [(pool.name, (("used", pool.in_use), ("idle", pool.idle))) for pool in pools()]
        return {(name, state): count for name, counts in states for state, count in counts}

    metrics.gauge("db_client_connection_count", "Connections of a pool, by state.", by_state, labels=("pool", "state"))
    for name, text, read, total in _POOL_GAUGES:
        metrics.gauge(name, text, functools.partial(_by_pool, pools, read), labels=("pool",), total=total)


def _by_pool(pools: Pools, read: Callable[[PoolStats], float]) -> dict[str, float]:
    return {pool.name: read(pool) for pool in pools()}
