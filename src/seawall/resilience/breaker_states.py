"""The states of a breaker, as types. Each object is one stay in that state: a generation.

::

    Closed ──share of failures, slow calls, failures in a row──▶ Open ──its time is over──▶ HalfOpen
      ▲                                                           ▲                          │    │
      └──────────────── probes went well ─────────────────────────┼──────────────────────────┘    │
                                                                  └────── probes failed, got lost ─┘
    ForcedOpen, ForcedClosed: by hand, until `reset`.

An outcome is given to the state the call was let out under. Where that is not the breaker's state any more, the
outcome is of a former generation and does not count.
"""

from __future__ import annotations

from seawall.resilience.window import Window

__all__ = ["Closed", "ForcedClosed", "ForcedOpen", "HalfOpen", "Open", "State"]


class Closed:
    """Calls go out and are counted."""

    __slots__ = ("window",)
    label = "closed"

    def __init__(self, window: Window) -> None:
        self.window = window


class Open:
    """No call goes out before *until*; *times* says how often in a row it has opened."""

    __slots__ = ("times", "until")
    label = "open"

    def __init__(self, until: float, times: int) -> None:
        self.until = until
        self.times = times


class HalfOpen:
    """*left* more probes may go out; of those that have, some have ended."""

    __slots__ = ("ended", "failures", "left", "patience", "slows", "times")
    label = "half-open"

    def __init__(self, probes: int, times: int, patience: float) -> None:
        self.left = probes
        self.times = times
        self.patience = patience
        self.ended = 0
        self.failures = 0
        self.slows = 0


class ForcedOpen:
    """No call goes out, until somebody says otherwise."""

    __slots__ = ()
    label = "forced-open"


class ForcedClosed:
    """Every call goes out and none is counted, until somebody says otherwise."""

    __slots__ = ()
    label = "forced-closed"


State = Closed | Open | HalfOpen | ForcedOpen | ForcedClosed
