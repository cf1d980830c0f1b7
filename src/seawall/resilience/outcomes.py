"""What the end of a call says about its target: success, failure, or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from seawall.call import current
from seawall.problems import Problem
from seawall.resilience.checks import refuse
from seawall.resilience.problems import Rejected, TimedOut

__all__ = ["Outcome", "Outcomes"]

# The target says that the time is wrong, not the request: RFC 9110 §15.5.9, RFC 8470 §5.2, RFC 6585 §4.
_OVERLOADED = frozenset({408, 425, 429})


class Outcome(Enum):
    """What one call says about its target."""

    SUCCESS = "success"
    FAILURE = "failure"
    IGNORED = "ignored"
    """Nothing: the call was not made, or was taken back before its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """Which ends of a call count as failures of its target.

    In this order: an exception of *ignored* says nothing, one of *successes* is a success, `TimedOut` and one of
    *failures* a failure, every other exception a success (the target did answer). What is no `Exception` says nothing:
    a cancellation, unless it is the deadline of the call being served, for which the target was too slow. Neither does
    a `Rejected`: the call was not made. A `Problem` that blames the request (a status below 500, without 408, 425 and
    429) is a success unless *failures* names its kind.

    Args:
        failures: Exceptions that are failures.
        successes: Exceptions that are successes all the same.
        ignored: Exceptions that say nothing.
        failed_result: Whether a result is a failure, such as a response with status 500.

    Raises:
        DeclarationError: One of them is no type of exception, or stands in two of the lists.
    """

    failures: tuple[type[Exception], ...] = (Exception,)
    successes: tuple[type[Exception], ...] = ()
    ignored: tuple[type[Exception], ...] = ()
    failed_result: Callable[[Any], bool] | None = None

    def __post_init__(self) -> None:
        for setting in ("failures", "successes", "ignored"):
            kinds = getattr(self, setting)
            if not isinstance(kinds, tuple) or not all(
                isinstance(kind, type) and issubclass(kind, Exception) for kind in kinds
            ):
                raise refuse("Outcomes", setting, kinds, "write a tuple of exception types, such as (OSError,)")
        for kind in self.successes:
            if kind in self.failures or kind in self.ignored:
                raise refuse("Outcomes", "successes", self.successes, f"{kind.__name__} is in another list too")

    def of_error(self, error: BaseException) -> Outcome:
        """Return what *error*, raised by a call, says."""
        if isinstance(error, asyncio.CancelledError):
            request = current.get(None)
            return Outcome.FAILURE if request is not None and request.ended == "deadline" else Outcome.IGNORED
        if not isinstance(error, Exception) or isinstance(error, (*self.ignored, Rejected)):
            return Outcome.IGNORED
        if isinstance(error, self.successes):
            return Outcome.SUCCESS
        if isinstance(error, TimedOut):
            return Outcome.FAILURE
        if not isinstance(error, self.failures):
            return Outcome.SUCCESS
        if _blames_request(error) and not self._names(error):
            return Outcome.SUCCESS
        return Outcome.FAILURE

    def of_result(self, result: object) -> Outcome:
        """Return what *result*, returned by a call, says."""
        if self.failed_result is not None and self.failed_result(result):
            return Outcome.FAILURE
        return Outcome.SUCCESS

    def _names(self, error: Exception) -> bool:
        """Whether *failures* means this kind of problem in particular, not exceptions at large."""
        return any(issubclass(kind, Problem) and isinstance(error, kind) for kind in self.failures)


def _blames_request(error: Exception) -> bool:
    """Whether the target did its part and found fault with the request; an error may say so itself."""
    told: object = getattr(error, "blames_request", None)
    if isinstance(told, bool):
        return told
    return isinstance(error, Problem) and error.status < 500 and error.status not in _OVERLOADED
