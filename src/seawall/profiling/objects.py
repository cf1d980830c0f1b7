"""How many objects there are of each type: cheap, of the whole process, and needs nothing switched on."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from dataclasses import dataclass

from seawall.clock import Clock

__all__ = ["ObjectReport", "count_objects"]

_SLICE = 10_000


@dataclass(frozen=True, slots=True)
class ObjectReport:
    """Objects by type.

    Args:
        seconds: How long counting took.
        total: Objects the collector knows; those that hold no others (numbers, strings, bytes) it does not.
        collections: Collections of each generation since the process started.
        types: Type, count, bytes of the objects themselves (without what they refer to), the most frequent first.
    """

    seconds: float
    total: int
    collections: tuple[int, ...]
    types: tuple[tuple[str, int, int], ...]

    def text(self) -> str:
        """Return it for reading."""
        head = (
            f"{self.total} objects known to the garbage collector (numbers, strings and bytes are not).\n"
            f"Cost: counting took {self.seconds * 1000:.0f} ms in a thread beside the event loop.\n"
            f"Collections by generation: {', '.join(map(str, self.collections))}.\n\n"
        )
        rows = [f"{count:>9} {size / 1024:>10.1f} KiB  {name}" for name, count, size in self.types]
        return head + "\n".join(rows) + "\n"


def count_objects(clock: Clock, top: int) -> ObjectReport:
    """Count the objects of each type; blocks for tens of milliseconds per million, so run it in a thread."""
    began = clock.monotonic()
    counts: Counter[type] = Counter()
    sizes: Counter[type] = Counter()
    objects = gc.get_objects()
    total = len(objects)
    while objects:  # given back in slices, so that counting keeps little alive for long
        for each in objects[-_SLICE:]:
            kind = type(each)
            counts[kind] += 1
            sizes[kind] += _size(each)
        del objects[-_SLICE:]
    types = tuple(
        (f"{kind.__module__}.{kind.__qualname__}", count, sizes[kind]) for kind, count in counts.most_common(top)
    )
    collections = tuple(int(each["collections"]) for each in gc.get_stats())
    return ObjectReport(clock.monotonic() - began, total, collections, types)


def _size(thing: object) -> int:
    try:
        return sys.getsizeof(thing)
    except Exception:  # noqa: BLE001 - a __sizeof__ of somebody's own
        return 0
