"""How the end of a call that was cancelled by the service becomes an outcome of its plan."""

from __future__ import annotations

from seawall.call import Call
from seawall.problems import DeadlineExceeded, SeawallError

__all__ = ["AnswerBroken", "Disconnected", "deadline_exceeded", "late"]


class Disconnected(SeawallError):
    """The client went away; nobody is left to answer."""


class AnswerBroken(Disconnected):
    """An answer that had begun could not be completed; the connection must break, and nobody can be told."""


def late(call: Call, limit: float, asked: object, error: Exception | None = None) -> None:
    """Raise what a call ends with that was cancelled and came to a result, or to *error*, all the same.

    What the service cuts when it stops may still answer, if it can.

    Raises:
        DeadlineExceeded: It has been ended by its deadline.
        Disconnected: It has been ended by its client.
    """
    if call.ended == "shutdown":
        return
    call.settle()
    if call.ended == "disconnect":
        raise Disconnected("the client went away") from error
    raise deadline_exceeded(limit, asked) from error


def deadline_exceeded(limit: float, asked: object = None) -> DeadlineExceeded:
    """Return the problem for a call that took longer than *limit* seconds, or than its caller *asked* for."""
    if asked is not None:
        return DeadlineExceeded("The operation did not finish within the time that the caller gave it.")
    return DeadlineExceeded(f"The operation did not finish within {limit:g} s.")
