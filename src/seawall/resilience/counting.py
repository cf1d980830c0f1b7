"""How often policies did what: counted from their events, for metrics, in a bounded number of series."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from seawall.resilience.events import (
    CallRefused,
    Event,
    FellBack,
    GaveUp,
    Hedged,
    Retrying,
    StateChanged,
    StoreLost,
    TookTooLong,
)

__all__ = ["MOST", "OTHERS", "EventCounts"]

MOST = 500
"""Series there may be; what comes after that is counted under the name `OTHERS`."""
OTHERS = "other"

Key = tuple[str, str, str]
"""What was done, by which kind of policy, and the policy's name."""

_WHAT: dict[type[Event], Callable[[Any], tuple[str, str]]] = {
    Retrying: lambda _: ("retried", "retry"),
    GaveUp: lambda _: ("gave_up", "retry"),
    Hedged: lambda _: ("hedged", "hedge"),
    FellBack: lambda _: ("fell_back", "fallback"),
    TookTooLong: lambda _: ("timed_out", "timeout"),
    CallRefused: lambda event: ("refused", event.policy),
    StateChanged: lambda event: (f"became_{event.after.replace('-', '_')}", "breaker"),
    StoreLost: lambda _: ("store_lost", "breaker"),
}


class EventCounts(dict[Key, int]):
    """A hook that counts events; changes of adaptive limits are none worth counting."""

    def __call__(self, event: Event) -> None:
        """Count *event*."""
        told = _WHAT.get(type(event))
        if told is None:
            return
        key = (*told(event), event.name)
        if key not in self and len(self) >= MOST:
            key = (*key[:2], OTHERS)
        self[key] = self.get(key, 0) + 1
