"""The port of the shared tier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Claim", "Seen", "SharedStore"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What is kept under a name: the bytes, or None; and the versions of the tags, b"" for one never seen."""

    data: bytes | None
    versions: list[bytes]


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer to a claim: whether it was granted, what is kept at that moment, and the versions of the tags."""

    won: bool
    data: bytes | None
    versions: list[bytes]


class SharedStore(Protocol):
    """Entries that several processes share. Every method is one atomic step, and raises OSError if it was not done."""

    async def read(self, name: str, tags: Sequence[str]) -> Seen:
        """Return what is kept under *name*, and the versions of *tags*."""
        ...

    async def claim(self, name: str, tags: Sequence[str], token: str, lease: float) -> Claim:
        """Ask to be the one to load *name* for *lease* seconds."""
        ...

    async def fill(
        self, name: str, tags: Sequence[str], token: str, versions: list[bytes], data: bytes, life: float
    ) -> bool:
        """Keep *data* for *life* seconds and give the claim back.

        Returns False, and keeps nothing, if the claim is another's by now or one of *tags* has another version.
        """
        ...

    async def release(self, name: str, token: str) -> None:
        """Give the claim back, if it is still held."""
        ...

    async def invalidate(self, names: Sequence[str], tags: Sequence[str]) -> None:
        """Forget *names* and whoever loads them, give *tags* new versions, and tell every process."""
        ...
