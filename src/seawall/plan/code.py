"""Turns generated source into a function whose tracebacks show that source."""

from __future__ import annotations

import linecache
from collections.abc import Callable
from types import CodeType
from typing import Any

__all__ = ["CodeCache"]


class CodeCache:
    """Compiled code by its source, so that operations of one form are compiled once.

    Compiling sixty lines takes about a millisecond; a thousand operations seldom have more than a few
    dozen forms.
    """

    __slots__ = ("_codes",)

    def __init__(self) -> None:
        self._codes: dict[str, CodeType] = {}

    def function(self, source: str, name: str, label: str, namespace: dict[str, Any]) -> Callable[..., Any]:
        """Return the function *name* that *source* defines, run in *namespace*.

        Args:
            source: One ``async def``.
            name: The function's name in the source.
            label: What to call it in tracebacks: the operation's name.
            namespace: The globals it sees.
        """
        code = self._codes.get(source)
        if code is None:
            code = self._codes[source] = compile(source, "<seawall>", "exec")
        filename = _filename(label, source)
        # The standard library's own way (dataclasses, attrs) of giving generated code a visible source:
        # an entry without a modification time is never dropped by checkcache().
        linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
        exec(_relabel(code, filename), namespace)  # noqa: S102 - the source is ours, made from no input
        function: Callable[..., Any] = namespace[name]
        function.__qualname__ = label
        return function


def _filename(label: str, source: str) -> str:
    """Return a name for tracebacks that no other source has."""
    filename, number = f"<seawall plan {label}>", 2
    while filename in linecache.cache and "".join(linecache.getlines(filename)) != source:
        filename, number = f"<seawall plan {label} #{number}>", number + 1
    return filename


def _relabel(code: CodeType, filename: str) -> CodeType:
    constants = tuple(_relabel(item, filename) if isinstance(item, CodeType) else item for item in code.co_consts)
    return code.replace(co_filename=filename, co_consts=constants)
