"""Locks that are held or waited for, with who holds them, who waits, and which tasks wait for each other.

Those of `seawall.concurrency` note who has them. asyncio does not: a task that stands inside ``async with lock:`` has
the lock's exit on its stack, which the garbage collector can see; one that called ``acquire()`` by itself cannot be
told from any other. Locks of threads are not known to the collector, so they are not here.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from seawall.concurrency.turns import LockState, Owned, Share
from seawall.data.slots import Slots
from seawall.profiling.deadlocks import Wait, cycles, joins, stuck
from seawall.profiling.names import names_of
from seawall.profiling.plain_locks import (
    Plain,
    entered_by,
    free_of,
    held_of,
    is_busy,
    place_of,
    waiting_for,
    wanted_by,
)
from seawall.profiling.pools import PoolView, describe_pools, pool_lines
from seawall.profiling.stacks import Place, short_path, source_line
from seawall.profiling.tasks import await_chain

__all__ = ["MAX_LOCKS", "LockReport", "LockView", "Party", "Stuck", "describe_locks", "find_circles", "find_locks"]

MAX_LOCKS = 200
"""Locks shown of one report."""
_MAX_TASKS = 10_000
_MAX_CYCLES = 20


@dataclass(frozen=True, slots=True)
class Party:
    """A task that holds a lock or waits for it.

    Args:
        task: Its name; of a call's task with the request.
        place: Its line nearest to that; of a holder of a lock that knows its holders, where it stands now.
        what: How it has it; empty where there is but one way.
        ended: Whether the task has ended: then it will not give the lock back.
    """

    task: str
    place: Place | None
    what: str = ""
    ended: bool = False

    def __str__(self) -> str:
        """Return it as one line."""
        name = f"{self.task} ({self.what})" if self.what else self.task
        if self.ended:
            return f"{name}, WHICH HAS ENDED and did not give it back"
        if self.place is None:
            return name
        where = f"{name} at {short_path(self.place.file)}:{self.place.line} in {self.place.name}"
        line = source_line(self.place)
        return f"{where}: {line}" if line else where


@dataclass(frozen=True, slots=True)
class LockView:
    """One lock.

    Args:
        kind: Its class, and its address or key to tell it from others.
        free: How many may still enter.
        holders: Tasks that are inside of it.
        unknown: How many hold it of whom nothing is known; None where that itself is not known (a plain semaphore).
        waiters: Tasks that wait for it.
        waiting: How many wait for it.
    """

    kind: str
    free: int
    holders: tuple[Party, ...]
    unknown: int | None
    waiters: tuple[Party, ...]
    waiting: int


@dataclass(frozen=True, slots=True)
class Stuck:
    """A task in a circle of tasks that wait for each other.

    Args:
        task: Its name.
        waits_for: What for.
        behind: The task that has it, which is the next of the circle.
        stack: Where it stands, outermost first.
    """

    task: str
    waits_for: str
    behind: str
    stack: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class LockReport:
    """Locks that are held or waited for.

    Args:
        search_seconds: How long finding them took, in a thread beside the loop.
        seconds: How long looking at their tasks took, on the event loop.
        total: How many locks there are; all keys of keyed locks are one.
        busy: How many locks, or keys, are held or waited for.
        locks: The first of those.
        deadlocks: Circles of tasks that wait for each other.
        stuck: How many tasks can not go on because of them, those in the circles among them.
        pools: Pools of database connections that are in use.
    """

    search_seconds: float
    seconds: float
    total: int
    busy: int
    locks: tuple[LockView, ...]
    deadlocks: tuple[tuple[Stuck, ...], ...] = ()
    stuck: int = 0
    pools: tuple[PoolView, ...] = ()

    def text(self) -> str:
        """Return it for reading."""
        lines = [
            f"{self.total} locks and semaphores, {self.busy} of them held or waited for.",
            (
                f"Cost: finding them took {self.search_seconds * 1000:.0f} ms beside the event loop, "
                f"looking at their tasks {self.seconds * 1000:.1f} ms on it."
            ),
            "Of asyncio's own, holders are known for `async with` only. Locks of threads cannot be seen.",
            *self.deadlock_lines(),
        ]
        for lock in self.locks:
            lines += ["", f"{lock.kind}: {lock.waiting} waiting, {lock.free} free"]
            lines += [f"    held by {party}" for party in lock.holders]
            if lock.unknown is None:
                lines.append("    may be held by others: a plain semaphore does not say how many hold it")
            elif lock.unknown:
                lines.append(f"    held by {lock.unknown} of whom nothing is known (acquire() without `async with`)")
            lines += [f"    awaited by {party}" for party in lock.waiters]
        lines += pool_lines(self.pools)
        return "\n".join(lines) + "\n"

    def deadlock_lines(self) -> Iterator[str]:
        """Give the circles, in words and with the stacks of their tasks."""
        for circle in self.deadlocks:
            one = len(circle) == 1
            yield ""
            yield f"DEADLOCK: {'a task waits for itself' if one else f'{len(circle)} tasks wait for each other'}"
            for each in circle:
                yield f"    {each.task} waits for {each.waits_for}: {each.behind} comes first"
            for each in circle:
                yield f"    stack of {each.task}"
                yield from (f"        {place} {source_line(place)}".rstrip() for place in each.stack)
        if self.deadlocks:
            yield f"{self.stuck} tasks in all cannot go on because of that, unless a time limit ends one."


Lock = Plain | Owned
_KINDS = (asyncio.Lock, asyncio.Semaphore, Owned, Slots)


def find_locks() -> list[Lock | Slots]:
    """Return all locks, semaphores and pools; blocks for tens of milliseconds per million objects."""
    return [each for each in gc.get_objects() if issubclass(type(each), _KINDS)]


@dataclass(slots=True)
class _Busy:
    """A lock in use, with its tasks."""

    kind: str
    free: int
    waiting: int
    unknown: int | None = 0
    spare: int = 0
    """How much may be had though nobody gives anything back: a lock may be free, and the next one not yet woken."""
    holders: list[tuple[asyncio.Task[Any] | None, int, Party]] = field(default_factory=list)
    waiters: list[tuple[asyncio.Task[Any] | None, int, Party]] = field(default_factory=list)

    @property
    def view(self) -> LockView:
        holders, waiters = (tuple(party for _, _, party in each) for each in (self.holders, self.waiters))
        return LockView(self.kind, self.free, holders, self.unknown, waiters, self.waiting)

    def waits(self) -> Iterator[Wait]:
        """Give what each of its waiters waits for."""
        shares = tuple((task, amount) for task, amount, _ in self.holders if task is not None and not task.done())
        # What nobody is known to hold may be given back by somebody who can.
        held = sum(amount for _, amount, _ in self.holders)
        unknown = self.spare + held - sum(amount for _, amount in shares)
        unknown += _PLENTY if self.unknown is None else self.unknown
        ahead = None
        for task, needed, _ in self.waiters:
            if task is not None:
                yield Wait(task, self.kind, shares, needed, ahead, unknown)
                ahead = task


_PLENTY = 10**9


def describe_locks(found: Sequence[Lock | Slots], monotonic: Callable[[], float], search_seconds: float) -> LockReport:
    """Look at locks and pools and at the tasks of the running loop, on it.

    Args:
        found: What `find_locks` has found.
        monotonic: Measures the cost.
        search_seconds: How long that took.
    """
    began = monotonic()
    locks, seen = _only_locks(found), _see()
    pools = describe_pools((each for each in found if isinstance(each, Slots)), began)
    busy = _busy(locks, seen)
    left = _stuck(busy, seen)
    circles = tuple(_circle(each, seen) for each in cycles(left)[:_MAX_CYCLES])
    views = tuple(lock.view for lock in busy[:MAX_LOCKS])
    return LockReport(search_seconds, monotonic() - began, len(locks), len(busy), views, circles, len(left), pools)


def find_circles(found: Sequence[Lock | Slots]) -> list[list[Wait]]:
    """Return the circles in which tasks of the running loop wait for each other, by locks and by being awaited."""
    seen = _see()
    return cycles(_stuck(_busy(_only_locks(found), seen), seen))


def _only_locks(found: Sequence[Lock | Slots]) -> list[Lock]:
    return [each for each in found if not isinstance(each, Slots)]


@dataclass(frozen=True, slots=True)
class _Seen:
    """The tasks of the running loop.

    Args:
        stacks: Where they stand.
        names: What they are called.
    """

    stacks: Mapping[asyncio.Task[Any], Sequence[FrameType]]
    names: Mapping[asyncio.Task[Any], str]

    def name(self, task: asyncio.Task[Any]) -> str:
        """Return what *task* is called, which may have ended."""
        return self.names.get(task) or task.get_name()


def _see() -> _Seen:
    stacks = {task: await_chain(task) for task in list(asyncio.all_tasks())[:_MAX_TASKS]}
    return _Seen(stacks, names_of(stacks))


def _busy(locks: Sequence[Lock], seen: _Seen) -> list[_Busy]:
    """Return those of *locks* that are held or waited for, those first that most wait for."""
    noted = [_noted(state, seen) for lock in locks if isinstance(lock, Owned) for state in lock.states()]
    plain = [lock for lock in locks if not isinstance(lock, Owned) and is_busy(lock)]
    return sorted([*noted, *_plain(plain, seen)], key=lambda lock: lock.waiting, reverse=True)


def _stuck(busy: Sequence[_Busy], seen: _Seen) -> Mapping[asyncio.Task[Any], Wait]:
    waits = [wait for task, frames in seen.stacks.items() if (wait := joins(task, frames, seen.name)) is not None]
    return stuck([*waits, *(wait for lock in busy for wait in lock.waits())])


def _circle(waits: Sequence[Wait], seen: _Seen) -> tuple[Stuck, ...]:
    return tuple(
        Stuck(
            seen.name(wait.task),
            wait.on,
            seen.name(waits[(number + 1) % len(waits)].task),
            tuple(place_of(frame) for frame in seen.stacks.get(wait.task, ())),
        )
        for number, wait in enumerate(waits)
    )


def _noted(state: LockState, seen: _Seen) -> _Busy:
    """Return a lock that has noted who has it."""
    return _Busy(
        state.name,
        state.free,
        len(state.waiters),
        holders=[_party(share, seen) for share in state.holders],
        waiters=[_party(share, seen) for share in state.waiters],
    )


def _party(share: Share, seen: _Seen) -> tuple[asyncio.Task[Any] | None, int, Party]:
    task = share.task
    if task is None:
        return None, share.amount, Party("nobody's task", None, share.what)
    own = [frame for frame in seen.stacks.get(task, ()) if not _is_ours(frame)]
    place = place_of(own[-1]) if own else None
    return task, share.amount, Party(seen.name(task), place, share.what, ended=task.done())


def _is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.replace("\\", "/").endswith(_OURS)


_OURS = ("seawall/concurrency/turns.py", "seawall/concurrency/locks.py", "seawall/concurrency/semaphore.py")


def _plain(locks: Sequence[Plain], seen: _Seen) -> Iterator[_Busy]:
    """Give locks of asyncio, with the tasks that are seen to be inside of them or to wait for them."""
    inside: dict[int, list[tuple[asyncio.Task[Any] | None, int, Party]]] = {id(lock): [] for lock in locks}
    waiting: dict[int, list[tuple[asyncio.Task[Any] | None, int, Party]]] = {id(lock): [] for lock in locks}
    for task, frames in seen.stacks.items() if locks else ():
        for lock, place in entered_by(task, frames):
            if id(lock) in inside:
                inside[id(lock)].append((task, 1, Party(seen.name(task), place)))
        wanted = wanted_by(frames)
        if wanted is not None and id(wanted[0]) in waiting:
            waiting[id(wanted[0])].append((task, 1, Party(seen.name(task), wanted[1])))
    for lock in locks:
        holders, held = inside[id(lock)], held_of(lock)
        unknown = None if held is None else max(0, held - len(holders))
        kind = f"{type(lock).__qualname__} 0x{id(lock):x}"
        # Nobody knows in which order they came: none is taken to be ahead of another.
        yield _Busy(kind, free_of(lock), waiting_for(lock), unknown, free_of(lock), holders, waiting[id(lock)])
