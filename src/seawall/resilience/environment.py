"""What every policy of one registry shares: time, chance, and who is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from seawall.clock import Clock, Random, SystemClock, SystemRandom
from seawall.resilience.events import Event, Hook

__all__ = ["Environment"]

_log = logging.getLogger("seawall.resilience")


class Environment:
    """Clock, chance and hooks of one registry.

    Args:
        clock: What time it is.
        random: Chance, for jitter and throttling.
        hooks: Who is told of events.
    """

    __slots__ = ("clock", "expiries", "hooks", "random")

    def __init__(self, clock: Clock | None = None, random: Random | None = None, hooks: Sequence[Hook] = ()) -> None:
        self.clock: Clock = clock or SystemClock()
        self.random: Random = random or SystemRandom()
        self.hooks: list[Hook] = list(hooks)
        self.expiries: dict[asyncio.Task[object], int] = {}
        """Time limits that have passed and cancelled a task, and have not been turned into an error yet."""

    def emit(self, event: Event) -> None:
        """Give *event* to every hook; one that raises is logged and hurts nobody."""
        for hook in tuple(self.hooks):
            try:
                hook(event)
            except Exception:  # noqa: BLE001 - whatever it is, the call goes on
                _log.exception("a hook failed on %s of %r", type(event).__name__, event.name)
