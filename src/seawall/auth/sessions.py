"""Sessions of browsers, as they are kept; the cookie is HTTP's (`seawall.http.sessions`)."""

from __future__ import annotations

from typing import Protocol

import msgspec

from seawall.auth.issuing import Grant

__all__ = ["Session", "SessionStore"]


class Session(msgspec.Struct, frozen=True):
    """One browser that is logged in.

    Args:
        grant: What it is granted.
        csrf: What a page of ours must send back to change anything.
        expires: When it ends, in seconds since 1970.
    """

    grant: Grant
    csrf: str
    expires: float


class SessionStore(Protocol):
    """Where sessions are kept, under the hash of what the browser holds."""

    async def open_session(self, mark: str, session: Session) -> None:
        """Keep a new session."""

    async def read_session(self, mark: str, now: float) -> Session | None:
        """Return the session, unless it has ended."""
        ...

    async def close_session(self, mark: str) -> None:
        """End it; does nothing when it has ended."""

    async def close_sessions(self, subject: str) -> int:
        """End every session of *subject*; return how many there were."""
        ...
