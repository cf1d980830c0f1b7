"""Tests that leave nothing behind."""

from __future__ import annotations

import asyncio

import pytest

from seawall.concurrency import KeyedLocks
from seawall.testing.fixtures import anyio_backend, no_leaks

__all__ = ["anyio_backend", "no_leaks"]

pytestmark = pytest.mark.anyio

# region: test
locks: KeyedLocks[str] = KeyedLocks()


async def move(first: str, second: str) -> None:
    """Take two locks, always in the same order: otherwise two of these could wait for each other for ever."""
    one, other = sorted((first, second))
    async with locks.hold(one), locks.hold(other):
        await asyncio.sleep(0)


@pytest.mark.usefixtures("no_leaks")
async def test_moves_both_ways() -> None:
    """Without the sorting this fails, and says which task waits for which, where."""
    await asyncio.gather(*[move("a", "b") for _ in range(10)], *[move("b", "a") for _ in range(10)])


# endregion
