"""Retries for the items of pools and pipelines: the policies of `seawall.resilience`, loaded when one is asked for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from seawall.problems import DeclarationError

if TYPE_CHECKING:
    from seawall.resilience import Retry, RetryEngine

__all__ = ["retried"]

T = TypeVar("T")
R = TypeVar("R")


def retried(
    owner: str, function: Callable[[T], Awaitable[R]], retry: Retry | RetryEngine | None
) -> Callable[[T], Awaitable[R]]:
    """Return *function* with what *retry* says around it.

    Args:
        owner: Who asks, for names and errors.
        function: What is to be tried again.
        retry: A policy, which is given a budget of its own; one at work, whose budget is shared; or None.

    Raises:
        DeclarationError: *retry* is none of these.
    """
    if retry is None:
        return function
    from seawall.resilience import Environment, Retry, RetryEngine, log_events  # noqa: PLC0415 - for those who retry

    if isinstance(retry, Retry):
        retry = retry.engine(owner, Environment(hooks=(log_events,)))
    if not isinstance(retry, RetryEngine):
        raise DeclarationError(f"{owner}: retry={retry!r} is not possible: write Retry(attempts=3, idempotent=True).")

    async def attempt(item: Any) -> Any:
        return await function(item)

    return retry.wrap(attempt)
