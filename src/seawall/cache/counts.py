"""What a cache has done."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Counts"]


@dataclass(slots=True)
class Counts:
    """Numbers since the start of the process; hits in the process are not counted one by one, for their speed.

    Args:
        loads: Loads that were begun.
        failures: Loads that raised.
        joined: Calls that waited for a load of somebody else in this process.
        shared_hits: Entries found in the shared tier.
        stale: Values given out past their time, as the cache was told to.
        poisoned: Entries that could not be read, and were taken for missing.
        unstorable: Values too large, or of a kind that has no encoding; they were returned and not kept.
        outages: Times the shared tier did not answer.
        outdated: Loads whose result was not kept because of an invalidation meanwhile, or a lease that had run out.
    """

    loads: int = 0
    failures: int = 0
    joined: int = 0
    shared_hits: int = 0
    stale: int = 0
    poisoned: int = 0
    unstorable: int = 0
    outages: int = 0
    outdated: int = 0
