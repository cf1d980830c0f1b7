"""Everything of identity in this process's memory: for one worker, tests and development."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from seawall.auth.api_keys import ApiKey
from seawall.auth.issuing import Family, Rotation
from seawall.auth.oidc import Flow
from seawall.auth.revocation import Revocation
from seawall.auth.sessions import Session
from seawall.clock import Clock, SystemClock
from seawall.problems import Unavailable

__all__ = ["MemoryApiKeys", "MemoryRefreshTokens", "MemoryRevocations", "MemorySessions", "MemorySignIns"]


def _make_room(kept: dict[str, Any], most: int, ended: Callable[[Any], bool]) -> None:
    """Drop what has ended from a full table; refuse when nothing has: what is there was given to somebody.

    Raises:
        Unavailable: The table is full.
    """
    if len(kept) < most:
        return
    for key in [key for key, value in kept.items() if ended(value)]:
        del kept[key]
    if len(kept) >= most:
        raise Unavailable("Too many are logged in at once.", headers={"Retry-After": "60"})


class MemoryRevocations:
    """Decisions to take tokens back."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._kept: dict[int, Revocation] = {}
        self._next = 1

    async def revoke(self, revocation: Revocation) -> None:
        """Keep one decision, and drop those that no longer matter."""
        now = self._clock.time()
        for number in [number for number, each in self._kept.items() if each.until <= now]:
            del self._kept[number]
        self._kept[self._next] = revocation
        self._next += 1

    async def read(self, after: str) -> tuple[list[Revocation], str]:
        """Return the decisions after the mark, and the mark of the last."""
        start = int(after or 0)
        return [each for number, each in self._kept.items() if number > start], str(self._next - 1)


class MemoryRefreshTokens:
    """Families of refresh tokens."""

    def __init__(self, most: int = 1_000_000, clock: Clock | None = None) -> None:
        self._most = most
        self._clock = clock or SystemClock()
        self._families: dict[str, tuple[Family, str]] = {}

    async def open(self, family: Family, current: str) -> None:
        """Keep a new family."""
        now = self._clock.time()
        _make_room(self._families, self._most, lambda kept: kept[0].expires <= now)
        self._families[family.id] = family, current

    async def rotate(self, family: str, used: str, fresh: str, now: float) -> Rotation:
        """Put *fresh* in the place of *used*, or end the family."""
        kept = self._families.get(family)
        if kept is None:
            return Rotation("unknown")
        found, current = kept
        if found.expires <= now or current != used:
            del self._families[family]
            return Rotation("unknown" if found.expires <= now else "reused", found)
        self._families[family] = found, fresh
        return Rotation("rotated", found)

    async def revoke_family(self, family: str) -> None:
        """End one family."""
        self._families.pop(family, None)

    async def revoke_subject(self, subject: str) -> int:
        """End every family of *subject*."""
        theirs = [name for name, (family, _) in self._families.items() if family.grant.subject == subject]
        for name in theirs:
            del self._families[name]
        return len(theirs)


class MemoryApiKeys:
    """API keys."""

    def __init__(self) -> None:
        self._keys: dict[str, ApiKey] = {}

    async def add(self, key: ApiKey) -> None:
        """Keep a new key."""
        self._keys[key.prefix] = key

    async def find(self, prefix: str) -> ApiKey | None:
        """Return the key with this prefix."""
        return self._keys.get(prefix)

    async def list(self, subject: str) -> list[ApiKey]:
        """Return the keys of *subject*, the newest first."""
        theirs = (key for key in self._keys.values() if key.subject == subject)
        return sorted(theirs, key=lambda key: (-key.created, key.prefix))

    async def revoke(self, prefix: str, subject: str | None, at: float) -> bool:
        """Take one key back."""
        key = self._keys.get(prefix)
        if key is None or key.revoked is not None or subject not in (None, key.subject):
            return False
        self._keys[prefix] = msgspec.structs.replace(key, revoked=at)
        return True

    async def used(self, prefix: str, at: float) -> None:
        """Keep when the key was last used."""
        key = self._keys.get(prefix)
        if key is not None:
            self._keys[prefix] = msgspec.structs.replace(key, last_used=max(at, key.last_used or at))


class MemorySessions:
    """Sessions of browsers."""

    def __init__(self, most: int = 1_000_000, clock: Clock | None = None) -> None:
        self._most = most
        self._clock = clock or SystemClock()
        self._sessions: dict[str, Session] = {}

    async def open_session(self, mark: str, session: Session) -> None:
        """Keep a new session."""
        now = self._clock.time()
        _make_room(self._sessions, self._most, lambda kept: kept.expires <= now)
        self._sessions[mark] = session

    async def read_session(self, mark: str, now: float) -> Session | None:
        """Return the session, unless it has ended."""
        session = self._sessions.get(mark)
        if session is not None and session.expires <= now:
            del self._sessions[mark]
            return None
        return session

    async def close_session(self, mark: str) -> None:
        """End it."""
        self._sessions.pop(mark, None)

    async def close_sessions(self, subject: str) -> int:
        """End every session of *subject*."""
        theirs = [mark for mark, session in self._sessions.items() if session.grant.subject == subject]
        for mark in theirs:
            del self._sessions[mark]
        return len(theirs)


class MemorySignIns:
    """Sign-ins that have begun; a flood of them drops the oldest, whose users begin again."""

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._flows: dict[str, tuple[Flow, float]] = {}

    async def keep_flow(self, state: str, flow: Flow, until: float) -> None:
        """Keep *flow* under the hash *state*."""
        if len(self._flows) >= self._most:
            for key in list(self._flows)[: max(1, self._most // 4)]:
                del self._flows[key]
        self._flows[state] = flow, until

    async def take_flow(self, state: str, now: float) -> Flow | None:
        """Return the flow under *state* and forget it."""
        flow, until = self._flows.pop(state, (None, 0.0))
        return flow if until > now else None
