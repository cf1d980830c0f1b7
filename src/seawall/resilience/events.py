"""What policies tell: frozen values, given to every hook in turn."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import ClassVar

import msgspec

__all__ = [
    "CallRefused",
    "Event",
    "FellBack",
    "GaveUp",
    "Hedged",
    "Hook",
    "LimitChanged",
    "Retrying",
    "StateChanged",
    "StoreLost",
    "TookTooLong",
    "log_events",
]

_log = logging.getLogger("seawall.resilience")


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something a policy did.

    Args:
        name: The policy's name.
        at: When, on `Clock.monotonic`.
    """

    level: ClassVar[int] = logging.DEBUG
    name: str
    at: float


class StateChanged(Event, frozen=True, kw_only=True):
    """A breaker went from one state to another."""

    level = logging.WARNING
    before: str
    after: str
    reason: str


class CallRefused(Event, frozen=True, kw_only=True):
    """A call was not made; *policy* is what refused it."""

    policy: str
    reason: str


class Retrying(Event, frozen=True, kw_only=True):
    """A call failed and is made again after *delay* seconds, as attempt number *attempt*."""

    attempt: int
    delay: float
    error: str


class GaveUp(Event, frozen=True, kw_only=True):
    """A call failed and is not made again."""

    attempts: int
    reason: str
    error: str


class TookTooLong(Event, frozen=True, kw_only=True):
    """A call was cancelled after *limit* seconds."""

    limit: float


class Hedged(Event, frozen=True, kw_only=True):
    """A call was made a second time, because *delay* seconds had passed without an answer."""

    delay: float


class FellBack(Event, frozen=True, kw_only=True):
    """A call failed and something else was returned; *to* is ``"value"``, ``"function"`` or ``"stale"``."""

    level = logging.WARNING
    to: str
    error: str


class LimitChanged(Event, frozen=True, kw_only=True):
    """An adaptive limit went from *before* calls at once to *after*."""

    before: int
    after: int


class StoreLost(Event, frozen=True, kw_only=True):
    """The store of a shared breaker does not answer; *policy* says what happens instead."""

    level = logging.ERROR
    policy: str
    error: str


Hook = Callable[[Event], object]
"""Takes every event, at once and in the task that caused it: be quick. What it raises is logged and goes no further."""


def log_events(event: Event) -> None:
    """Log *event*: what changes for everybody as warnings, what concerns one call for debugging."""
    if _log.isEnabledFor(event.level):
        facts = {key: value for key, value in msgspec.structs.asdict(event).items() if key not in {"name", "at"}}
        told = ", ".join(f"{key}={value}" for key, value in facts.items())
        _log.log(event.level, "%s %s: %s", type(event).__name__, event.name, told)
