"""What this process has of the values, and what it knows of invalidations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seawall.cache.codec import key_of
from seawall.cache.entry import Before, Entry
from seawall.cache.keep import WINDOW
from seawall.cache.local import Local
from seawall.cache.options import CacheOptions
from seawall.cache.prefixes import Prefixes
from seawall.cache.tags import Tags
from seawall.cache.want import Want
from seawall.clock import Clock

__all__ = ["Copies"]

OVERHEAD = 256
"""Bytes an entry is taken to need besides its value."""
ERROR_SIZE = 512


class Copies:
    """Entries of this process, each with what was known of invalidations when it was made.

    Args:
        clock: What time it is.
        options: Bounds.
    """

    def __init__(self, clock: Clock, options: CacheOptions) -> None:
        self.entries: Local[Entry] = Local(options.max_entries, options.max_bytes)
        self.tags = Tags()
        self.prefixes = Prefixes()
        self._now = clock.monotonic

    def before(self, tags: tuple[str, ...]) -> Before:
        """Return what is known of invalidations now, before a look or a load."""
        return Before(self.tags.versions(tags) if tags else (), self.tags.epoch, self.prefixes.number)

    def current(self, name: str, entry: Entry) -> bool:
        """Return whether *entry* has not been invalidated, as far as this process knows."""
        if entry.tags and not self.tags.current(entry.tags, entry.versions, entry.epoch):
            return False
        if entry.number != self.prefixes.number:
            if self.prefixes.outdated(key_of(name), entry.number):
                return False
            entry.number = self.prefixes.number
        return True

    def fresh(self, name: str) -> Entry | None:
        """Return the entry of *name* if it is fresh, as far as this process knows."""
        entry = self.entries.get(name)
        if entry is None or entry.error is not None or self._now() >= entry.fresh_until:
            return None
        return entry if self.current(name, entry) else None

    def put(
        self, want: Want, value: Any, left: float, took: float, size: int, before: Before, sure_until: float
    ) -> None:
        """Keep a value.

        Args:
            want: What was asked for.
            value: The value.
            left: Seconds it is fresh.
            took: Seconds its load took.
            size: Its bytes, encoded.
            before: What was known before it was looked for.
            sure_until: Until when it may be given out without a look at the shared tier.
        """
        keep, until = want.keep, self._now() + left
        sure = min(until - WINDOW * keep.early * took, sure_until)
        known = before.versions, before.epoch, before.number
        entry = Entry(value, None, sure, until, until + keep.stale, took, want.tags, *known, size + OVERHEAD)
        self.entries.put(want.name, entry)

    def put_error(self, want: Want, error: Exception, life: float, before: Before) -> None:
        """Keep an error for *life* seconds."""
        until = self._now() + life
        known = before.versions, before.epoch, before.number
        self.entries.put(want.name, Entry(None, error, 0.0, until, 0.0, 0.0, want.tags, *known, ERROR_SIZE))

    def invalidate(self, names: Sequence[str], tags: tuple[str, ...], prefixes: Sequence[str]) -> None:
        """Outdate *names*, and whatever has one of *tags* or a key that begins with one of *prefixes*."""
        for name in names:
            self.entries.drop(name)
        if tags:
            self.tags.invalidate(tags)
        for prefix in prefixes:
            self.prefixes.add(prefix, self.prefixes.number + 1)
