"""Which calls run, and which task runs which: what the profiler asks of the service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from seawall.call import Call, current

__all__ = ["Running", "RunningCalls", "call_of"]


@dataclass(frozen=True, slots=True)
class Running:
    """One running call.

    Args:
        task: What runs it.
        call: It.
        seconds: Since when.
    """

    task: asyncio.Task[Any]
    call: Call
    seconds: float


RunningCalls = Callable[[], Iterable[Running]]
"""Returns the calls that run now, as far as they have a deadline. May be asked from any thread."""


def call_of(task: asyncio.Task[Any]) -> Call | None:
    """Return the call that *task* works for, as its context says; None on Python 3.11, where that is not told."""
    get_context = getattr(task, "get_context", None)
    if get_context is None:
        return None
    call = get_context().get(current)
    return call if isinstance(call, Call) else None
