"""Functions of the service's own life (checks, background work) take app-scoped resources by type, as operations do."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from seawall.operation import bare
from seawall.problems import DeclarationError
from seawall.resources import Resources, show

__all__ = ["Injected", "injected"]


@dataclass(frozen=True, slots=True)
class Injected:
    """A function and the resources it takes.

    Args:
        function: The async function.
        needs: Its parameters and their types.
        where: What to name in an error.
    """

    function: Callable[..., Awaitable[Any]]
    needs: tuple[tuple[str, Any], ...]
    where: str

    def verify(self, resources: Resources) -> None:
        """Make sure that everything it takes is there.

        Raises:
            DeclarationError: Something is not provided, or lives for one call only.
        """
        for name, kind in self.needs:
            if kind not in resources.types:
                known = ", ".join(sorted(show(item) for item in resources.types)) or "none"
                raise DeclarationError(
                    f"{self.where}: nothing provides {name!r} of type {show(kind)}. Register it with "
                    f"@service.resource; provided are: {known}."
                )
            if resources[kind].scope == "call":
                raise DeclarationError(
                    f"{self.where}: {name!r} ({show(kind)}) lives as long as one call, and there is no call here; take "
                    "the app-scoped resource it is made from."
                )

    def __call__(self, values: Mapping[Any, Any]) -> Awaitable[Any]:
        """Call the function with started resources."""
        return self.function(**{name: values[kind] for name, kind in self.needs})


def injected(function: Callable[..., Awaitable[Any]], what: str) -> Injected:
    """Return *function* with what it takes, by its annotations.

    Args:
        function: The function.
        what: What it is, for error messages: ``check``.

    Raises:
        DeclarationError: It is not async, or a parameter has no type.
    """
    where = f"{what} {getattr(function, '__qualname__', repr(function))}"
    if not inspect.iscoroutinefunction(inspect.unwrap(function)):
        raise DeclarationError(f"{where}: it must be an async function; write 'async def'.")
    try:
        hints = get_type_hints(function)
    except NameError as error:
        raise DeclarationError(f"{where}: a type cannot be resolved: {error}.") from None
    needs = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.default is not parameter.empty:
            continue  # what has a default is the function's own business
        if parameter.name not in hints:
            raise DeclarationError(f"{where}: parameter {parameter.name!r} has no type; annotate it.")
        needs.append((parameter.name, bare(hints[parameter.name])))
    return Injected(function, tuple(needs), where)
