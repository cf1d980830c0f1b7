"""Locks of asyncio that are held or waited for, with who waits and, where it can be told, who holds.

asyncio does not note who holds a lock. A task that stands inside ``async with lock:`` has the lock's exit on its
stack, which the garbage collector can see; one that called ``acquire()`` by itself cannot be told from any other.
Locks of threads are not known to the collector, so they are not here.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import AsyncGeneratorType, FrameType, MethodType
from typing import Any

from seawall.data.slots import Slots
from seawall.profiling.pools import PoolView, describe_pools, pool_lines
from seawall.profiling.stacks import Place, short_path, source_line
from seawall.profiling.tasks import await_chain, awaitables

__all__ = ["MAX_LOCKS", "LockReport", "LockView", "describe_locks", "find_locks"]

MAX_LOCKS = 200
"""Locks shown of one report."""
_MAX_TASKS = 10_000
_MAX_NESTED = 8


@dataclass(frozen=True, slots=True)
class Party:
    """A task that holds a lock or waits for it, and its line nearest to that."""

    task: str
    place: Place | None

    def __str__(self) -> str:
        """Return it as one line."""
        if self.place is None:
            return self.task
        where = f"{self.task} at {short_path(self.place.file)}:{self.place.line} in {self.place.name}"
        line = source_line(self.place)
        return f"{where}: {line}" if line else where


@dataclass(frozen=True, slots=True)
class LockView:
    """One lock.

    Args:
        kind: Its class, and its address to tell it from others.
        free: How many may still enter.
        holders: Tasks that are inside ``async with`` of it.
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
class LockReport:
    """Locks that are held or waited for.

    Args:
        search_seconds: How long finding them took, in a thread beside the loop.
        seconds: How long looking at their tasks took, on the event loop.
        total: How many locks there are.
        busy: How many of them are held or waited for.
        locks: The first of those.
        pools: Pools of database connections that are in use.
    """

    search_seconds: float
    seconds: float
    total: int
    busy: int
    locks: tuple[LockView, ...]
    pools: tuple[PoolView, ...] = ()

    def text(self) -> str:
        """Return it for reading."""
        lines = [
            f"{self.total} locks and semaphores of asyncio, {self.busy} of them held or waited for.",
            (
                f"Cost: finding them took {self.search_seconds * 1000:.0f} ms beside the event loop, "
                f"looking at their tasks {self.seconds * 1000:.1f} ms on it."
            ),
            "Holders are known for `async with` only. Locks of threads cannot be seen.",
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


Lock = asyncio.Lock | asyncio.Semaphore


def find_locks() -> list[Lock | Slots]:
    """Return all locks, semaphores and pools; blocks for tens of milliseconds per million objects."""
    return [each for each in gc.get_objects() if issubclass(type(each), (asyncio.Lock, asyncio.Semaphore, Slots))]


def describe_locks(found: Sequence[Lock | Slots], monotonic: Callable[[], float], search_seconds: float) -> LockReport:
    """Look at locks and pools and at the tasks of the running loop, on it.

    Args:
        found: What `find_locks` has found.
        monotonic: Measures the cost.
        search_seconds: How long that took.
    """
    began = monotonic()
    locks = [each for each in found if not isinstance(each, Slots)]
    pools = describe_pools((each for each in found if isinstance(each, Slots)), began)
    busy = [lock for lock in locks if _is_busy(lock)]
    shown = sorted(busy, key=_waiting, reverse=True)[:MAX_LOCKS]
    inside: dict[int, list[Party]] = {id(lock): [] for lock in shown}
    waiting: dict[int, list[Party]] = {id(lock): [] for lock in shown}
    for task in list(asyncio.all_tasks())[:_MAX_TASKS] if shown else ():
        frames = await_chain(task)
        for lock, place in _entered(task, frames):
            if id(lock) in inside:
                inside[id(lock)].append(Party(task.get_name(), place))
        wanted = _wanted(frames)
        if wanted is not None and id(wanted[0]) in waiting:
            waiting[id(wanted[0])].append(Party(task.get_name(), wanted[1]))
    views = tuple(_view(lock, inside[id(lock)], waiting[id(lock)]) for lock in shown)
    return LockReport(search_seconds, monotonic() - began, len(locks), len(busy), views, pools)


def _view(lock: Lock, inside: list[Party], waiting: list[Party]) -> LockView:
    held, free = _held(lock), _free(lock)
    unknown = None if held is None else max(0, held - len(inside))
    kind = f"{type(lock).__qualname__} 0x{id(lock):x}"
    return LockView(kind, free, tuple(inside), unknown, tuple(waiting), _waiting(lock))


def _is_busy(lock: Lock) -> bool:
    return bool(_held(lock)) or lock.locked() or _waiting(lock) > 0


def _waiting(lock: Lock) -> int:
    return sum(not each.done() for each in getattr(lock, "_waiters", None) or ())


def _free(lock: Lock) -> int:
    return int(not lock.locked()) if isinstance(lock, asyncio.Lock) else int(getattr(lock, "_value", 0))


def _held(lock: Lock) -> int | None:
    """Return how many hold *lock*; None for a semaphore that has forgotten what it began with."""
    if isinstance(lock, asyncio.Lock):
        return int(lock.locked())
    bound = getattr(lock, "_bound_value", None)
    return None if bound is None else int(bound) - _free(lock)


def _wanted(frames: Sequence[FrameType]) -> tuple[Lock, Place | None] | None:
    """Return the lock whose ``acquire`` stands innermost, with the line that wants it."""
    if not frames or frames[-1].f_code.co_name != "acquire":
        return None
    lock = frames[-1].f_locals.get("self")
    if not isinstance(lock, (asyncio.Lock, asyncio.Semaphore)):
        return None
    users = [frame for frame in frames[:-1] if frame.f_code.co_name != "__aenter__"]
    return lock, _place(users[-1]) if users else None


def _entered(task: asyncio.Task[Any], frames: Sequence[FrameType]) -> Iterator[tuple[Lock, Place]]:
    """Yield the locks that *task* is inside of, by the exits that its coroutines keep for later."""
    entering = (
        frames[-2].f_locals.get("self") if len(frames) > 1 and frames[-2].f_code.co_name == "__aenter__" else None
    )
    found: list[tuple[Lock, Place]] = []
    chain = list(awaitables(task))
    # A generator that is being run is one of the chain, and is not to be found again by who is within it.
    known = {id(awaitable) for _, awaitable in chain}
    for frame, awaitable in chain:
        found += [(lock, _place(frame)) for lock in _exits(gc.get_referents(awaitable), known)]
        if len(found) >= MAX_LOCKS:
            break
    # The exit is put there before the lock is waited for: the innermost one of a lock that is wanted is not yet due.
    for index in range(len(found) - 1, -1, -1):
        if found[index][0] is entering:
            del found[index]
            break
    yield from found


def _exits(referents: Sequence[Any], known: set[int], depth: int = 0) -> Iterator[Lock]:
    """Yield each lock whose exit is among what a coroutine refers to, or what it is within refers to.

    Until Python 3.13 an exit is a bound method; since 3.14 the function and its object lie there side by side. What a
    coroutine is within may be a generator that holds the lock in its turn (`contextlib`'s context managers, resources
    of a call) or a stack of exits.
    """
    if depth > _MAX_NESTED:
        return
    apart = any(
        getattr(each, "__qualname__", "") == "_ContextManagerMixin.__aexit__"
        for each in referents
        if not isinstance(each, MethodType)
    )
    for each in referents:
        exits = isinstance(each, MethodType) and each.__name__ == "__aexit__"
        owner = each.__self__ if exits else each
        if isinstance(owner, (asyncio.Lock, asyncio.Semaphore)):
            if exits or apart:
                yield owner
        elif isinstance(owner, contextlib.AsyncExitStack) and id(owner) not in known:
            known.add(id(owner))  # its exit and itself may both be there
            yield from _exits([exit_ for _, exit_ in getattr(owner, "_exit_callbacks", ())], known, depth + 1)
        else:
            within = getattr(owner, "gen", None) if exits else owner
            if isinstance(within, AsyncGeneratorType) and id(within) not in known:
                known.add(id(within))
                yield from _exits(gc.get_referents(within), known, depth + 1)


def _place(frame: FrameType) -> Place:
    return Place(frame.f_code.co_qualname, frame.f_code.co_filename, frame.f_lineno or 0)
