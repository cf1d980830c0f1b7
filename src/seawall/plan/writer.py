"""Writes the source of one generated coroutine, and the namespace it runs in."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

__all__ = ["Subject", "Writer"]

_NOT_A_NAME = re.compile(r"\W+")


@dataclass(frozen=True, slots=True)
class Subject:
    """What a plan is for, as far as fragments that stand in every plan need to know.

    Args:
        operation: The operation's name; empty for what answers where there is none.
        carrier: What hands the calls over.
        method: The HTTP method; empty where there are several, or none.
        path: The template of the path; empty where there is none.
    """

    operation: str = ""
    carrier: str = ""
    method: str = ""
    path: str = ""


class Writer:
    """Lines of source, their indentation, and the values they refer to.

    Values are bound under names made from a hint and a number, never written into the source, so that
    operations of the same form have the same source and share one compiled code object.
    """

    __slots__ = ("_depth", "_ids", "_lines", "answer_first", "body_read", "ended", "look", "namespace", "now", "sooner",
                 "subject", "task")  # fmt: skip

    def __init__(self, subject: Subject | None = None) -> None:
        self.subject = subject or Subject()
        self.task: str | None = None
        """An expression for the running task, where one is known already; finding it out costs a function call."""
        self.body_read = False
        """Whether lines that leave the body in ``raw_body`` have been written."""
        self.sooner: Literal["", "asked", "inherited"] = ""
        """What the local ``sooner`` holds, or None: when the request came and the time its caller asked for; or the
        deadline of the call around this one. Empty where there is no such local."""
        self.answer_first: Callable[[], None] = _cannot
        """Writes the lines that send the answer in ``held`` before the call is over; the carrier's receiver sets it."""
        self.now: str | None = None
        """A local with the time on the service's clock, read a moment ago; None once a line has been written that may
        wait. Looking at the clock is among the dearer things that a plan does."""
        self.look = ""
        """An expression that reads that clock, where there is such a local."""
        self.ended: str | None = None
        """A local for when the call ended well, 0.0 until then; None where there is none."""
        self._lines: list[str] = []
        self._depth = 0
        self._ids: dict[tuple[str, int], str] = {}
        self.namespace: dict[str, Any] = {}

    def line(self, text: str) -> None:
        """Write one line at the present depth."""
        if "await " in text or "async with " in text:
            self.now = None
        self._lines.append("    " * self._depth + text)

    def lines(self, *texts: str) -> None:
        """Write several lines at the present depth."""
        for text in texts:
            self.line(text)

    def rarely(self, text: str) -> None:
        """Write a line that may wait and hardly ever does: where it did, the clock is looked at again behind it."""
        now = self.now
        self.line(text)
        if now is not None:
            self.line(f"{now} = {self.look}")
            self.now = now

    def block(self, head: str) -> _Block:
        """Write *head*, and indent what is written while the block is entered."""
        self.line(head)
        return _Block(self)

    def bind(self, hint: str, value: Any) -> str:
        """Return a name the generated code can use for *value*; the same value has one name."""
        key = (hint, id(value))
        name = self._ids.get(key)
        if name is None:
            stem = _stem(hint)
            name, number = f"_{stem}", 2
            while name in self.namespace:
                name, number = f"_{stem}_{number}", number + 1
            name = sys.intern(name)  # a thousand plans of one form have the same names
            self._ids[key] = name
            self.namespace[name] = value
        return name

    @property
    def source(self) -> str:
        """Everything written so far."""
        return "\n".join(self._lines) + "\n"


def _cannot() -> None:
    raise NotImplementedError("this carrier has no answer that could be sent before the call is over")


class _Block:
    """An indented part of the source; a generator for each would cost a service of a thousand operations 0.1 s."""

    __slots__ = ("_before", "_writer")

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def __enter__(self) -> None:
        writer = self._writer
        writer._depth += 1  # noqa: SLF001 - a part of the writer
        self._before = len(writer._lines)  # noqa: SLF001

    def __exit__(self, *_: object) -> None:
        writer = self._writer
        if len(writer._lines) == self._before:  # noqa: SLF001
            writer.line("pass")
        writer._depth -= 1  # noqa: SLF001


@lru_cache(maxsize=4096)
def _stem(hint: str) -> str:
    return _NOT_A_NAME.sub("_", hint).strip("_") or "value"
