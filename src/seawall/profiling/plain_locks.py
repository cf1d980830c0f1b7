"""What can be seen of asyncio's own locks: how many hold one, who is inside, who waits.

asyncio does not note who holds a lock. A task that stands inside ``async with lock:`` has the lock's exit on its stack,
which the garbage collector can see; one that called ``acquire()`` by itself cannot be told from any other.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Iterator, Sequence
from types import AsyncGeneratorType, FrameType, MethodType
from typing import Any

from seawall.profiling.stacks import Place
from seawall.profiling.tasks import awaitables

__all__ = ["Plain", "entered_by", "free_of", "held_of", "is_busy", "place_of", "waiting_for", "wanted_by"]

Plain = asyncio.Lock | asyncio.Semaphore

_MOST_ENTERED = 200
_MAX_NESTED = 8


def is_busy(lock: Plain) -> bool:
    """Return whether anybody holds *lock* or waits for it."""
    return bool(held_of(lock)) or lock.locked() or waiting_for(lock) > 0


def waiting_for(lock: Plain) -> int:
    """Return how many wait for *lock*."""
    return sum(not each.done() for each in getattr(lock, "_waiters", None) or ())


def free_of(lock: Plain) -> int:
    """Return how many may still enter *lock*."""
    return int(not lock.locked()) if isinstance(lock, asyncio.Lock) else int(getattr(lock, "_value", 0))


def held_of(lock: Plain) -> int | None:
    """Return how many hold *lock*; None for a semaphore that has forgotten what it began with."""
    if isinstance(lock, asyncio.Lock):
        return int(lock.locked())
    bound = getattr(lock, "_bound_value", None)
    return None if bound is None else int(bound) - free_of(lock)


def wanted_by(frames: Sequence[FrameType]) -> tuple[Plain, Place | None] | None:
    """Return the lock whose ``acquire`` stands innermost, with the line that wants it."""
    if not frames or frames[-1].f_code.co_name != "acquire":
        return None
    lock = frames[-1].f_locals.get("self")
    if not isinstance(lock, (asyncio.Lock, asyncio.Semaphore)):
        return None
    users = [frame for frame in frames[:-1] if frame.f_code.co_name != "__aenter__"]
    return lock, place_of(users[-1]) if users else None


def entered_by(task: asyncio.Task[Any], frames: Sequence[FrameType]) -> Iterator[tuple[Plain, Place]]:
    """Yield the locks that *task* is inside of, by the exits that its coroutines keep for later."""
    entering = (
        frames[-2].f_locals.get("self") if len(frames) > 1 and frames[-2].f_code.co_name == "__aenter__" else None
    )
    found: list[tuple[Plain, Place]] = []
    chain = list(awaitables(task))
    # A generator that is being run is one of the chain, and is not to be found again by who is within it.
    known = {id(awaitable) for _, awaitable in chain}
    for frame, awaitable in chain:
        found += [(lock, place_of(frame)) for lock in _exits(gc.get_referents(awaitable), known)]
        if len(found) >= _MOST_ENTERED:
            break
    # The exit is put there before the lock is waited for: the innermost one of a lock that is wanted is not yet due.
    for index in range(len(found) - 1, -1, -1):
        if found[index][0] is entering:
            del found[index]
            break
    yield from found


def _exits(referents: Sequence[Any], known: set[int], depth: int = 0) -> Iterator[Plain]:
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


def place_of(frame: FrameType) -> Place:
    """Return where *frame* stands."""
    return Place(frame.f_code.co_qualname, frame.f_code.co_filename, frame.f_lineno or 0)
