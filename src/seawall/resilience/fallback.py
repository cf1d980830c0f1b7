"""Fallbacks: what to return when a call fails."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from seawall.resilience.checks import duration, refuse, whole
from seawall.resilience.engine import AnyCall, Engine
from seawall.resilience.environment import Environment
from seawall.resilience.events import FellBack
from seawall.resilience.outcomes import Outcome, Outcomes
from seawall.resilience.problems import Rejected

__all__ = ["Fallback", "FallbackEngine", "Stale"]

_NOTHING: Any = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stale:
    """Return what an equal call returned last time.

    Args:
        max_age: How old that may be.
        size: How many calls are remembered; the one used longest ago is forgotten first.
        key: Which calls are equal, made of their arguments; by default all arguments, which must be hashable then.

    Raises:
        DeclarationError: A setting is impossible.
    """

    max_age: float | str
    size: int = 1000
    key: Callable[..., Hashable] | None = None

    def __post_init__(self) -> None:
        duration("Stale", "max_age", self.max_age)
        whole("Stale", "size", self.size, most=10_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """Return something else when a call fails. Exactly one of *value* and *function* may be given, *stale* with it.

    Args:
        value: Return this; a value that can be changed (a list, a dict) is copied each time.
        function: Return what this async function makes of the error and the call's arguments.
        stale: Return what an equal call returned before; where there is nothing, go on to the other one.
        counts: Which ends of a call are failures; refusals by other policies always are.

    Raises:
        DeclarationError: None of them is given, or both of the first two.
    """

    value: Any = field(default=_NOTHING)
    function: Callable[..., Awaitable[Any]] | None = None
    stale: Stale | None = None
    counts: Outcomes = field(default_factory=Outcomes)

    def __post_init__(self) -> None:
        if self.value is not _NOTHING and self.function is not None:
            raise refuse("Fallback", "value", self.value, "function=… is given too; keep one of them")
        if self.value is _NOTHING and self.function is None and self.stale is None:
            raise refuse("Fallback", "value", None, "nothing would be returned; give value, function or stale")

    def engine(self, name: str, environment: Environment) -> FallbackEngine:
        """Return the fallback at work; it remembers nothing yet."""
        return FallbackEngine(name, self, environment)


class FallbackEngine(Engine):
    """A fallback: a decorator. A block has no result, so there is no ``async with``."""

    kind = "fallback"

    def __init__(self, name: str, policy: Fallback, environment: Environment) -> None:
        super().__init__(name, environment)
        self.policy = policy
        self.used = 0
        """How often something else was returned."""
        self._copies = policy.value is not _NOTHING and isinstance(policy.value, list | dict | set | bytearray)
        self._max_age = duration("Stale", "max_age", policy.stale.max_age) if policy.stale else 0.0
        self._seen: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()

    def wrap(self, function: AnyCall) -> AnyCall:
        """Return *function* with this fallback."""
        fallback, counts = self, self.policy.counts
        remembers, judges = self.policy.stale is not None, counts.failed_result is not None

        async def call(*args: Any, **kwargs: Any) -> Any:
            try:
                result = await function(*args, **kwargs)
            except Exception as error:
                if not isinstance(error, Rejected) and counts.of_error(error) is not Outcome.FAILURE:
                    raise
                found = await fallback.instead(error, args, kwargs)
                if found is _NOTHING:
                    raise
                return found
            if judges and counts.of_result(result) is Outcome.FAILURE:
                found = await fallback.instead(None, args, kwargs)
                return result if found is _NOTHING else found
            if remembers:
                fallback.remember(args, kwargs, result)
            return result

        return call

    async def instead(self, error: Exception | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what takes the place of the result, or a marker that there is nothing."""
        policy = self.policy
        found = self._recall(args, kwargs) if policy.stale is not None else _NOTHING
        if found is not _NOTHING:
            self._tell("stale", error)
            return found
        if policy.function is not None:
            found = await policy.function(error, *args, **kwargs)
            self._tell("function", error)
            return found
        if policy.value is not _NOTHING:
            self._tell("value", error)
            return copy.deepcopy(policy.value) if self._copies else policy.value
        return _NOTHING

    def remember(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        """Keep *result* for equal calls that fail."""
        assert self.policy.stale is not None  # noqa: S101 - asked before
        key = self._key(args, kwargs)
        self._seen[key] = self.environment.clock.monotonic(), result
        self._seen.move_to_end(key)
        if len(self._seen) > self.policy.stale.size:
            self._seen.popitem(last=False)

    def _recall(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        key = self._key(args, kwargs)
        at, result = self._seen.get(key, (0.0, _NOTHING))
        if result is _NOTHING:
            return _NOTHING
        if self.environment.clock.monotonic() - at > self._max_age:
            del self._seen[key]
            return _NOTHING
        self._seen.move_to_end(key)
        return result

    def _key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
        make = self.policy.stale.key if self.policy.stale is not None else None
        return make(*args, **kwargs) if make is not None else (args, tuple(sorted(kwargs.items())))

    def _tell(self, to: str, error: Exception | None) -> None:
        self.used += 1
        if self.environment.hooks:
            at = self.environment.clock.monotonic()
            self.environment.emit(FellBack(name=self.name, at=at, to=to, error=repr(error)))
