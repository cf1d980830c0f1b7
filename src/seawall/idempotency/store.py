"""The port: where claims and answers are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

__all__ = ["Found", "Store"]


@dataclass(frozen=True, slots=True)
class Found:
    """What a claim found.

    Args:
        state: ``claimed``: it is the caller's now; ``running``: another's, whose lease lasts; ``done``: there is an
            answer.
        fingerprint: Of the request that the record is for.
        answer: What was kept, if it is done.
        left: Seconds of the other's lease that are left, if it is running.
    """

    state: Literal["claimed", "running", "done"]
    fingerprint: str
    answer: bytes = b""
    left: float = 0.0


class Store(Protocol):
    """Records by an id. Every verb is one atomic step; `token` is new for every claim and fences off late ones.

    A store that cannot be reached raises a `Problem` (503) or an OSError; whether the call is refused then is up to its
    rule (`on_outage`).
    """

    async def claim(self, id: str, fingerprint: str, token: str, lease: float) -> Found:  # noqa: A002 - it is one
        """Make a record if there is none, or none that has not expired; else say what there is.

        Args:
            id: The record.
            fingerprint: Of the request.
            token: Who claims it.
            lease: Seconds after which another may take it over.
        """
        ...

    async def hold(self, id: str, token: str, lease: float) -> bool:  # noqa: A002 - as above
        """Let a claim last for *lease* seconds from now, or let it go where that is 0.

        Returns:
            Whether it was still *token*'s, and not complete; else nothing has changed.
        """
        ...

    async def complete(self, id: str, token: str, answer: bytes, retention: float) -> bool:  # noqa: A002 - as above
        """Keep *answer* for *retention* seconds; return whether the claim was still *token*'s."""
        ...

    async def forget(self, most: int) -> int:
        """Delete records that have expired, *most* of them at once; return how many those were. Run now and then.

        It waits for nobody's record and holds up nobody for longer than it takes to delete so many.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
