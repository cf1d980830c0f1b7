"""A cache among the metrics of a service."""

from __future__ import annotations

from typing import Any

from seawall.cache.cache import Cache

__all__ = ["show_cache"]


def show_cache(metrics: Any, cache: Cache) -> None:
    """Show what *cache* keeps and has done; a fixed number of series, whatever the keys are.

    Args:
        metrics: ``service.metrics``.
        cache: The cache.
    """
    counts, entries, shared = cache.counts, cache.copies.entries, cache.shared

    def requests() -> dict[str, float]:
        return {
            "local": counts.local_hits,
            "shared": counts.shared_hits,
            "stale": counts.stale,
            "miss": counts.misses,
            "error": counts.errors,
        }

    def loads() -> dict[str, float]:
        return {"begun": counts.loads, "failed": counts.failures, "spared": counts.joined}

    def dropped() -> dict[str, float]:
        return {
            "evicted": entries.evicted,
            "poisoned": counts.poisoned,
            "unstorable": counts.unstorable,
            "outdated": counts.outdated,
        }

    def traffic() -> dict[str, float]:
        return {"encoded": counts.encoded_bytes, "sent": counts.sent_bytes, "received": counts.received_bytes}

    for name, text, read, labels, total in (
        ("requests", "Values asked for, by where they were found.", requests, ("result",), True),
        ("loads", "Loads begun and failed, and values that waited for the load of another.", loads, ("event",), True),
        (
            "dropped",
            "Values that were not kept, or no longer, and entries that could not be read.",
            dropped,
            ("reason",),
            True,
        ),
        ("entries", "Values in memory.", lambda: len(entries), (), False),
        (
            "bytes",
            "Of cache.max_bytes, what is taken.",
            lambda: entries.size,
            (),
            False,
        ),
    ):
        metrics.gauge(f"seawall_cache_{name}", text, read, labels=labels, total=total)
    if shared is None:
        return
    metrics.gauge("seawall_cache_shared_up", "1 while the shared tier answers.", lambda: float(shared.answers))
    metrics.gauge(
        "seawall_cache_shared_failures",
        "Times the shared tier did not answer, or had no room.",
        lambda: {"unreachable": counts.outages, "full": counts.full},
        labels=("reason",),
        total=True,
    )
    metrics.gauge(
        "seawall_cache_shared_bytes",
        "Bytes of values, as encoded, as sent to the shared tier, and as received from it.",
        traffic,
        labels=("direction",),
        total=True,
    )
