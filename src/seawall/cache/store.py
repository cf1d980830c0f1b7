"""The port of the shared tier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar, runtime_checkable

import msgspec

__all__ = [
    "Answer",
    "Asked",
    "Changes",
    "Claim",
    "Filled",
    "Follower",
    "Getter",
    "News",
    "Position",
    "Seen",
    "SharedStore",
    "StoreFull",
]

ItemT = TypeVar("ItemT")


class StoreFull(OSError):
    """The store answers, and takes nothing more."""


class Position(msgspec.Struct, frozen=True):
    """How much is known of the journal of invalidated prefixes.

    Args:
        journal: Which journal: a store that has lost its data has another one; empty for none.
        number: The number of the last invalidation that is known.
    """

    journal: bytes = b""
    number: int = 0


class Changes(msgspec.Struct, frozen=True):
    """What the journal says after a position.

    Args:
        position: The new position.
        floor: Invalidations up to this number are forgotten.
        prefixes: Invalidated prefixes and their numbers, in order; all there are, if the journal is another one.
    """

    position: Position
    floor: int
    prefixes: list[tuple[str, int]]


class Asked(msgspec.Struct, frozen=True):
    """A name, and the tags it has."""

    name: str
    tags: Sequence[str] = ()


class Seen(msgspec.Struct, frozen=True):
    """What is kept under a name: the bytes, or None; and the versions of the tags, b"" for one never seen."""

    data: bytes | None
    versions: list[bytes]


class Claim(msgspec.Struct, frozen=True):
    """The answer to a claim: whether it was granted, what is kept at that moment, and the versions of the tags."""

    won: bool
    data: bytes | None
    versions: list[bytes]


class Answer(msgspec.Struct, Generic[ItemT], frozen=True):
    """One item for each question, in their order; and what the journal says, where that was asked."""

    items: list[ItemT]
    changes: Changes | None


class Filled(msgspec.Struct, frozen=True):
    """What was loaded for a name: the versions its tags had when it was claimed, the bytes, the seconds to keep."""

    name: str
    tags: Sequence[str]
    versions: list[bytes]
    data: bytes
    life: float


class News(msgspec.Struct, frozen=True):
    """What another process has invalidated; *position* is where that left the journal."""

    names: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    position: Position = Position()


class SharedStore(Protocol):
    """Entries that several processes share.

    Every method is one atomic step for all it is asked about, and raises OSError if it was not done.
    """

    async def read(self, asked: Sequence[Asked], known: Position | None) -> Answer[Seen]:
        """Return what is kept, and the versions of the tags; and what the journal says after *known*, if given."""
        ...

    async def claim(self, asked: Sequence[Asked], token: str, lease: float, known: Position) -> Answer[Claim]:
        """Ask to be the one to load each of *asked* for *lease* seconds.

        Raises:
            StoreFull: There is no room for a claim.
        """
        ...

    async def fill(self, filled: Sequence[Filled], token: str) -> list[bool]:
        """Keep what was loaded, and give the claims back.

        Returns:
            False, with nothing kept, where the claim is another's by now or a tag has another version.
        """
        ...

    async def release(self, names: Sequence[str], token: str) -> None:
        """Give claims back, if they are still held."""
        ...

    async def invalidate(self, names: Sequence[str], tags: Sequence[str], prefixes: Sequence[str]) -> None:
        """Forget *names* and whoever loads them, give *tags* new versions, note *prefixes*, and tell every process."""
        ...


@runtime_checkable
class Getter(Protocol):
    """A store that reads one entry without tags in fewer steps than `SharedStore.read`."""

    async def get(self, name: str) -> bytes | None:
        """Return what is kept under *name*; raises OSError if it could not be read."""
        ...


@runtime_checkable
class Follower(Protocol):
    """A store that tells what other processes invalidate."""

    async def follow(self, heard: Callable[[News], None]) -> None:
        """Call *heard* until the connection breaks, which raises OSError."""
        ...
