"""partial: an answer of several parts, some of which it can do without."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from seawall.clock import Clock, SystemClock

__all__ = ["Part", "Partial", "optional", "partial", "required"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Part:
    """One part: made by `required` or `optional`."""

    call: Awaitable[Any]
    needed: bool
    default: Any
    within: float | str | None


@dataclass(frozen=True, slots=True)
class Partial(Generic[T]):
    """What came of it: the whole, and what was raised by the parts it does without, by their names."""

    value: T
    errors: Mapping[str, Exception]

    @property
    def complete(self) -> bool:
        """Whether no part is missing."""
        return not self.errors


def required(call: Awaitable[Any], *, within: float | str | None = None) -> Part:
    """Return a part without which there is no answer.

    Args:
        call: What to run.
        within: How long it may take; None for as long as the call being served has.
    """
    return Part(call, needed=True, default=None, within=within)


def optional(call: Awaitable[Any], *, default: Any = None, within: float | str | None = None) -> Part:
    """Return a part in whose place there is *default* where it fails, or takes longer than *within*.

    Args:
        call: What to run.
        default: What stands in its place.
        within: How long it may take; None for as long as the call being served has.
    """
    return Part(call, needed=False, default=default, within=within)


async def partial(make: Callable[..., T], /, *, clock: Clock | None = None, **parts: Part) -> Partial[T]:
    """Run *parts* side by side and return ``make(**results)``, with defaults where optional parts failed.

    Args:
        make: A type, or any function, that takes the results by name.
        clock: What time it is.
        parts: What to run; the names are the fields.

    Raises:
        Exception: What the first required part to fail raised, as it raised it; `TimedOut` where it took too long. The
            others are cancelled and waited for.
    """
    from seawall.resilience import Environment, Timeout  # noqa: PLC0415 - who needs no time limits need not load it

    environment = Environment(clock or SystemClock())
    results: dict[str, Any] = {}
    errors: dict[str, Exception] = {}

    async def run(name: str, part: Part) -> None:
        try:
            if part.within is None:
                results[name] = await part.call
            else:
                async with Timeout(part.within).engine(name, environment).guard():
                    results[name] = await part.call
        except Exception as error:
            if part.needed:
                raise
            errors[name] = error
            results[name] = part.default

    try:
        async with asyncio.TaskGroup() as group:
            for name, part in parts.items():
                group.create_task(run(name, part), name=f"partial {name}")
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    finally:
        for part in parts.values():
            if asyncio.iscoroutine(part.call):
                part.call.close()  # it may not have begun
    if len(results) < len(parts):
        raise asyncio.CancelledError("a part was cancelled by somebody else")
    return Partial(make(**{name: results[name] for name in parts}), errors)
