"""Profiling: what a running process does, holds and waits for, seen from inside and at a bounded cost.

Nothing here runs unless it is asked for. Everything is bounded in time, size and number, and every report says what
it cost itself. `Profiler` brings the parts together; transports show what it tells.
"""

from __future__ import annotations

from seawall.profiling.cpu import Profile
from seawall.profiling.flame import flame_page
from seawall.profiling.heap import HeapDifference, HeapReport
from seawall.profiling.locks import LockReport
from seawall.profiling.memory import MemoryReport
from seawall.profiling.objects import ObjectReport
from seawall.profiling.profiler import Busy, Profiler
from seawall.profiling.running import Running, RunningCalls
from seawall.profiling.speedscope import speedscope
from seawall.profiling.stalls import Stall, StallWatch
from seawall.profiling.tasks import TaskReport

__all__ = [
    "Busy",
    "HeapDifference",
    "HeapReport",
    "LockReport",
    "MemoryReport",
    "ObjectReport",
    "Profile",
    "Profiler",
    "Running",
    "RunningCalls",
    "Stall",
    "StallWatch",
    "TaskReport",
    "flame_page",
    "speedscope",
]
