"""Work done side by side, under one owner."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from seawall.concurrency.fan_out import fan_out

if TYPE_CHECKING:
    from seawall.concurrency.channel import Channel, ChannelClosed, merge, select
    from seawall.concurrency.flows import Broadcast, batch, debounce, throttle
    from seawall.concurrency.gathering import gather
    from seawall.concurrency.locks import KeyedLocks, ReadWriteLock
    from seawall.concurrency.parts import Part, Partial, optional, partial, required
    from seawall.concurrency.pipeline import Pipeline, PipelineFlow
    from seawall.concurrency.pool import PoolClosed, PoolProgress, WorkerPool
    from seawall.concurrency.processes import Processes, ProcessesBusy, ProcessesClosed, ProcessLost
    from seawall.concurrency.race import QuorumFailed, first_success, quorum
    from seawall.concurrency.semaphore import Permit, Semaphore
    from seawall.concurrency.single_flight import SingleFlight
    from seawall.concurrency.threads import Threads, ThreadsBusy, ThreadsClosed, should_stop
    from seawall.concurrency.turns import WaitsForItself

__all__ = [
    "Broadcast",
    "Channel",
    "ChannelClosed",
    "KeyedLocks",
    "Part",
    "Partial",
    "Permit",
    "Pipeline",
    "PipelineFlow",
    "PoolClosed",
    "PoolProgress",
    "ProcessLost",
    "Processes",
    "ProcessesBusy",
    "ProcessesClosed",
    "QuorumFailed",
    "ReadWriteLock",
    "Semaphore",
    "SingleFlight",
    "Threads",
    "ThreadsBusy",
    "ThreadsClosed",
    "WaitsForItself",
    "WorkerPool",
    "batch",
    "debounce",
    "fan_out",
    "first_success",
    "gather",
    "merge",
    "optional",
    "partial",
    "quorum",
    "required",
    "select",
    "should_stop",
    "throttle",
]

# `import seawall` needs fan_out; what else there is is loaded when somebody asks for it.
_HOMES = {
    "channel": ("Channel", "ChannelClosed", "merge", "select"),
    "flows": ("Broadcast", "batch", "debounce", "throttle"),
    "gathering": ("gather",),
    "locks": ("KeyedLocks", "ReadWriteLock"),
    "parts": ("Part", "Partial", "optional", "partial", "required"),
    "pipeline": ("Pipeline", "PipelineFlow"),
    "pool": ("PoolClosed", "PoolProgress", "WorkerPool"),
    "processes": ("ProcessLost", "Processes", "ProcessesBusy", "ProcessesClosed"),
    "race": ("QuorumFailed", "first_success", "quorum"),
    "semaphore": ("Permit", "Semaphore"),
    "single_flight": ("SingleFlight",),
    "threads": ("Threads", "ThreadsBusy", "ThreadsClosed", "should_stop"),
    "turns": ("WaitsForItself",),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{home}"), name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
