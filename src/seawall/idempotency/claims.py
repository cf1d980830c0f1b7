"""Claims: one call's hold on its key, those this process holds, and what the store could not be told of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from seawall.clock import Clock

__all__ = ["Answer", "Claim", "Late", "OnOutage", "Owed", "Rule"]

OnOutage = Literal["closed", "open"]
MOST_OWED = 1000
MOST_OWED_BYTES = 16 * 1024 * 1024


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of an answer: everything but what the service adds to each."""

    status: int
    content_type: bytes | None
    body: bytes
    fields: list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What one operation does, every time in seconds.

    Args:
        method: The method of its route.
        retention: How long an answer is kept.
        lease: How long a claim lasts without being renewed.
        wait: How long a call waits for another with its key.
        on_outage: ``closed`` refuses calls with a key while the store cannot be reached, ``open`` runs them without.
        due: Returns until when, on the service's clock, a caller waits at the most; None where callers cannot say.
    """

    method: str
    retention: float
    lease: float
    wait: float
    on_outage: OnOutage = "closed"
    due: Any = None


class Claim:
    """One call's hold on its key."""

    __slots__ = ("answer", "before", "began", "fingerprint", "id", "operation", "renew_at", "rule", "saved", "token",
                 "until", "waiting")  # fmt: skip

    def __init__(self, id: str, fingerprint: str, token: str, rule: Rule, operation: str, before: int) -> None:  # noqa: A002 - of the record
        self.id = id
        self.fingerprint = fingerprint
        self.token = token
        self.rule = rule
        self.operation = operation
        self.before = before
        """How many header fields the call had: these are not the operation's."""
        self.answer: Answer | None = None
        """What was answered before; then the operation does not run."""
        self.began = False
        """Whether the operation itself was started: what fails earlier has had no effect."""
        self.saved = False
        """Whether the answer was written in the session that is being committed."""
        self.until = 0.0
        """When the lease is over, on this process's clock."""
        self.renew_at = 0.0
        self.waiting: dict[asyncio.Future[Answer | None], None] = {}
        """Calls of this process with the same key, that wait for this one."""

    def lasts(self, now: float) -> None:
        """Note that the lease began *now*. It is renewed when half of it is over."""
        self.until = now + self.rule.lease
        self.renew_at = now + self.rule.lease / 2

    async def ended(self, clock: Clock, seconds: float) -> Answer | None:
        """Wait until it has ended, for at most *seconds*; return its answer if it has one."""
        turn: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self.waiting[turn] = None
        timer = clock.call_later(seconds, lambda: None if turn.done() else turn.set_result(None))
        try:
            return await turn
        finally:
            timer.cancel()
            self.waiting.pop(turn, None)

    def end(self, answer: Answer | None) -> None:
        """Tell those who wait that it has ended, and with what."""
        for turn in self.waiting:
            if not turn.done():
                turn.set_result(answer)


@dataclass(frozen=True, slots=True)
class Late:
    """What the store is still to be told of a claim: its answer, or that it is let go."""

    claim: Claim
    answer: bytes | None


class Owed:
    """What the store could not be told, bounded in number and bytes; what has no room ends with its lease."""

    def __init__(self) -> None:
        self._late: dict[str, Late] = {}
        self._bytes = 0

    def __iter__(self) -> Iterator[Late]:
        return iter(list(self._late.values()))

    def add(self, claim: Claim, answer: bytes | None) -> None:
        """Note what is to be told again, if there is room."""
        size = len(answer or b"")
        if len(self._late) < MOST_OWED and self._bytes + size <= MOST_OWED_BYTES:
            self._late[claim.token] = Late(claim, answer)
            self._bytes += size

    def remove(self, late: Late) -> None:
        """Forget what was told, or came too late."""
        if self._late.pop(late.claim.token, None) is not None:
            self._bytes -= len(late.answer or b"")
