"""The shared tier in memory: for caches of one process that behave like those of several, and for tests."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from seawall.cache.store import Claim, Seen
from seawall.clock import Clock

__all__ = ["MemoryStore"]


class MemoryStore:
    """Keeps entries in dictionaries; nothing bounds them but time.

    Args:
        clock: What time it is.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._data: dict[str, tuple[bytes, float]] = {}
        self._claims: dict[str, tuple[str, float]] = {}
        self._tags: dict[str, bytes] = {}
        self._next = count(1).__next__

    async def read(self, name: str, tags: Sequence[str]) -> Seen:
        """Return what is kept; see `SharedStore.read`."""
        return Seen(self._get(name), [self._tags.get(tag, b"") for tag in tags])

    async def claim(self, name: str, tags: Sequence[str], token: str, lease: float) -> Claim:
        """Claim; see `SharedStore.claim`."""
        now = self._clock.monotonic()
        holder, until = self._claims.get(name, ("", 0.0))
        if won := now >= until or holder == token:
            self._claims[name] = token, now + lease
        versions = [self._tags.setdefault(tag, b"%d" % self._next()) for tag in tags]
        return Claim(won, self._get(name), versions)

    async def fill(
        self, name: str, tags: Sequence[str], token: str, versions: list[bytes], data: bytes, life: float
    ) -> bool:
        """Keep; see `SharedStore.fill`."""
        if not self._held(name, token):
            return False
        del self._claims[name]
        if [self._tags.get(tag, b"") for tag in tags] != versions:
            return False
        self._data[name] = data, self._clock.monotonic() + life
        return True

    async def release(self, name: str, token: str) -> None:
        """Release; see `SharedStore.release`."""
        if self._held(name, token):
            del self._claims[name]

    async def invalidate(self, names: Sequence[str], tags: Sequence[str]) -> None:
        """Invalidate; see `SharedStore.invalidate`."""
        for name in names:
            self._data.pop(name, None)
            self._claims.pop(name, None)
        for tag in tags:
            self._tags[tag] = b"%d" % self._next()

    def _held(self, name: str, token: str) -> bool:
        holder, until = self._claims.get(name, ("", 0.0))
        return holder == token and self._clock.monotonic() < until

    def _get(self, name: str) -> bytes | None:
        data, until = self._data.get(name, (None, 0.0))
        if data is not None and self._clock.monotonic() >= until:
            del self._data[name]
            return None
        return data
