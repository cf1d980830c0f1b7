"""What came of the demonstration's requests: how many, how fast, with which statuses, and what went wrong."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field

__all__ = ["OfOne", "Tally", "percentile"]

_KEPT = 8  # examples of what went wrong; the rest is counted


@dataclass(slots=True)
class OfOne:
    """What came of one kind of request. Times are in seconds."""

    times: array[float] = field(default_factory=lambda: array("d"))
    statuses: Counter[str] = field(default_factory=Counter)
    wrong: int = 0


@dataclass(slots=True)
class Tally:
    """What came of all requests."""

    kinds: dict[str, OfOne] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)
    """What else was seen, such as dashboards with a part missing."""
    unsettled: list[str] = field(default_factory=list)
    """Payments that met a fault and are to be asked for again."""

    @property
    def requests(self) -> int:
        """How many were sent."""
        return sum(sum(of_one.statuses.values()) for of_one in self.kinds.values())

    @property
    def wrong(self) -> int:
        """How many ended otherwise than they should have."""
        return sum(of_one.wrong for of_one in self.kinds.values())

    def add(self, kind: str, status: str, seconds: float) -> None:
        """Count a request that was answered with *status*, or ended with an error of that name."""
        of_one = self.kinds.setdefault(kind, OfOne())
        of_one.statuses[status] += 1
        of_one.times.append(seconds)

    def complain(self, kind: str, what: str) -> None:
        """Count a request as one that should have ended otherwise."""
        self.kinds.setdefault(kind, OfOne()).wrong += 1
        if len(self.complaints) < _KEPT:
            self.complaints.append(f"{kind}: {what}")


def percentile(times: array[float], share: float, last: int | None = None) -> float:
    """Return the time that *share* of the *last* ones (all by default) stay within; 0 if there are none."""
    considered = sorted(times if last is None else times[-last:])
    return considered[min(len(considered) - 1, int(len(considered) * share))] if considered else 0.0
