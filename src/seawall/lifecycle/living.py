"""What a service declares of its life: checks of its health, and work beside its calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

from seawall.lifecycle.lifecycle import Lifecycle
from seawall.lifecycle.tasks import Backoff, Restart, Tasks

__all__ = ["Living"]

F = TypeVar("F", bound=Callable[..., Awaitable[Any]])


class Living:
    """The part of a service that has to do with its life."""

    lifecycle: Lifecycle

    @property
    def tasks(self) -> Tasks:
        """The service's background work."""
        return self.lifecycle.tasks

    @overload
    def check(self, function: F, /) -> F: ...

    @overload
    def check(self, /, *, name: str = ..., timeout: float = ..., cache: float = ...) -> Callable[[F], F]: ...

    def check(
        self, function: Any = None, /, *, name: str | None = None, timeout: float = 2.0, cache: float = 1.0
    ) -> Any:
        """Look with *function* whether the service can do its work: ``/health/ready`` passes while every check does.

        ::

            @service.check
            async def database(engine: Engine) -> None:
                async with engine.connect() as connection:
                    await connection.execute(text("SELECT 1"))

        An async function that takes app-scoped resources by their types. It passes unless it raises or returns False.

        Args:
            function: What looks.
            name: What it is called; the function's name by default.
            timeout: Seconds it may take before it counts as failed.
            cache: Seconds for which its result is used again.

        Raises:
            DeclarationError: It is not async, a parameter has no type, the name is taken, or a time impossible.
        """

        def register(made: F) -> F:
            self.lifecycle.add_check(made, name or str(getattr(made, "__name__", type(made).__name__)), timeout, cache)
            return made

        return register if function is None else register(function)

    @overload
    def background(self, function: F, /) -> F: ...

    @overload
    def background(self, /, *, name: str = ..., restart: Restart = ..., backoff: Backoff = ...) -> Callable[[F], F]: ...

    def background(
        self,
        function: Any = None,
        /,
        *,
        name: str | None = None,
        restart: Restart = "on-failure",
        backoff: Backoff | None = None,
    ) -> Any:
        """Run *function* beside the calls whenever the service runs; it takes app-scoped resources by their types.

        See `Tasks.start` for the options; `Tasks.stopping` and `Tasks.pause` tell it when to come to its end.

        Raises:
            DeclarationError: It is not async, or a parameter has no type.
        """

        def register(made: F) -> F:
            self.lifecycle.add_background(made, name, restart, backoff or Backoff())
            return made

        return register if function is None else register(function)
