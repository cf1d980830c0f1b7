"""Tasks that wait for each other: found from who holds what, who waits for it, and who awaits whom.

A task is *stuck* if nothing that could let it go on can happen: all it waits for is held, or is to be done, by tasks
that are stuck themselves. What waits for anything else (a socket, a timer, an event) may go on, and so may what waits
for it; this is the least fixed point of that (Knapp, "Deadlock Detection in Distributed Databases", 1987: the AND and
OR models at once). Time limits are not seen: a task found stuck may still be freed by one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

__all__ = ["Wait", "cycles", "joins", "stuck"]

AnyTask = asyncio.Task[Any]


@dataclass(frozen=True, slots=True)
class Wait:
    """What one task waits for.

    Args:
        task: The one that waits.
        on: For what, in words.
        shares: Who has how much of it.
        needed: How much of it they must give back; 0 for nothing.
        ahead: A task that comes first.
        unknown: How much of it is held by nobody knows whom.
    """

    task: AnyTask
    on: str = field(compare=False)  # what tasks are called, others being there, is no part of what it is
    shares: tuple[tuple[AnyTask, int], ...]
    needed: int
    ahead: AnyTask | None = None
    unknown: int = 0


def joins(task: AnyTask, frames: Sequence[FrameType], name: Callable[[AnyTask], str]) -> Wait | None:
    """Return how *task*, which stands in *frames*, waits for other tasks; None where it waits for something else.

    Seen are a task awaited directly, ``gather``, ``wait`` without a time limit and task groups. *name* says what a task
    is called.
    """
    waiter = getattr(task, "_fut_waiter", None)
    if isinstance(waiter, asyncio.Task):
        return _join(task, [waiter], name)
    children = getattr(waiter, "_children", None)
    if children:
        return _join(task, children, name)
    if not frames or not frames[-1].f_code.co_filename.replace("\\", "/").endswith(_ASYNCIO):
        return None
    function, values = frames[-1].f_code.co_name, frames[-1].f_locals
    if function in ("__aexit__", "_aexit"):
        return _join(task, getattr(values.get("self"), "_tasks", ()), name)
    if function == "_wait" and values.get("timeout") is None:
        return _join(task, values.get("fs", ()), name, every=values.get("return_when") == asyncio.ALL_COMPLETED)
    return None


_ASYNCIO = ("asyncio/tasks.py", "asyncio/taskgroups.py")


def _join(task: AnyTask, others: Iterable[Any], name: Callable[[AnyTask], str], *, every: bool = True) -> Wait | None:
    awaited = [other for other in others if not other.done()]
    if not awaited or (not every and not all(isinstance(other, asyncio.Task) for other in awaited)):
        return None
    tasks = [other for other in awaited if isinstance(other, asyncio.Task)]
    if not tasks:
        return None
    on = f"task {name(tasks[0])}" if len(tasks) == 1 else f"{len(tasks)} tasks"
    return Wait(task, on, tuple((other, 1) for other in tasks), len(tasks) if every else 1)


def stuck(waits: Iterable[Wait]) -> dict[AnyTask, Wait]:
    """Return those of *waits* that cannot end."""
    left = {wait.task: wait for wait in waits}
    moved = True
    while moved:
        moved = False
        for task, wait in list(left.items()):
            if wait.ahead is not None and wait.ahead in left:
                continue
            free = wait.unknown + sum(amount for holder, amount in wait.shares if holder not in left)
            if free >= wait.needed:
                del left[task]
                moved = True
    return left


def cycles(left: Mapping[AnyTask, Wait]) -> list[list[Wait]]:
    """Return the circles in which stuck tasks wait for each other, each once."""
    found: list[list[Wait]] = []
    seen: set[AnyTask] = set()
    for start in left:
        way: list[AnyTask] = []
        task = start
        while task not in seen and task not in way:
            way.append(task)
            task = _next(left, left[task])
        if task in way:
            found.append([left[each] for each in way[way.index(task) :]])
        seen.update(way)
    return found


def _next(left: Mapping[AnyTask, Wait], wait: Wait) -> AnyTask:
    """Return one of those that *wait* is stuck behind: a holder rather than one that is only ahead of it."""
    for holder, _ in wait.shares:
        if wait.needed and holder in left:
            return holder
    assert wait.ahead is not None  # noqa: S101 - or it were not stuck
    return wait.ahead
