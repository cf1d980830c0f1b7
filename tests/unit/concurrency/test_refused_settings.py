"""Settings that cannot be are refused where they are written, with the fix."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from seawall.concurrency import (
    Broadcast,
    Channel,
    KeyedLocks,
    Pipeline,
    Processes,
    ReadWriteLock,
    Semaphore,
    Threads,
    WorkerPool,
    batch,
    debounce,
    gather,
    throttle,
)
from seawall.problems import DeclarationError

pytestmark = pytest.mark.anyio


async def work(item: object) -> object:
    return item


COUNTS: dict[str, Callable[[object], object]] = {
    "WorkerPool: workers": lambda value: WorkerPool(work, workers=value),
    "WorkerPool: queue": lambda value: WorkerPool(work, workers=1, queue=value),
    "work: width": lambda value: Pipeline(work, width=value),
    "work: queue": lambda value: Pipeline(work).then(work, queue=value),
    "Semaphore: limit": Semaphore,
    "Threads: workers": Threads,
    "Processes: workers": Processes,
    "Broadcast: capacity": lambda value: Broadcast().subscribe(value),
}
COUNTS_FROM_ZERO: dict[str, Callable[[object], object]] = {
    "Channel: capacity": Channel,
    "Threads: queue": lambda value: Threads(1, queue=value),
    "Processes: queue": lambda value: Processes(1, queue=value),
}
WAITS: dict[str, Callable[[object], object]] = {
    "hold: within": lambda value: KeyedLocks().hold(1, within=value),
    "read: within": lambda value: ReadWriteLock().read(within=value),
    "write: within": lambda value: ReadWriteLock().write(within=value),
    "hold: within ": lambda value: Semaphore(1).hold(within=value),
}
NO_COUNT = [-1, True, 1.5, math.nan, math.inf, "3", None]


@pytest.mark.parametrize("setting", COUNTS)
@pytest.mark.parametrize("value", [0, *NO_COUNT])
def test_counts(setting: str, value: object) -> None:
    with pytest.raises(DeclarationError, match=rf"{setting}=.* write a whole number from 1\."):
        COUNTS[setting](value)


@pytest.mark.parametrize("setting", COUNTS_FROM_ZERO)
@pytest.mark.parametrize("value", NO_COUNT)
def test_counts_from_zero(setting: str, value: object) -> None:
    with pytest.raises(DeclarationError, match=rf"{setting}=.* write a whole number from 0\."):
        COUNTS_FROM_ZERO[setting](value)
    COUNTS_FROM_ZERO[setting](0)


@pytest.mark.parametrize("setting", WAITS)
@pytest.mark.parametrize("value", [-1, -0.5, math.nan, math.inf, "soon", "1 fortnight", True, []])
def test_waits(setting: str, value: object) -> None:
    with pytest.raises(DeclarationError, match=f"{setting.strip()}="):
        WAITS[setting](value)
    WAITS[setting](0)
    WAITS[setting]("2s")


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, "soon", None])
async def test_pauses(value: object) -> None:
    for flow in (throttle, debounce, lambda channel, pause: batch(channel, 3, pause)):
        with pytest.raises(DeclarationError):
            await anext(flow(Channel(1), value))


@pytest.mark.parametrize("value", [0, *NO_COUNT])
async def test_sizes_and_limits(value: object) -> None:
    with pytest.raises(DeclarationError, match="batch: size="):
        await anext(batch(Channel(1), value, 1))
    with pytest.raises(DeclarationError, match="gather: limit="):
        await gather(work, [1], limit=value)


def test_choices() -> None:
    with pytest.raises(
        DeclarationError, match="when_full='explode' is not possible: write 'wait' or 'drop' or 'close'"
    ):
        Broadcast(when_full="explode")
