"""Records in the memory of one process: for tests, and services of one process that may forget when it ends."""

from __future__ import annotations

from dataclasses import dataclass

from seawall.clock import Clock
from seawall.idempotency.store import Found
from seawall.problems import Unavailable

__all__ = ["MemoryStore"]


@dataclass(slots=True)
class _Record:
    fingerprint: str
    token: str
    expires: float
    answer: bytes | None = None


class MemoryStore:
    """Records in a dictionary.

    Args:
        clock: What time it is.
        most: Most records. Beyond that a new claim is refused: to forget a record early would let its request run
            twice.
    """

    def __init__(self, clock: Clock, most: int) -> None:
        self._clock = clock
        self._most = most
        self._records: dict[str, _Record] = {}

    async def claim(self, id: str, fingerprint: str, token: str, lease: float) -> Found:  # noqa: A002 - see Store
        """See `Store.claim`.

        Raises:
            Unavailable: There are too many records.
        """
        now = self._clock.monotonic()
        found = self._records.get(id)
        if found is None or found.expires <= now:
            if found is None and len(self._records) >= self._most and not await self.forget():
                raise Unavailable("Too many idempotency keys are kept at the moment.", headers={"Retry-After": "60"})
            self._records[id] = _Record(fingerprint, token, now + lease)
            return Found("claimed", fingerprint)
        if found.answer is None:
            return Found("running", found.fingerprint, left=found.expires - now)
        return Found("done", found.fingerprint, found.answer)

    async def complete(self, id: str, token: str, answer: bytes, retention: float) -> bool:  # noqa: A002 - see Store
        """See `Store.complete`."""
        found = self._records.get(id)
        if found is None or found.token != token or found.answer is not None:
            return False
        found.answer, found.expires = answer, self._clock.monotonic() + retention
        return True

    async def release(self, id: str, token: str) -> None:  # noqa: A002 - see Store
        """See `Store.release`."""
        found = self._records.get(id)
        if found is not None and found.token == token and found.answer is None:
            del self._records[id]

    async def forget(self) -> int:
        """See `Store.forget`."""
        now = self._clock.monotonic()
        expired = [id for id, record in self._records.items() if record.expires <= now]  # noqa: A001 - see Store
        for each in expired:
            del self._records[each]
        return len(expired)

    async def close(self) -> None:
        """Do nothing: the records stay for as long as the process."""
