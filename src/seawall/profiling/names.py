"""What tasks are called in reports: calls of one operation have tasks of one name."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Any

from seawall.profiling.running import call_of
from seawall.profiling.tasks import call_in

__all__ = ["names_of"]


def names_of(stacks: Mapping[asyncio.Task[Any], Sequence[FrameType]]) -> dict[asyncio.Task[Any], str]:
    """Return a name for each task, none of them twice.

    With the request of the call that the task works for, where that is known, and with a number where several would
    still be called the same.

    Args:
        stacks: The tasks, with the frames in which they stand.
    """
    names: dict[asyncio.Task[Any], str] = {}
    for task, frames in stacks.items():
        call = call_in(frames) or call_of(task)
        name = task.get_name()
        names[task] = f"{name} of request {call.request_id}" if call is not None else name
    alike = Counter(names.values())
    taken = set(names.values())
    numbers: Counter[str] = Counter()
    for task, name in names.items():
        while alike[name] > 1:
            numbers[name] += 1
            numbered = f"{name} #{numbers[name]}"
            if numbered not in taken:  # somebody may have called a task so
                taken.add(numbered)
                names[task] = numbered
                break
    return names
