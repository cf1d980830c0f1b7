"""What goes wrong at a database becomes a problem that says no more than a caller may know."""

from __future__ import annotations

import asyncio

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm.exc import StaleDataError

from seawall.call import current
from seawall.data.backend import Backend, Failure
from seawall.data.problems import (
    CommitUnknown,
    DatabaseUnavailable,
    Duplicate,
    SerializationFailed,
    VersionConflict,
    VersionMismatch,
)
from seawall.problems import DeadlineExceeded, Problem

__all__ = ["problem_of"]

CHANGED = "It was changed by somebody else meanwhile; read it again."


def problem_of(error: Exception, backend: Backend, *, duplicates: bool, committing: bool = False) -> Problem | None:
    """Return the problem that *error* amounts to, or None where it stays what it is.

    Args:
        error: What SQLAlchemy or the driver raised.
        backend: The kind of database.
        duplicates: Whether a value that is there already is the caller's conflict, and no error of the service.
        committing: Whether the transaction was being committed.
    """
    if isinstance(error, StaleDataError):
        call = current.get(None)
        asked = call is not None and b"if-match" in call.metadata
        return VersionMismatch(CHANGED) if asked else VersionConflict(CHANGED)
    if isinstance(error, DBAPIError):
        cause: BaseException = error.orig if error.orig is not None else error
        broken = error.connection_invalidated
        # A statement of the flush before it has a text; the commit itself has none.
        committing = committing and error.statement is None
    elif isinstance(error, (Problem, asyncio.InvalidStateError)):
        return None
    else:
        cause, broken = error, False
    failure = backend.classify(cause)
    if (broken or failure is Failure.UNREACHABLE) and committing:
        return CommitUnknown()
    if broken or failure in (Failure.UNREACHABLE, Failure.REFUSED):
        return DatabaseUnavailable("The connection to the database broke; nothing was kept.")
    if failure is Failure.SERIALIZATION:
        return SerializationFailed()
    if failure is Failure.TIMEOUT:
        return DeadlineExceeded("The database took too long.")
    if failure is Failure.DUPLICATE and duplicates:
        return Duplicate("There is one with this value already.")
    return None
