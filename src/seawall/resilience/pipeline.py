"""Several policies around one call, in an order that is written down and printed."""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from typing import Any, ParamSpec, TypeVar, cast

from seawall.problems import DeclarationError
from seawall.resilience.engine import AnyCall, Engine, NestedRetryWarning, decorate
from seawall.resilience.timeout import TimeoutEngine

__all__ = ["Pipeline"]

P = ParamSpec("P")
R = TypeVar("R")


class Pipeline:
    """Policies around a call, the outermost first: ``fallback(retry(breaker(timeout(bulkhead(call)))))``.

    Args:
        name: Whom it guards calls to.
        engines: The policies at work, the outermost first.

    Raises:
        DeclarationError: There is none, one stands there twice, or a time limit is never reached.
    """

    def __init__(self, name: str, engines: Sequence[Engine]) -> None:
        self.name = name
        self.engines = tuple(engines)
        self._kinds = tuple(engine.kind for engine in self.engines)
        self._check()
        self._call = self.wrap(_invoke)

    def __call__(self, function: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R]]:
        """Decorate *function*: the same signature, under every policy.

        Raises:
            DeclarationError: It is not async.
        """
        return decorate(self.wrap, function, self._kinds, f"pipeline {self.name!r}")

    def call(self, function: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Call *function*, which may be another one each time, under every policy."""
        return self._call(function, *args, **kwargs)

    def wrap(self, function: AnyCall) -> AnyCall:
        """Return *function* under every policy, with nothing to introspect."""
        for engine in reversed(self.engines):
            function = engine.wrap(function)
        return function

    @contextlib.asynccontextmanager
    async def guard(self) -> AsyncGenerator[None]:
        """Put a block under every policy: ``async with pipeline.guard():``.

        Raises:
            DeclarationError: One of them would have to run the block again, or to return something in its place.
        """
        for engine in self.engines:
            if not hasattr(engine, "guard"):
                raise DeclarationError(
                    f"pipeline {self.name!r}: a block cannot be under {engine.kind}, which runs a call again or "
                    "returns something else; decorate a function, or leave it out."
                )
        async with contextlib.AsyncExitStack() as stack:
            for engine in self.engines:
                await stack.enter_async_context(cast("Any", engine).guard())
            yield

    def __str__(self) -> str:
        return "".join(f"{kind}(" for kind in self._kinds) + "call" + ")" * len(self._kinds)

    def __repr__(self) -> str:
        return f"<Pipeline {self.name!r} {self}>"

    def _check(self) -> None:
        where = f"pipeline {self.name!r}"
        if not self.engines:
            raise DeclarationError(f"{where}: it has no policies; name at least one, such as Timeout(2).")
        for kind in sorted(set(self._kinds) - {"timeout", "retry"}):
            if self._kinds.count(kind) > 1:
                raise DeclarationError(f"{where}: {kind} stands in it twice; keep one: {self}.")
        if self._kinds.count("retry") > 1:
            warnings.warn(
                f"{where}: two retries, whose attempts multiply: {self}; keep one.", NestedRetryWarning, stacklevel=4
            )
        limits = [engine.seconds for engine in self.engines if isinstance(engine, TimeoutEngine)]
        for outer, inner in itertools.pairwise(limits):
            if inner >= outer:
                raise DeclarationError(
                    f"{where}: the inner Timeout({inner:g}) is never reached within the outer Timeout({outer:g}); "
                    "the inner one, for each attempt, must be the shorter."
                )


async def _invoke(function: AnyCall, *args: Any, **kwargs: Any) -> Any:
    return await function(*args, **kwargs)
