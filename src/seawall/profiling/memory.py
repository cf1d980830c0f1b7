"""What memory is held, by the line that took it: tracemalloc, switched on for a while and off again.

Tracing makes every allocation of the process slower (by 2 to 4 times for code that does little else) and takes memory
of its own, so it is bounded in time, frames and memory. Only what is taken while it is traced is seen. Two snapshots
are made, halfway and at the end: what the second has more than the first is what keeps growing.
"""

from __future__ import annotations

import gc
import threading
import tracemalloc
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seawall.clock import Clock
from seawall.profiling.stacks import Place, short_path, source_line

__all__ = [
    "MAX_FRAMES",
    "MAX_SECONDS",
    "MAX_TRACING_BYTES",
    "Allocation",
    "MemoryReport",
    "allocation_rows",
    "size_text",
    "trace",
]

MAX_SECONDS = 60
MAX_FRAMES = 10
MAX_TRACING_BYTES = 64 * 1024 * 1024
"""Memory that tracing itself may take; then it ends early."""
_LOOK = 0.1


@dataclass(frozen=True, slots=True)
class Allocation:
    """Memory by one line.

    Args:
        place: Where it was taken, innermost first; the functions' names are not known.
        size: Bytes that are held.
        count: Blocks that are held.
        more: Bytes more than in the snapshot before.
        more_count: Blocks more than in the snapshot before.
    """

    place: tuple[Place, ...]
    size: int
    count: int
    more: int
    more_count: int


@dataclass(frozen=True, slots=True)
class MemoryReport:
    """What was taken while it was traced and is still held.

    Args:
        seconds: How long it was traced.
        snapshot_seconds: How long the two snapshots took; the whole process stands still for most of it.
        traced: Bytes held that were seen.
        peak: The most there were at once.
        tracing: Bytes that tracing itself took.
        cut: Whether tracing ended early because it took too much memory itself.
        kept: Whether it was on before, and goes on.
        largest: Lines that hold the most.
        growing: Lines that hold more than half the time before.
    """

    seconds: float
    snapshot_seconds: float
    traced: int
    peak: int
    tracing: int
    cut: bool
    kept: bool
    largest: tuple[Allocation, ...]
    growing: tuple[Allocation, ...]

    def text(self) -> str:
        """Return it for reading."""
        lines = [
            (
                f"Memory taken during {self.seconds:.1f} s and still held: {size_text(self.traced)} "
                f"(most: {size_text(self.peak)})."
            ),
            (
                f"Cost: tracing took {size_text(self.tracing)} and slowed down every allocation; the two snapshots "
                f"took {self.snapshot_seconds * 1000:.0f} ms, in most of which nothing else ran."
            ),
        ]
        if self.cut:
            lines.append(f"Ended early: tracing took more than {size_text(MAX_TRACING_BYTES)} itself.")
        lines.append(
            "Tracing was on before, so earlier allocations are in it, and it goes on."
            if self.kept
            else "Allocations from before are not in it. Tracing is off again."
        )
        lines += ["", "Growing (second half against first):", *allocation_rows(self.growing)]
        lines += ["", "Largest:", *allocation_rows(self.largest)]
        return "\n".join(lines) + "\n"


def trace(clock: Clock, stop: threading.Event, seconds: float, frames: int, top: int) -> MemoryReport:
    """Trace allocations for *seconds*, or until *stop*; blocks, so run it in a thread.

    Args:
        clock: What time it is.
        stop: Ends it.
        seconds: How long.
        frames: How many frames of each allocation are kept; memory and time grow with it.
        top: How many lines the report has of each kind.
    """
    kept = tracemalloc.is_tracing()
    if not kept:
        tracemalloc.start(frames)
    try:
        began = clock.monotonic()
        cut = _wait(clock, stop, began + seconds / 2)
        first, spent = _snapshot(clock)
        cut = _wait(clock, stop, began + seconds) or cut
        traced, peak = tracemalloc.get_traced_memory()
        tracing = tracemalloc.get_tracemalloc_memory()
        second, more = _snapshot(clock)
        elapsed = clock.monotonic() - began
    finally:
        if not kept:
            tracemalloc.stop()
    # Not before: what filtering takes would be in the second one.
    own = (tracemalloc.Filter(False, tracemalloc.__file__), tracemalloc.Filter(False, __file__))  # noqa: FBT003
    first, second = first.filter_traces(own), second.filter_traces(own)
    key = "traceback" if frames > 1 else "lineno"
    differences = second.compare_to(first, key)
    largest = sorted(differences, key=lambda each: -each.size)[:top]
    growing = sorted((each for each in differences if each.size_diff > 0), key=lambda each: -each.size_diff)[:top]
    return MemoryReport(
        elapsed, spent + more, traced, peak, tracing, cut, kept, _allocations(largest), _allocations(growing)
    )


def _wait(clock: Clock, stop: threading.Event, until: float) -> bool:
    """Wait; return whether tracing has taken too much memory."""
    while (left := until - clock.monotonic()) > 0 and not stop.is_set():
        if tracemalloc.get_tracemalloc_memory() > MAX_TRACING_BYTES:
            return True
        stop.wait(min(left, _LOOK))
    return False


def _snapshot(clock: Clock) -> tuple[tracemalloc.Snapshot, float]:
    gc.collect(1)  # what is only waiting for the collector would look like growth
    began = clock.monotonic()
    snapshot = tracemalloc.take_snapshot()
    return snapshot, clock.monotonic() - began


def _allocations(found: Iterable[tracemalloc.StatisticDiff]) -> tuple[Allocation, ...]:
    return tuple(
        Allocation(
            tuple(Place("", frame.filename, frame.lineno) for frame in reversed(each.traceback)),
            each.size,
            each.count,
            each.size_diff,
            each.count_diff,
        )
        for each in found
    )


def allocation_rows(allocations: Sequence[Allocation]) -> list[str]:
    """Return lines for reading."""
    if not allocations:
        return ["  (nothing)"]
    rows = []
    for each in allocations:
        held = f"{size_text(each.size):>11} in {each.count:>7} blocks   {size_text(each.more, sign=True):>12}"
        for number, place in enumerate(each.place):
            head = held if number == 0 else " " * len(held)
            rows.append(f"  {head}   {short_path(place.file)}:{place.line}  {source_line(place)}".rstrip())
    return rows


def size_text(size: float, *, sign: bool = False) -> str:
    """Return a number of bytes for people; with *sign*, a plus before what is more."""
    mark = "+" if sign and size > 0 else ""
    if abs(size) < 1024:
        return f"{mark}{size:.0f} B"
    if abs(size) < 1024**2:
        return f"{mark}{size / 1024:.1f} KiB"
    return f"{mark}{size / 1024**2:.1f} MiB"
