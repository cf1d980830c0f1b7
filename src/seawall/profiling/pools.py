"""Pools of database connections: who holds one, for which call and since when, and how many wait."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from seawall.data.slots import PoolStats, Slots

__all__ = ["HolderView", "PoolView", "describe_pools", "pool_lines"]


@dataclass(frozen=True, slots=True)
class HolderView:
    """Who holds a connection; both names are empty outside of calls."""

    operation: str
    request_id: str
    seconds: float


@dataclass(frozen=True, slots=True)
class PoolView:
    """A pool of which connections are held or waited for.

    Args:
        name: ``primary`` or ``read``.
        size: How many connections there may be.
        waiting: How many calls wait for one.
        holders: Who holds one, longest first.
    """

    name: str
    size: int
    waiting: int
    holders: tuple[HolderView, ...]


def describe_pools(pools: Iterable[Slots], now: float) -> tuple[PoolView, ...]:
    """Return those of *pools* that anybody uses at *now*; on their event loop."""
    return tuple(_views((pool.stats(0) for pool in pools), now))


def _views(pools: Iterable[PoolStats], now: float) -> Iterator[PoolView]:
    for pool in pools:
        if pool.holders or pool.waiting:
            holders = tuple(HolderView(each.operation, each.request_id, now - each.since) for each in pool.holders)
            yield PoolView(pool.name, pool.size, pool.waiting, holders)


def pool_lines(pools: Iterable[PoolView]) -> Iterator[str]:
    """Yield lines for reading."""
    for pool in pools:
        yield ""
        yield f"Database connections ({pool.name}): {len(pool.holders)} of {pool.size} held, {pool.waiting} waiting"
        for each in pool.holders:
            who = f"operation {each.operation}, request {each.request_id}" if each.operation else "no call"
            yield f"    held for {each.seconds:.3f} s by {who}"
