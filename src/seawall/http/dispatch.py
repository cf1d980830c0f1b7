"""Finds the plan for a method and a path, at a cost that does not grow with the number of routes.

Paths without parameters are found in one dictionary per method. The others are sorted by shape: how many
segments, and which of them are literal. All routes of one shape share one dictionary keyed by those literal
segments in which they differ, and one generated function per number of segments tries the shapes, those first that
are literal where others take a parameter, read from the left. A thousand routes seldom have more than a dozen shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from seawall.http.route import Template
from seawall.plan import CodeCache, Writer

__all__ = ["Matcher", "Table", "split_raw"]

Find = Callable[[list[str]], Any]
Shapes = dict[tuple[bool, ...], dict[tuple[str, ...], Any]]
"""By which segments are literal: the targets by those."""


@dataclass(slots=True)
class Table:
    """The routes of one method while they are collected.

    Args:
        static: Target by path, for paths without parameters.
        dynamic: Target by form, for the others. (What parameters are called makes no difference.)
    """

    static: dict[str, Any] = field(default_factory=dict)
    dynamic: dict[tuple[tuple[str | None, ...], bool], Any] = field(default_factory=dict)

    def add(self, template: Template, target: Any) -> None:
        """Add a target; the caller has made sure that the template is not there yet."""
        if template.names:
            self.dynamic[template.segments, template.tail] = target
        else:
            self.static["/" + "/".join(segment or "" for segment in template.segments)] = target

    def retargeted(self, targets: Mapping[Any, Any], otherwise: Any) -> Table:
        """Return a table of the same paths that leads to what *targets* has for each target, or to *otherwise*."""
        return Table(
            {path: targets.get(target, otherwise) for path, target in self.static.items()},
            {form: targets.get(target, otherwise) for form, target in self.dynamic.items()},
        )

    def compile(self, codes: CodeCache, label: str) -> Matcher:
        """Return what finds targets."""
        whole: dict[int, Shapes] = {}
        tails: dict[int, Shapes] = {}
        for (segments, tail), target in self.dynamic.items():
            shape = tuple(segment is not None for segment in segments)
            group = (tails if tail else whole).setdefault(len(shape) + 1, {})
            literals = tuple(segment for segment in segments if segment is not None)
            group.setdefault(shape, {})[literals] = target
        return Matcher(dict(self.static), _compile(whole, tails, codes, label))


@dataclass(frozen=True, slots=True)
class Matcher:
    """Finds the target of a path.

    Args:
        static: Target by path.
        find: Returns the target for the parts that a path splits into at its slashes, or None. Where the last parameter
            of a template takes the rest, these parts are joined into the last one, in place.
    """

    static: Mapping[str, Any]
    find: Find

    def target(self, parts: list[str]) -> Any:
        """Return the target for *parts*, of a path with or without parameters, or None; for `find` see there."""
        # A slash that was encoded is part of its segment: it must not make the path another one.
        static = None if any("/" in part for part in parts) else self.static.get("/".join(parts))
        return static if static is not None else self.find(parts)


def _compile(whole: Mapping[int, Shapes], tails: Mapping[int, Shapes], codes: CodeCache, label: str) -> Find:
    writer = Writer()
    with writer.block("def find(parts):"):
        writer.line("count = len(parts)")
        for length, shapes in sorted(whole.items()):
            with writer.block(f"if count == {length}:"):
                for shape in sorted(shapes, reverse=True):
                    _try_shape(writer, shape, shapes[shape])
        for length, shapes in sorted(tails.items(), reverse=True):  # the longest first
            with writer.block(f"if count >= {length}:"):
                for shape in sorted(shapes, reverse=True):
                    _try_shape(writer, shape, shapes[shape], tail=length - 1)
        writer.line("return None")
    function: Find = codes.function(writer.source, "find", label, writer.namespace)
    return function


def _try_shape(
    writer: Writer, shape: tuple[bool, ...], targets: Mapping[tuple[str, ...], Any], *, tail: int | None = None
) -> None:
    """Write the lines that return the target of one shape; what all its routes have in common is no part of a key.

    Args:
        writer: Where to.
        shape: Which of the segments are literal.
        targets: Target by those.
        tail: Which part the rest of the path is joined into, if it is.
    """
    places = [f"parts[{index}]" for index, literal in enumerate(shape, 1) if literal]
    same = [len(set(values)) == 1 for values in zip(*targets, strict=True)]
    differ = [index for index, one in enumerate(same) if not one]
    first = next(iter(targets))
    conditions = [f"{places[at]} == {writer.bind('literal', first[at])}" for at, one in enumerate(same) if one]
    # An empty segment is no value for a parameter: /orders/ is not an order.
    conditions += [f"parts[{index}]" for index, literal in enumerate(shape, 1) if not literal]

    def found(target: str) -> None:
        if tail is not None:
            writer.line(f'parts[{tail}:] = ["/".join(parts[{tail}:])]')
        writer.line(f"return {target}")

    with writer.block(f"if {' and '.join(conditions)}:"):
        if not differ:
            found(writer.bind("target", targets[first]))
            return
        keys = {_key([literals[at] for at in differ]): target for literals, target in targets.items()}
        key = places[differ[0]] if len(differ) == 1 else f"({', '.join(places[at] for at in differ)})"
        writer.line(f"target = {writer.bind('table', keys)}.get({key})")
        with writer.block("if target is not None:"):
            found("target")


def _key(literals: Sequence[str]) -> Any:
    return literals[0] if len(literals) == 1 else tuple(literals)


def split_raw(raw_path: bytes) -> list[str]:
    """Split a percent-encoded path at its slashes and decode each part, so that ``%2F`` stays in its part.

    Raises:
        ValueError: A part is not UTF-8.
    """
    return [unquote(part, errors="strict") for part in raw_path.decode("ascii", "surrogateescape").split("/")]
