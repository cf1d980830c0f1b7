"""Turns generated source into a function whose tracebacks show that source."""

from __future__ import annotations

import ast
import linecache
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import BuiltinMethodType, FunctionType, MethodType
from typing import Any, NamedTuple

__all__ = ["CodeCache", "Form", "form_of", "put"]

OWN = "own_values"
"""The last parameter of every function made here: a tuple of the values that are its own."""

_MOST_VARIANTS = 8
"""Ways of dividing the values of one source into common and own; in the last one all are own, which fits any."""


class CodeCache:
    """Compiled code by its source, so that operations of one form are compiled once and run the same instructions.

    Compiling sixty lines takes about a millisecond; a thousand operations seldom have more than a few dozen forms.
    What a function refers to is global where all functions of the form share it. What is its own is in one tuple, the
    default of its last parameter: with a cell of a closure for each value of each of a thousand operations, what a
    call waited for were those, which no cache near the processor holds, and not the look-up. Who keeps that tuple at
    hand need not touch the function either; see `form_of`.
    """

    __slots__ = ("_forms", "_same")

    def __init__(self) -> None:
        self._same: dict[Any, Any] = {}
        self._forms: dict[tuple[str, tuple[str, ...]], list[_Variant]] = {}

    def function(self, source: str, name: str, label: str, namespace: Mapping[str, Any]) -> Callable[..., Any]:
        """Return the function *name* that *source* defines.

        Args:
            source: One ``def`` or ``async def``.
            name: The function's name in the source.
            label: What the function calls itself.
            namespace: The values it refers to, by name; `put` changes one.
        """
        values = {key: self.one(value) for key, value in namespace.items()}
        return self._variant(source, name, values).function(values, label)

    def _variant(self, source: str, name: str, values: Mapping[str, Any]) -> _Variant:
        variants = self._forms.setdefault((source, tuple(values)), [])
        for variant in variants[1:]:
            if variant.fits(values):
                return variant
        if not variants:
            common = values  # the first may stay the only one
        elif len(variants) < _MOST_VARIANTS:
            first = variants[0].example
            common = {key: value for key, value in values.items() if value is first[key]}
        else:
            common = {}
        variants.append(_Variant.compile(source, name, values, common))
        return variants[-1]

    def one(self, value: Any) -> Any:
        """Return the one object for all that equal *value*, where equal is as good as the same.

        Every look at ``thing.method`` makes a new object, which no two plans would have in common.
        """
        if isinstance(value, _INTERCHANGEABLE):
            return self._same.setdefault((type(value), value), value)
        return value


_INTERCHANGEABLE = (MethodType, BuiltinMethodType, bytes, str, int, float, frozenset)


@dataclass(frozen=True, slots=True)
class _Variant:
    """One source, compiled for one division of its values.

    Args:
        form: The function, which has to be given the values that are its own.
        own: Their names.
        common: The values all its functions share, by name.
        example: All values of the first function.
    """

    form: Any
    own: tuple[str, ...]
    common: Mapping[str, Any]
    example: Mapping[str, Any]

    @classmethod
    def compile(cls, source: str, name: str, values: Mapping[str, Any], common: Mapping[str, Any]) -> _Variant:
        own = tuple(key for key in values if key not in common)
        return cls(_compile(source, name, own, common), own, common, values)

    def fits(self, values: Mapping[str, Any]) -> bool:
        return all(values[key] is value for key, value in self.common.items())

    def function(self, values: Mapping[str, Any], label: str) -> Callable[..., Any]:
        form = self.form
        own = tuple([values[key] for key in self.own])
        made = FunctionType(form.__code__, form.__globals__, form.__name__, (own,))
        made.__qualname__ = label
        made.__dict__.update(form=form, own=self.own)
        return made


class Form(NamedTuple):
    """A function as ``common(*arguments, own)``.

    Args:
        common: The function, the same object for all that differ only in the values that are their own.
        own: These.
    """

    common: Callable[..., Any]
    own: tuple[Any, ...]


def form_of(function: Callable[..., Any]) -> Form:
    """Return what *function*, made by `CodeCache`, has in common with others, and what is its own."""
    made: Any = function
    return Form(made.form, made.__defaults__[0])


def put(function: Callable[..., Any], name: str, value: Any) -> None:
    """Let *function*, made by `CodeCache`, find *value* under *name* from now on.

    Functions that had the same object under that name find the new one as well.
    """
    made: Any = function
    names: tuple[str, ...] = made.own
    if name in names:
        at, own = names.index(name), form_of(made).own
        made.__defaults__ = ((*own[:at], value, *own[at + 1 :]),)
    else:
        made.__globals__[name] = value


def _compile(source: str, name: str, own: tuple[str, ...], common: Mapping[str, Any]) -> FunctionType:
    head, body = source.split("):\n", 1)
    text = f"{head}{'' if head.endswith('(') else ', '}{OWN}):\n{body}"
    filename = _filename(name, text)
    # The standard library's own way (dataclasses, attrs) of giving generated code a visible source:
    # an entry without a modification time is never dropped by checkcache().
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    scope: dict[str, Any] = dict(common)
    tree = _Own(own).visit(ast.parse(text, filename))
    exec(compile(tree, filename, "exec"), scope)  # noqa: S102 - the source is ours, made from no input
    function: FunctionType = scope[name]
    return function


class _Own(ast.NodeTransformer):
    """Has the values of *names* taken from the tuple when they are needed: most of them are not, at most calls."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._places = {name: place for place, name in enumerate(names)}

    def visit_Name(self, node: ast.Name) -> ast.expr:
        place = self._places.get(node.id)
        if place is None:
            return node
        values = ast.copy_location(ast.Name(OWN, ast.Load()), node)
        number = ast.copy_location(ast.Constant(place), node)
        return ast.copy_location(ast.Subscript(values, number, ast.Load()), node)


def _filename(name: str, text: str) -> str:
    """Return a name for tracebacks that no other source has: plans of one form share it."""
    number = 1
    while (filename := f"<seawall {name} {number}>") in linecache.cache and "".join(
        linecache.getlines(filename)
    ) != text:
        number += 1
    return filename
