"""Work done side by side, under one owner."""

from seawall.concurrency.channel import Channel, ChannelClosed, merge, select
from seawall.concurrency.fan_out import fan_out
from seawall.concurrency.flows import Broadcast, batch, debounce, throttle
from seawall.concurrency.gather import gather
from seawall.concurrency.locks import KeyedLocks, ReadWriteLock
from seawall.concurrency.partial import Part, Partial, optional, partial, required
from seawall.concurrency.pool import PoolClosed, PoolProgress, WorkerPool
from seawall.concurrency.race import QuorumFailed, first_success, quorum
from seawall.concurrency.single_flight import SingleFlight

__all__ = [
    "Broadcast",
    "Channel",
    "ChannelClosed",
    "KeyedLocks",
    "Part",
    "Partial",
    "PoolClosed",
    "PoolProgress",
    "QuorumFailed",
    "ReadWriteLock",
    "SingleFlight",
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
    "throttle",
]
