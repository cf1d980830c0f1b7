"""The shared tier in memory: for caches of one process that behave like those of several, and for tests."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from seawall.cache.store import Answer, Asked, Changes, Claim, Filled, Position, Seen
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
        self._prefixes: dict[str, int] = {}
        self._position = Position(b"memory")
        self._next = count(1).__next__

    async def read(self, asked: Sequence[Asked], known: Position | None) -> Answer[Seen]:
        """Return what is kept; see `SharedStore.read`."""
        items = [Seen(self._get(each.name), [self._tags.get(tag, b"") for tag in each.tags]) for each in asked]
        return Answer(items, None if known is None else self._changes(known))

    async def claim(self, asked: Sequence[Asked], token: str, lease: float, known: Position) -> Answer[Claim]:
        """Claim; see `SharedStore.claim`."""
        now, items = self._clock.monotonic(), []
        for each in asked:
            holder, until = self._claims.get(each.name, ("", 0.0))
            if won := now >= until or holder == token:
                self._claims[each.name] = token, now + lease
            versions = [self._tags.setdefault(tag, b"%d" % self._next()) for tag in each.tags]
            items.append(Claim(won, self._get(each.name), versions))
        return Answer(items, self._changes(known))

    async def fill(self, filled: Sequence[Filled], token: str) -> list[bool]:
        """Keep; see `SharedStore.fill`."""
        return [self._fill(each, token) for each in filled]

    async def release(self, names: Sequence[str], token: str) -> None:
        """Release; see `SharedStore.release`."""
        for name in names:
            if self._held(name, token):
                del self._claims[name]

    async def invalidate(self, names: Sequence[str], tags: Sequence[str], prefixes: Sequence[str]) -> None:
        """Invalidate; see `SharedStore.invalidate`."""
        for name in names:
            self._data.pop(name, None)
            self._claims.pop(name, None)
        for tag in tags:
            self._tags[tag] = b"%d" % self._next()
        for prefix in prefixes:
            self._prefixes.pop(prefix, None)
            self._prefixes[prefix] = number = self._position.number + 1
            self._position = Position(self._position.journal, number)

    def _fill(self, filled: Filled, token: str) -> bool:
        if not self._held(filled.name, token):
            return False
        del self._claims[filled.name]
        if [self._tags.get(tag, b"") for tag in filled.tags] != filled.versions:
            return False
        self._data[filled.name] = filled.data, self._clock.monotonic() + filled.life
        return True

    def _changes(self, known: Position) -> Changes:
        since = known.number if known.journal == self._position.journal else 0
        return Changes(self._position, 0, [pair for pair in self._prefixes.items() if pair[1] > since])

    def _held(self, name: str, token: str) -> bool:
        holder, until = self._claims.get(name, ("", 0.0))
        return holder == token and self._clock.monotonic() < until

    def _get(self, name: str) -> bytes | None:
        data, until = self._data.get(name, (None, 0.0))
        if data is not None and self._clock.monotonic() >= until:
            del self._data[name]
            return None
        return data
