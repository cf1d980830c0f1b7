"""What a cache has done."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Counts"]


@dataclass(slots=True)
class Counts:
    """Numbers since the start of the process. Every value asked for is one hit, stale, miss, or kept error.

    Args:
        local_hits: Values this process had.
        shared_hits: Values found in the shared tier, by those who looked or waited for the look of another.
        stale: Values given out past their time, as the cache was told to.
        misses: Values that had to be loaded, or whose load by another was waited for.
        errors: Errors that were kept, and given out again.
        joined: Misses that waited for a load of somebody else in this process.
        loads: Loads that were begun; one for as many values as are loaded at once.
        failures: Loads that raised.
        poisoned: Entries that could not be read, and were taken for missing.
        unstorable: Values too large, or of a kind that has no encoding; they were returned and not kept.
        outages: Times the shared tier did not answer.
        full: Times the shared tier had no room.
        outdated: Loads whose result was not kept because of an invalidation meanwhile, or a lease that had run out.
        encoded_bytes: Bytes of the values sent to the shared tier.
        sent_bytes: What was sent for them, headers included and compressed where that pays.
        received_bytes: Bytes of the entries read there.
    """

    local_hits: int = 0
    shared_hits: int = 0
    stale: int = 0
    misses: int = 0
    errors: int = 0
    joined: int = 0
    loads: int = 0
    failures: int = 0
    poisoned: int = 0
    unstorable: int = 0
    outages: int = 0
    full: int = 0
    outdated: int = 0
    encoded_bytes: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0
