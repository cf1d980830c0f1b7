"""Turns generated source into a function whose tracebacks show that source."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Mapping
from textwrap import indent
from types import BuiltinMethodType, MethodType
from typing import Any

__all__ = ["CodeCache", "put"]


class CodeCache:
    """Compiled code by its source, so that operations of one form are compiled once and run the same instructions.

    Compiling sixty lines takes about a millisecond; a thousand operations seldom have more than a few dozen forms.
    The values a function refers to are its closure's, so that a thousand operations of one form are one code object:
    what the processor and the interpreter have learnt of one serves all.
    """

    __slots__ = ("_makers", "_same")

    def __init__(self) -> None:
        self._same: dict[Any, Any] = {}
        self._makers: dict[tuple[str, tuple[str, ...]], Callable[..., Callable[..., Any]]] = {}

    def function(self, source: str, name: str, label: str, namespace: Mapping[str, Any]) -> Callable[..., Any]:
        """Return the function *name* that *source* defines.

        Args:
            source: One ``def`` or ``async def``.
            name: The function's name in the source.
            label: What the function calls itself.
            namespace: The values it refers to, by name; `put` changes one.
        """
        names = tuple(namespace)
        make = self._makers.get((source, names))
        if make is None:
            make = self._makers[source, names] = _compile(source, name, names)
        function = make(*map(self._one, namespace.values()))
        function.__qualname__ = label
        return function

    def _one(self, value: Any) -> Any:
        """Return the one object for all that equal *value*, where equal is as good as the same.

        Every look at ``thing.method`` makes a new object. A thousand plans that each refer to their own would have
        the processor fetch as many from memory, where one would stay in its cache.
        """
        if isinstance(value, _INTERCHANGEABLE):
            return self._same.setdefault((type(value), value), value)
        return value


_INTERCHANGEABLE = (MethodType, BuiltinMethodType, bytes, str, int, float)


def put(function: Callable[..., Any], name: str, value: Any) -> None:
    """Let *function*, made by `CodeCache`, find *value* under *name* from now on."""
    code: Any = getattr(function, "__code__", None)
    cells: Any = getattr(function, "__closure__", None)
    cells[code.co_freevars.index(name)].cell_contents = value


def _compile(source: str, name: str, names: tuple[str, ...]) -> Callable[..., Callable[..., Any]]:
    text = f"def make({', '.join(names)}):\n{indent(source, '    ')}    return {name}\n"
    filename = _filename(name, text)
    # The standard library's own way (dataclasses, attrs) of giving generated code a visible source:
    # an entry without a modification time is never dropped by checkcache().
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    scope: dict[str, Any] = {}
    exec(compile(text, filename, "exec"), scope)  # noqa: S102 - the source is ours, made from no input
    make: Callable[..., Callable[..., Any]] = scope["make"]
    return make


def _filename(name: str, text: str) -> str:
    """Return a name for tracebacks that no other source has: plans of one form share it."""
    number = 1
    while (filename := f"<seawall {name} {number}>") in linecache.cache and "".join(
        linecache.getlines(filename)
    ) != text:
        number += 1
    return filename
