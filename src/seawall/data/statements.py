"""What statements run: spans for calls that are recorded, and lines for those that are slow or run again and again.

No value is ever told, neither of a parameter nor in a statement's text (see `seawall.data.texts`).
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import greenlet  # type: ignore[import-untyped]
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, ExceptionContext

from seawall.call import Call, current
from seawall.clock import Clock
from seawall.data.spans import SqlSpans
from seawall.data.texts import text_of
from seawall.spans import recorder

__all__ = ["StatementObserver", "Statements"]

logger = logging.getLogger("seawall.data")

_OWN = str(Path(__file__).resolve().parents[1])
_NOT_THE_USERS = ("site-packages", "/asyncio/", "/contextlib.py", "<")


class StatementObserver(Protocol):
    """Is told of every statement, once it is over; must be quick and not raise."""

    def statement(self, text: str, seconds: float, /) -> None:
        """Tell that the statement *text*, with its parameters left out, took *seconds*."""


class Statements:
    """Watches the statements of engines.

    Args:
        slow: Seconds from which one is logged; 0 for none.
        repeated: How often one may run in a call before a warning names the line; 0 for any number.
        clock: Measures them.
        spans: Describes them, in calls that are recorded.
    """

    def __init__(self, slow: float, repeated: int, clock: Clock, spans: SqlSpans) -> None:
        self.observers: list[StatementObserver] = []
        self._slow = slow
        self._repeated = repeated
        self._clock = clock
        self._spans = spans
        self._counts: WeakKeyDictionary[Call, Counter[str]] = WeakKeyDictionary()

    def watch(self, engine: Engine) -> None:
        """Watch the statements of *engine*; costs about a microsecond for each."""
        monotonic = self._clock.monotonic

        @event.listens_for(engine, "before_cursor_execute")
        def before(connection: Connection, _: Any, statement: str, values: Any, context: Any, many: bool) -> None:  # noqa: FBT001 - SQLAlchemy's
            context.seawall_began = monotonic()
            spans = recorder()
            if spans is not None:
                context.seawall_span = self._spans.begin(
                    spans, statement, connection.info.get("seawall_target"), len(values) if many else 0
                )
            if self._repeated:
                self._count(statement)

        @event.listens_for(engine, "after_cursor_execute")
        def after(_: Any, __: Any, statement: str, ___: Any, context: Any, ____: Any) -> None:
            self._ended(statement, monotonic() - context.seawall_began)
            span = context.__dict__.pop("seawall_span", None)
            if span is not None:
                span.end()

        @event.listens_for(engine, "handle_error")
        def failed(context: ExceptionContext) -> None:
            execution = context.execution_context
            began = getattr(execution, "seawall_began", None)
            if began is not None and context.statement is not None:
                self._ended(context.statement, monotonic() - began)
            span = execution.__dict__.pop("seawall_span", None) if execution is not None else None
            if span is not None:
                self._spans.end(span, context.original_exception)

    def _ended(self, statement: str, seconds: float) -> None:
        for observer in self.observers:
            observer.statement(statement, seconds)
        if self._slow and seconds >= self._slow:
            call = current.get(None)
            logger.warning(
                "slow statement: %.0f ms: %s",
                seconds * 1000,
                self._shown(statement),
                extra={
                    "milliseconds": round(seconds * 1000, 3),
                    "operation": call.operation if call else "",
                    "request_id": call.request_id if call else "",
                },
            )

    def _count(self, statement: str) -> None:
        call = current.get(None)
        if call is None:
            return
        counts = self._counts.get(call)
        if counts is None:
            counts = self._counts[call] = Counter()
        counts[statement] += 1
        if counts[statement] == self._repeated:
            logger.warning(
                "repeated statement: %d times in one call of %s, the last from %s: %s. Load it for all rows at once.",
                self._repeated,
                call.operation or "the service",
                _users_line(),
                self._shown(statement),
            )

    def _shown(self, statement: str) -> str:
        return text_of(statement, backslashes=self._spans.backslashes).shown


def _users_line() -> str:
    """Return ``file:line`` of the innermost code that is neither a library's nor ours.

    SQLAlchemy runs statements in a greenlet of their own, whose stack ends where it was started; the stack that
    waits for it, with the user's coroutines on it, is its parent's.
    """
    here = greenlet.getcurrent()
    stacks: list[FrameType | None] = [sys._getframe()]  # noqa: SLF001 - there is no other way to see who called
    while here.parent is not None:
        here = here.parent
        stacks.append(here.gr_frame)
    for frame in stacks:
        while frame is not None:
            name = frame.f_code.co_filename
            if not name.startswith(_OWN) and not any(part in name for part in _NOT_THE_USERS):
                return f"{name}:{frame.f_lineno}"
            frame = frame.f_back  # noqa: PLW2901
    return "an unknown line"
