"""Snapshots of the heap that are kept, and the difference of any two: for what grows over hours, not seconds.

The first one switches tracemalloc on, and it stays on in between: every allocation is slower meanwhile (2 to 4 times,
for code that does little else), and only what was taken since then is seen. It is switched off again when the snapshots
are dropped, when none was taken for an hour, and when tracing takes too much memory itself; the snapshots stay.
"""

from __future__ import annotations

import gc
import itertools
import threading
import tracemalloc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seawall.clock import Clock, Timer
from seawall.profiling.memory import MAX_TRACING_BYTES, Allocation, allocation_rows, size_text
from seawall.profiling.stacks import Place

__all__ = ["MAX_SNAPSHOTS", "Heap", "HeapDifference", "HeapReport", "SnapshotView"]

MAX_SNAPSHOTS = 8
"""How many are kept; the oldest goes."""
MAX_PLACES = 5_000
"""Lines that are kept of each, those that hold the most; the others are added up."""
IDLE_SECONDS = 3600.0
"""After so long without another snapshot, tracing ends."""
_LOOK = 5.0

Key = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class SnapshotView:
    """A snapshot, as it is listed.

    Args:
        number: Which one.
        ago: Seconds since it was taken.
        traced: Bytes held that were seen.
        places: Lines that are kept of it.
        rest: Bytes held by lines that are not.
        seconds: How long taking it took; the process stood still for most of that.
    """

    number: int
    ago: float
    traced: int
    places: int
    rest: int
    seconds: float


@dataclass(frozen=True, slots=True)
class HeapReport:
    """What there is.

    Args:
        tracing: Whether allocations are traced now.
        tracing_bytes: What tracing takes itself.
        ended: Why it ended, if not because the snapshots were dropped.
        snapshots: The snapshots, oldest first.
    """

    tracing: bool
    tracing_bytes: int
    ended: str
    snapshots: tuple[SnapshotView, ...]

    def text(self) -> str:
        """Return it for reading."""
        lines = [f"Snapshots of the heap: {len(self.snapshots)}. {MAX_SNAPSHOTS} are kept; the oldest goes."]
        if self.tracing:
            lines.append(f"Cost: every allocation is traced, which takes {size_text(self.tracing_bytes)} now.")
        else:
            lines.append(f"Allocations are not traced now{f': {self.ended}' if self.ended else ''}.")
        lines += [
            "",
            "Take one:       curl -X POST   …/debug/heap",
            "Compare two:    curl           …/debug/heap/difference?since=1&until=2",
            "Drop all, end:  curl -X DELETE …/debug/heap",
            "",
        ]
        for each in self.snapshots:
            rest = f", {size_text(each.rest)} of it in lines that are not kept" if each.rest else ""
            lines.append(
                f"{each.number:>4}  {each.ago:8.0f} s ago  {size_text(each.traced):>11} in {each.places} lines{rest}; "
                f"taken in {each.seconds * 1000:.0f} ms"
            )
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class HeapDifference:
    """What one snapshot has more than another.

    Args:
        since: The one.
        until: The other.
        seconds: Time between them.
        more: Bytes that the second has more in all.
        growing: Lines that hold more.
        shrinking: Lines that hold less.
    """

    since: int
    until: int
    seconds: float
    more: int
    growing: tuple[Allocation, ...]
    shrinking: tuple[Allocation, ...]

    def text(self) -> str:
        """Return it for reading."""
        lines = [
            (
                f"Snapshot {self.until} against {self.since}, {self.seconds:.0f} s apart: "
                f"{size_text(self.more, sign=True)} in all."
            ),
            f"Of each the {MAX_PLACES} lines that hold the most are known; what is below counts as nothing.",
            "",
            "Growing:",
            *allocation_rows(self.growing),
            "",
            "Shrinking:",
            *allocation_rows(self.shrinking),
        ]
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class _Snapshot:
    number: int
    at: float
    seconds: float
    traced: int
    rest: int
    places: Mapping[Key, tuple[int, int]]


class Heap:
    """Keeps snapshots.

    Args:
        clock: What time it is.
        gate: Held by whoever looks into the process.
    """

    def __init__(self, clock: Clock, gate: threading.Lock) -> None:
        self._clock = clock
        self._gate = gate
        self._numbers = itertools.count(1)
        self._snapshots: list[_Snapshot] = []
        self._started = False
        self._ended = ""
        self._timer: Timer | None = None

    def take(self, frames: int) -> None:
        """Take a snapshot, and trace from now on unless that is so already; blocks, so run it in a thread."""
        if not tracemalloc.is_tracing():
            tracemalloc.start(frames)
            self._started = True
        self._ended = ""
        gc.collect(1)  # what is only waiting for the collector would look like growth
        began = self._clock.monotonic()
        found = tracemalloc.take_snapshot()
        seconds = self._clock.monotonic() - began
        ours = tuple(tracemalloc.Filter(inclusive=False, filename_pattern=name) for name in _OWN)
        found = found.filter_traces(ours)
        several = tracemalloc.get_traceback_limit() > 1
        statistics = found.statistics("traceback" if several else "lineno")  # the largest first
        kept = {
            tuple((frame.filename, frame.lineno) for frame in reversed(each.traceback)): (each.size, each.count)
            for each in statistics[:MAX_PLACES]
        }
        rest = sum(each.size for each in statistics[MAX_PLACES:])
        traced = sum(size for size, _ in kept.values()) + rest
        self._snapshots.append(_Snapshot(next(self._numbers), self._clock.monotonic(), seconds, traced, rest, kept))
        del self._snapshots[:-MAX_SNAPSHOTS]

    def report(self) -> HeapReport:
        """Return what there is."""
        now = self._clock.monotonic()
        tracing = tracemalloc.is_tracing()
        return HeapReport(
            tracing,
            tracemalloc.get_tracemalloc_memory() if tracing else 0,
            self._ended,
            tuple(
                SnapshotView(each.number, now - each.at, each.traced, len(each.places), each.rest, each.seconds)
                for each in self._snapshots
            ),
        )

    def difference(self, since: int | None, until: int | None, top: int) -> HeapDifference:
        """Compare two snapshots.

        Args:
            since: The number of the one; None for the last but one.
            until: The number of the other; None for the last.
            top: How many lines of each kind there are in the answer.

        Raises:
            LookupError: One of them is not kept.
        """
        first, second = self._find(since, -2), self._find(until, -1)
        changed = []
        for key in first.places.keys() | second.places.keys():
            size, count = second.places.get(key, (0, 0))
            size_before, count_before = first.places.get(key, (0, 0))
            if size != size_before:
                places = tuple(Place("", file, line) for file, line in key)
                changed.append(Allocation(places, size, count, size - size_before, count - count_before))
        changed.sort(key=lambda each: -each.more)
        return HeapDifference(
            first.number,
            second.number,
            second.at - first.at,
            second.traced - first.traced,
            tuple(each for each in changed[:top] if each.more > 0),
            tuple(each for each in changed[: -top - 1 : -1] if each.more < 0),
        )

    def drop(self) -> None:
        """Forget all of them, and trace no longer, unless somebody else does."""
        self._snapshots.clear()
        self._end("")

    def _find(self, number: int | None, place: int) -> _Snapshot:
        kept: Sequence[_Snapshot] = self._snapshots
        if number is None and len(kept) >= -place:
            return kept[place]
        for each in kept:
            if each.number == number:
                return each
        numbers = ", ".join(str(each.number) for each in kept) or "none"
        wanted = "two snapshots" if number is None else f"a snapshot {number}"
        raise LookupError(f"There is no such thing as {wanted} in this process, which keeps: {numbers}.")

    def watch(self) -> None:
        """See to it that tracing ends; on the event loop, after each `take`."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._clock.call_later(_LOOK, self._look)

    def _look(self) -> None:
        if not self._gate.acquire(blocking=False):  # somebody looks at what is traced
            self.watch()
            return
        try:
            self._judge()
        finally:
            self._gate.release()

    def _judge(self) -> None:
        last = self._snapshots[-1].at if self._snapshots else self._clock.monotonic()
        if tracemalloc.get_tracemalloc_memory() > MAX_TRACING_BYTES:
            self._end(f"it took more than {size_text(MAX_TRACING_BYTES)} itself")
        elif self._clock.monotonic() - last > IDLE_SECONDS:
            self._end(f"no snapshot was taken for {IDLE_SECONDS / 60:.0f} minutes")
        else:
            self.watch()

    def _end(self, why: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._started:
            tracemalloc.stop()
            self._started, self._ended = False, why


_OWN = (tracemalloc.__file__, __file__)
