"""Taking back what was issued: tokens by their id, by their subject, or all that were issued before a moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

import msgspec

from seawall.clock import Clock

__all__ = ["Revocation", "RevocationList", "Revocations"]


class Revocation(msgspec.Struct, frozen=True):
    """One decision to take tokens back.

    Args:
        kind: ``"token"``: the one with the id *value* (``jti``); ``"subject"``: those of the subject *value* that were
            issued before *at*; ``"all"``: every one issued before *at*.
        value: The id or subject; empty for ``"all"``.
        at: The moment, in seconds since 1970.
        until: When it can be forgotten, because every token it is about has expired by itself.
    """

    kind: Literal["token", "subject", "all"]
    value: str
    at: float
    until: float


class Revocations(Protocol):
    """Where decisions are kept, for every process of the service to read."""

    async def revoke(self, revocation: Revocation) -> None:
        """Keep one decision; it counts once this returns. Raises when the store is down: nothing was revoked."""

    async def read(self, after: str) -> tuple[list[Revocation], str]:
        """Return the decisions after the mark *after* (``""`` for all that still matter), and the mark of the last."""
        ...


class RevocationList:
    """What one process knows to be revoked: a copy of the store in memory, so that a call never waits for it.

    `run` reads the store again every *interval* seconds: a token revoked by another process is refused *interval*
    seconds later at the latest. When the store is down, what was read last counts on (and the log says so).

    Args:
        store: Where decisions are kept.
        interval: Seconds between two looks at it.
    """

    def __init__(self, store: Revocations, interval: float = 1.0) -> None:
        self.store = store
        self.interval = interval
        self._mark = ""
        self._tokens: dict[str, float] = {}
        self._subjects: dict[str, Revocation] = {}
        self._all = 0.0
        self._listeners: list[Callable[[], None]] = []

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call *listener* whenever something was revoked."""
        if listener not in self._listeners:
            self._listeners.append(listener)

    async def revoke(self, revocation: Revocation) -> None:
        """Revoke, for this process at once.

        Raises:
            Exception: What the store raises when it is down; nothing was revoked then.
        """
        await self.store.revoke(revocation)
        self._take([revocation])

    async def refresh(self) -> None:
        """Read what other processes have revoked."""
        fresh, self._mark = await self.store.read(self._mark)
        self._take(fresh)

    def covers(self, claims: dict[str, Any]) -> bool:
        """Return whether a token that says *claims* was revoked.

        A token that does not say when it was issued counts as issued before every decision; times within one second
        are the same time, and the decision wins.
        """
        if self._tokens and claims.get("jti") in self._tokens:
            return True
        if not self._subjects and not self._all:
            return False
        issued = claims.get("iat", 0)
        if issued < self._all:
            return True
        found = self._subjects.get(claims["sub"])
        return found is not None and issued < found.at

    def forget(self, now: float) -> None:
        """Drop decisions that can no longer matter."""
        for token in [token for token, until in self._tokens.items() if until <= now]:
            del self._tokens[token]
        for subject in [name for name, each in self._subjects.items() if each.until <= now]:
            del self._subjects[subject]

    async def run(self, clock: Clock, failed: Callable[[Exception], None]) -> None:
        """Follow the store for as long as the service runs."""
        while True:
            try:
                await self.refresh()
                self.forget(clock.time())
            except Exception as error:  # noqa: BLE001 - any store, any failure: what was read last counts on
                failed(error)
            await clock.sleep(self.interval)

    def _take(self, revocations: list[Revocation]) -> None:
        for each in revocations:
            if each.kind == "token":
                self._tokens[each.value] = each.until
            elif each.kind == "subject":
                known = self._subjects.get(each.value)
                if known is None or known.at < each.at:
                    self._subjects[each.value] = each
            else:
                self._all = max(self._all, each.at)
        if revocations:
            for listener in self._listeners:
                listener()
