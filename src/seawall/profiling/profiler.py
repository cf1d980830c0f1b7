"""Brings the parts together: one costly look at a time, none of them on the event loop for long."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from seawall.clock import Clock
from seawall.data.slots import Slots
from seawall.problems import Conflict, NotFound
from seawall.profiling import cpu, memory
from seawall.profiling.cpu import Profile
from seawall.profiling.heap import Heap, HeapDifference, HeapReport
from seawall.profiling.locks import Lock, LockReport, describe_locks, find_locks
from seawall.profiling.memory import MemoryReport
from seawall.profiling.objects import ObjectReport, count_objects
from seawall.profiling.running import RunningCalls
from seawall.profiling.stalls import StallWatch
from seawall.profiling.tasks import TaskReport, TaskTable
from seawall.profiling.threads import in_thread

__all__ = ["Busy", "Profiler"]

T = TypeVar("T")


class Busy(Conflict):
    """409: another look into the process is under way; one at a time."""

    type = "urn:problem-type:seawall:profiling-busy"
    title = "Profiling already"
    guard = "profiling"


class Profiler:
    """Looks into this process.

    Args:
        clock: What time it is.
        running: The calls that run.
        stall_threshold: Seconds for which the event loop may not run before it counts as a stall.
        stalls_kept: How many stalls are kept.
    """

    def __init__(self, clock: Clock, running: RunningCalls, *, stall_threshold: float, stalls_kept: int) -> None:
        self.stalls = StallWatch(clock, running, stall_threshold, stalls_kept)
        self._clock = clock
        self._tasks = TaskTable(clock, running)
        self._gate = threading.Lock()
        self._heap = Heap(clock, self._gate)
        self._stop = threading.Event()
        self._ending = False

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Watch the running event loop for stalls for the time of the block."""
        self._ending = False
        try:
            async with self.stalls.watching():
                yield
        finally:
            self._heap.drop()

    async def end(self) -> None:
        """End the look that is under way early, and later ones at once; they tell what they have seen. For a drain."""
        self._ending = True
        self._stop.set()

    async def cpu(self, seconds: float, hz: int) -> Profile:
        """Return where threads stand for the next *seconds*, *hz* looks a second.

        Raises:
            Busy: Another look is under way.
            ValueError: *seconds* or *hz* is out of bounds.
        """
        if not 0 < seconds <= cpu.MAX_SECONDS or not 1 <= hz <= cpu.MAX_HZ:
            raise ValueError(f"0 < seconds={seconds} <= {cpu.MAX_SECONDS}, 1 <= hz={hz} <= {cpu.MAX_HZ} must hold")
        loop = cpu.loop_thread()
        return await self._alone(lambda stop: cpu.sample(self._clock, stop, seconds, hz, loop), "seawall cpu profile")

    async def memory(self, seconds: float, frames: int, top: int) -> MemoryReport:
        """Return what memory is taken in the next *seconds* and held at their end.

        Raises:
            Busy: Another look is under way.
            ValueError: *seconds* or *frames* is out of bounds.
        """
        if not 0 < seconds <= memory.MAX_SECONDS or not 1 <= frames <= memory.MAX_FRAMES:
            raise ValueError(
                f"0 < seconds={seconds} <= {memory.MAX_SECONDS}, 1 <= frames={frames} <= {memory.MAX_FRAMES} must hold"
            )
        return await self._alone(
            lambda stop: memory.trace(self._clock, stop, seconds, frames, top), "seawall memory profile"
        )

    async def snapshot(self, frames: int) -> HeapReport:
        """Take a snapshot of the heap and keep it; the first one begins to trace allocations.

        Raises:
            Busy: Another look is under way.
            ValueError: *frames* is out of bounds.
        """
        if not 1 <= frames <= memory.MAX_FRAMES:
            raise ValueError(f"1 <= frames={frames} <= {memory.MAX_FRAMES} must hold")
        await self._alone(lambda _: self._heap.take(frames), "seawall heap snapshot")
        self._heap.watch()
        return self._heap.report()

    def snapshots(self) -> HeapReport:
        """Return which snapshots of the heap are kept."""
        return self._heap.report()

    async def difference(self, since: int | None, until: int | None, top: int) -> HeapDifference:
        """Return what one snapshot has more than another.

        Args:
            since: The number of the one; None for the last but one.
            until: The number of the other; None for the last.
            top: How many lines of each kind there are in the answer.

        Raises:
            Busy: Another look is under way.
            NotFound: One of them is not kept.
        """
        try:
            return await self._alone(lambda _: self._heap.difference(since, until, top), "seawall heap difference")
        except LookupError as error:
            raise NotFound(str(error.args[0])) from None

    def drop(self) -> HeapReport:
        """Forget all snapshots of the heap, and trace allocations no longer.

        Raises:
            Busy: Another look is under way.
        """
        if not self._gate.acquire(blocking=False):
            raise _busy()
        try:
            self._heap.drop()
        finally:
            self._gate.release()
        return self._heap.report()

    async def objects(self, top: int) -> ObjectReport:
        """Return how many objects there are of the *top* most frequent types.

        Raises:
            Busy: Another look is under way.
        """
        return await self._alone(lambda _: count_objects(self._clock, top), "seawall objects")

    async def tasks(self) -> TaskReport:
        """Return the tasks of the running loop."""
        return await self._tasks.report()

    async def locks(self) -> LockReport:
        """Return the locks of asyncio, and pools of database connections, that are held or waited for.

        Raises:
            Busy: Another look is under way.
        """

        def find(_: threading.Event) -> tuple[list[Lock | Slots], float]:
            began = self._clock.monotonic()
            return find_locks(), self._clock.monotonic() - began

        locks, seconds = await self._alone(find, "seawall locks")
        return describe_locks(locks, self._clock.monotonic, seconds)

    async def _alone(self, work: Callable[[threading.Event], T], name: str) -> T:
        if not self._gate.acquire(blocking=False):
            raise _busy()
        self._stop = threading.Event()
        if self._ending:
            self._stop.set()
        return await in_thread(work, name, self._gate, self._stop)


def _busy() -> Busy:
    return Busy("A profile is being taken; try again when it is done.", headers={"retry-after": "5"})
