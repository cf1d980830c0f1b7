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

    A store that cannot be reached raises a `Problem` (503) or an OSError, and the call is refused: to run it without a
    record would break the promise.
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

    async def complete(self, id: str, token: str, answer: bytes, retention: float) -> bool:  # noqa: A002 - as above
        """Keep *answer* for *retention* seconds; return whether the claim was still *token*'s."""
        ...

    async def release(self, id: str, token: str) -> None:  # noqa: A002 - as above
        """Forget the record if it is *token*'s and not complete."""
        ...

    async def forget(self) -> int:
        """Delete what has expired; return how many records that were. Run now and then."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
