"""Spans of what a call asks of others: a database, Redis, another service. How they are made without knowing by whom.

Whoever records calls leaves in `Call.span` something whose `recorder` makes spans within that of the call, or is None
where the call is not recorded. Capabilities ask `recorder`, which is all that a call pays that is not recorded, and
describe what they do by OpenTelemetry's semantic conventions. No value that a caller or a table has brought goes into
a span, and nothing here raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from seawall.call import current

__all__ = ["Recorder", "Span", "Value", "recorder"]

Value = str | int | float | bool


class Span(Protocol):
    """Something that is being done for a call."""

    def set(self, name: str, value: Value, /) -> None:
        """Say what has become known of it."""

    def end(self, error: BaseException | None = None, kind: str = "") -> None:
        """End it.

        Args:
            error: What went wrong. Its text is left out: it may hold values.
            kind: What went wrong, in a word of which there are few; by default the error's class.
        """

    def headers(self) -> Mapping[str, str]:
        """Return the header fields by which whoever is asked goes on with the trace: W3C Trace Context."""
        ...


class Recorder(Protocol):
    """Makes spans within that of a call."""

    def client(self, name: str, attributes: Mapping[str, Value], /, *, seconds: float | None = None) -> Span:
        """Begin the span of a request to something else.

        Args:
            name: What is asked; few different ones.
            attributes: What is known of it.
            seconds: How long ago it began; None for now.
        """
        ...

    def internal(self, name: str, attributes: Mapping[str, Value], /) -> Span:
        """Begin the span of something that is done in this process."""
        ...


def recorder() -> Recorder | None:
    """Return what makes spans for the call that runs; None outside of calls and in those that are not recorded."""
    call = current.get(None)
    if call is None or call.span is None:
        return None
    found: Recorder | None = call.span.recorder
    return found
