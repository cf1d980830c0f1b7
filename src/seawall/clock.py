"""Time and chance, injected.

Nothing else in Seawall reads a clock, sleeps or draws a random number: a test that replaces
these two ports decides what time it is and what chance brings.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable
from typing import Protocol, runtime_checkable
from weakref import WeakSet

__all__ = ["Clock", "Random", "SystemClock", "SystemRandom", "Timer"]


class Timer(Protocol):
    """A callback that is due later and can be taken back."""

    def cancel(self) -> None:
        """Take the callback back; does nothing when it has already run."""


@runtime_checkable
class Clock(Protocol):
    """What time it is, and waiting for it to pass."""

    def monotonic(self) -> float:
        """Return seconds on a clock that never goes back; only differences mean anything."""
        ...

    def time(self) -> float:
        """Return seconds since 1970-01-01T00:00:00Z by the wall clock."""
        ...

    async def sleep(self, seconds: float, /) -> None:
        """Wait for *seconds*; less than or equal to zero yields once."""

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Run *callback* on the running event loop once *seconds* have passed."""
        ...


@runtime_checkable
class Random(Protocol):
    """Chance. Not for secrets: those come from `secrets`."""

    def random(self) -> float:
        """Return a number in [0, 1)."""
        ...

    def getrandbits(self, bits: int, /) -> int:
        """Return a non-negative integer of at most *bits* random bits."""
        ...


class SystemClock:
    """The machine's clocks and the running event loop's timers."""

    __slots__ = ()

    computing = staticmethod(time.thread_time)
    """Seconds for which this thread has had a processor; a clock without it is taken to have had one all the time."""
    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)
    sleep = staticmethod(asyncio.sleep)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Run *callback* on the running event loop once *seconds* have passed."""
        return asyncio.get_running_loop().call_later(seconds, callback)


_unseeded: WeakSet[random.Random] = WeakSet()


def _seed_again() -> None:
    for generator in _unseeded:
        generator.seed()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_seed_again)


class SystemRandom:
    """A generator of its own, seeded by the operating system or by *seed*.

    A process that is forked draws other numbers than the one it comes from: what tells claims and requests of
    processes apart rests on that.
    """

    __slots__ = ("_generator", "getrandbits", "random")

    def __init__(self, seed: int | None = None) -> None:
        self._generator = random.Random(seed)  # noqa: S311 - jitter and sampling; secrets come from `secrets`
        if seed is None:
            _unseeded.add(self._generator)
        self.random = self._generator.random
        self.getrandbits = self._generator.getrandbits
