"""How layers tell each other about retries, so that three attempts in three layers do not make 27 calls.

Two header fields. ``Seawall-Attempt`` on a request says which attempt it is: a layer that is called by a second
attempt makes none of its own. ``Seawall-Retried`` on an answer says that it failed after so many attempts: the layer
above does not try again what has been tried (SRE book, "Handling Overload": only the layer right above retries).
"""

from __future__ import annotations

import contextlib
from contextvars import ContextVar

from seawall.call import current
from seawall.problems import Problem

__all__ = ["ATTEMPT_HEADER", "RETRIED_HEADER", "attempt", "is_retried", "mark_retried", "repeatable", "served_attempt"]

ATTEMPT_HEADER = "Seawall-Attempt"
RETRIED_HEADER = "Seawall-Retried"
_MARK = "__seawall_retried__"

attempt: ContextVar[int] = ContextVar("seawall_attempt", default=1)
"""Which attempt is being made, from 1; a client sends it as ``Seawall-Attempt``."""

repeatable: ContextVar[bool | None] = ContextVar("seawall_repeatable", default=None)
"""Whether the call being made is as good twice as once, where whoever makes it knows: it is then neither retried nor
hedged on the word of a policy that speaks of all calls to the target. None where only the policy knows."""


def served_attempt() -> int:
    """Return which attempt of its caller the call being served is; 1 where it does not say."""
    request = current.get(None)
    told = request.header(ATTEMPT_HEADER) if request is not None else None
    return int(told) if told and told.isascii() and told.isdigit() and len(told) < 4 else 1


def mark_retried(error: BaseException, attempts: int) -> None:
    """Say that *error* is what *attempts* attempts ended in; a `Problem` tells the caller by a header field."""
    with contextlib.suppress(AttributeError):  # an exception with slots cannot be marked
        setattr(error, _MARK, attempts)
    if isinstance(error, Problem):
        error.headers = {**error.headers, RETRIED_HEADER: str(attempts)}


def is_retried(error: BaseException) -> bool:
    """Whether *error* is what retries of a lower layer, in this process or behind an answer, ended in."""
    if hasattr(error, _MARK):
        return True
    headers = getattr(error, "headers", None)
    try:
        return any(str(name).lower() == RETRIED_HEADER.lower() for name in headers) if headers else False
    except TypeError:
        return False
