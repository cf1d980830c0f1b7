"""Records in the memory of one process: for tests, and services of one process that may forget when it ends."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush

from seawall.clock import Clock
from seawall.idempotency.store import Found
from seawall.problems import Unavailable

__all__ = ["MemoryStore"]

FEW = 64
"""Expired records that are forgotten to make room for a new one."""


@dataclass(slots=True)
class _Record:
    fingerprint: str
    token: str
    expires: float
    answer: bytes | None = None


class MemoryStore:
    """Records in a dictionary, and a heap of when they may expire.

    Args:
        clock: What time it is.
        most: Most records. Beyond that a new claim is refused: to forget a record early would let its request run
            twice.
    """

    def __init__(self, clock: Clock, most: int) -> None:
        self._clock = clock
        self._most = most
        self._records: dict[str, _Record] = {}
        self._due: list[tuple[float, str]] = []

    async def claim(self, id: str, fingerprint: str, token: str, lease: float) -> Found:  # noqa: A002 - see Store
        """See `Store.claim`.

        Raises:
            Unavailable: There are too many records.
        """
        now = self._clock.monotonic()
        found = self._records.get(id)
        if found is None or found.expires <= now:
            if found is None and len(self._records) >= self._most and not await self.forget(FEW):
                raise Unavailable("Too many idempotency keys are kept at the moment.", headers={"Retry-After": "60"})
            self._keep(id, _Record(fingerprint, token, now + lease))
            return Found("claimed", fingerprint)
        if found.answer is not None:
            return Found("done", found.fingerprint, found.answer)
        return Found("running", found.fingerprint, left=found.expires - now)

    async def hold(self, id: str, token: str, lease: float) -> bool:  # noqa: A002 - see Store
        """See `Store.hold`."""
        found = self._own(id, token)
        if found is None:
            return False
        if lease > 0:
            found.expires = self._clock.monotonic() + lease
            self._keep(id, found)
        else:
            del self._records[id]
        return True

    async def complete(self, id: str, token: str, answer: bytes, retention: float) -> bool:  # noqa: A002 - see Store
        """See `Store.complete`."""
        found = self._own(id, token)
        if found is None:
            return False
        found.answer, found.expires = answer, self._clock.monotonic() + retention
        self._keep(id, found)
        return True

    async def forget(self, most: int) -> int:
        """See `Store.forget`. Every entry of the heap is looked at once, however often it is asked."""
        now, forgotten = self._clock.monotonic(), 0
        while self._due and self._due[0][0] <= now and forgotten < most:
            _, id = heappop(self._due)  # noqa: A001 - see Store
            found = self._records.get(id)
            if found is not None and found.expires <= now:  # else it was held longer, and has a later entry
                del self._records[id]
                forgotten += 1
        return forgotten

    async def close(self) -> None:
        """Do nothing: the records stay for as long as the process."""

    def _own(self, id: str, token: str) -> _Record | None:  # noqa: A002 - see Store
        found = self._records.get(id)
        return found if found is not None and found.token == token and found.answer is None else None

    def _keep(self, id: str, record: _Record) -> None:  # noqa: A002 - see Store
        self._records[id] = record
        heappush(self._due, (record.expires, id))
