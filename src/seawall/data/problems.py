"""What a database answers when it cannot do what was asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seawall.problems import Conflict, InvalidInput, PreconditionFailed, Unavailable

__all__ = [
    "CommitUnknown",
    "DatabaseUnavailable",
    "Duplicate",
    "InvalidCursor",
    "PoolExhausted",
    "SerializationFailed",
    "VersionConflict",
    "VersionMismatch",
]

_SOON: Mapping[str, str] = {"Retry-After": "1"}


class PoolExhausted(Unavailable):
    """503: no connection became free in time."""

    type = "urn:problem-type:seawall:pool-exhausted"
    title = "Too busy"
    guard = "pool"

    def __init__(self, detail: str = "The database is busy; no connection became free in time.", **extra: Any) -> None:
        super().__init__(detail, headers=_SOON, **extra)


class DatabaseUnavailable(Unavailable):
    """503: the database cannot be reached, or went away; nothing of the call was kept."""

    type = "urn:problem-type:seawall:database-unavailable"
    title = "Database unavailable"
    guard = "database"

    def __init__(self, detail: str = "The database cannot be reached.", **extra: Any) -> None:
        super().__init__(detail, headers=_SOON, **extra)


class CommitUnknown(Unavailable):
    """503: the connection broke during the commit; whether it happened is not known. Look before asking again."""

    type = "urn:problem-type:seawall:commit-unknown"
    title = "Outcome unknown"
    guard = "database"

    def __init__(
        self, detail: str = "The connection to the database broke during the commit; it may have happened."
    ) -> None:
        super().__init__(detail)


class SerializationFailed(Unavailable):
    """503: others changed the same data at the same time; nothing of the call was kept, asking again helps."""

    type = "urn:problem-type:seawall:serialization-failed"
    title = "Too many changes at once"
    guard = "database"

    def __init__(self, detail: str = "The database is busy: others change the same data at the same time.") -> None:
        super().__init__(detail, headers=_SOON)


class Duplicate(Conflict):
    """409: there is one with this value already."""

    type = "urn:problem-type:seawall:duplicate"
    title = "Already there"


class VersionConflict(Conflict):
    """409: it was changed by somebody else since it was read."""

    type = "urn:problem-type:seawall:version-conflict"
    title = "Changed meanwhile"


class VersionMismatch(PreconditionFailed):
    """412: as `VersionConflict`, for a caller that asked for a version with ``If-Match``."""

    type = "urn:problem-type:seawall:version-mismatch"
    title = "Changed meanwhile"


class InvalidCursor(InvalidInput):
    """422: the cursor is not one that this search gave out."""

    type = "urn:problem-type:seawall:invalid-cursor"
    title = "Invalid cursor"
