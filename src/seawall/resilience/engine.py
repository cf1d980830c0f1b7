"""What engines have in common: a name, and how they become decorators that keep a function's signature."""

from __future__ import annotations

import functools
import inspect
import warnings
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ClassVar, ParamSpec, Protocol, TypeVar, cast

from seawall.problems import DeclarationError
from seawall.resilience.environment import Environment

__all__ = ["AnyCall", "Engine", "NestedRetryWarning", "Policy", "decorate"]

P = ParamSpec("P")
R = TypeVar("R")
E_co = TypeVar("E_co", bound="Engine", covariant=True)
AnyCall = Callable[..., Coroutine[Any, Any, Any]]
_MARK = "__seawall_policies__"


class NestedRetryWarning(UserWarning):
    """Two retries stand around one call: three attempts each make nine."""


class Policy(Protocol[E_co]):
    """A frozen value that says how calls are guarded; the engine made from it holds the state."""

    def engine(self, name: str, environment: Environment) -> E_co:
        """Return a new engine for this policy."""
        ...


class Engine(ABC):
    """A policy at work. It belongs to one event loop: nothing in it may be touched from another thread.

    Args:
        name: Whom it guards calls to; in events, problems and the registry.
        environment: Clock, chance and hooks.
    """

    kind: ClassVar[str]

    def __init__(self, name: str, environment: Environment) -> None:
        self.name = name
        self.environment = environment

    @abstractmethod
    def wrap(self, function: AnyCall) -> AnyCall:
        """Return *function* under this policy: one layer of a pipeline, with nothing to introspect."""

    def __call__(self, function: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R]]:
        """Decorate *function*: the same signature, under this policy.

        Raises:
            DeclarationError: It is not async.
        """
        return decorate(self.wrap, function, (self.kind,), f"{self.kind} {self.name!r}")

    def __str__(self) -> str:
        return f"{self.kind}(call)"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


def decorate(
    wrap: Callable[[AnyCall], AnyCall], function: Callable[P, Awaitable[R]], kinds: tuple[str, ...], where: str
) -> Callable[P, Coroutine[Any, Any, R]]:
    """Return *function* wrapped, with its name, signature and the *kinds* of policies around it.

    Raises:
        DeclarationError: It is not async.
    """
    shown = getattr(function, "__qualname__", repr(function))
    target = function.func if isinstance(function, functools.partial) else function
    if not (inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(getattr(target, "__call__", None))):  # noqa: B004 - an object whose __call__ is async
        raise DeclarationError(f"{where}: {shown} must be an async function; write 'async def'.")
    within: tuple[str, ...] = getattr(function, _MARK, ())
    if "retry" in kinds and "retry" in within:
        warnings.warn(
            f"{where}: {shown} is retried already, so the attempts of both multiply; keep the retry nearest to the "
            "target, or the outermost one.",
            NestedRetryWarning,
            stacklevel=3,
        )
    wrapped = wrap(cast("AnyCall", function))
    functools.update_wrapper(wrapped, cast("AnyCall", function))
    setattr(wrapped, _MARK, (*kinds, *within))
    return wrapped
