"""The fragment that runs what `Check` declares."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from seawall.http.arguments import Arguments
from seawall.http.binding import Bound, Source
from seawall.http.bodies import invalid
from seawall.http.route import Route
from seawall.plan import Place, Writer
from seawall.problems import FieldError
from seawall.resources import CallResources

__all__ = ["Checks"]


class Checks:
    """Runs the checks of a route's parameters, once everything is there."""

    name = "validate"
    place = Place.VALIDATE

    def __init__(self, route: Route, arguments: Arguments, resources: CallResources) -> None:
        self._route = route
        self._arguments = arguments
        self._resources = resources

    @property
    def note(self) -> str:
        """The checks, for people."""
        return ", ".join(
            getattr(check.function, "__qualname__", "check") for bound in self._route.bounds for check in bound.checks
        )

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        """Write the checks, each adding to the errors, and the refusal if there are any."""
        writer.line("errors = []")
        for bound in self._route.bounds:
            self._emit_checks(writer, bound)
        with writer.block("if errors:"):
            writer.line(f"raise {writer.bind('invalid', invalid)}(errors)")
        inner()

    def _emit_checks(self, writer: Writer, bound: Bound) -> None:
        for check in bound.checks:
            gather = writer.bind("gather_errors", gather_errors)
            function = writer.bind(f"check_{bound.parameter.name}", check.function)
            place = writer.bind("place", None if bound.source is Source.BODY else (bound.source.value, bound.wire))
            resources = "".join(f", {name}={self._resources.reference(writer, kind)}" for name, kind in check.resources)
            value = self._arguments.expressions[bound.parameter.name]
            writer.line(f"errors += await {gather}({function}({value}{resources}), {place})")


async def gather_errors(found: Any, place: tuple[str, str] | None) -> list[FieldError]:
    """Return the errors a check returned, yielded or promised; *place* names a parameter outside the body."""
    if inspect.isawaitable(found):
        found = await found
    errors = [error async for error in found] if hasattr(found, "__aiter__") else list(_iterable(found))
    if place is None:
        return [error if error.pointer is not None else replace_pointer(error) for error in errors]
    source, wire = place
    return [
        FieldError(error.detail, parameter=error.parameter or wire, location=error.location or source)
        for error in errors
    ]


def replace_pointer(error: FieldError) -> FieldError:
    """Return *error* with a place: the whole body, where it has none."""
    return error if error.parameter is not None else FieldError(error.detail, pointer="")


def _iterable(found: Any) -> Iterable[FieldError]:
    if found is None:
        return ()
    return (found,) if isinstance(found, FieldError) else found
