"""What a carrier must say for the HTTP fragments to write their lines."""

from __future__ import annotations

from typing import Protocol

from seawall.plan import Fragment, Writer

__all__ = ["HttpCarrier"]


class HttpCarrier(Protocol):
    """How generated code reaches the parts of a request on one carrier.

    The carrier's `receive` fragment defines the locals every HTTP fragment may use: ``call``, ``headers``
    (a dictionary of raw fields, names in lower case), ``fields`` (the same as a list of pairs, in order) and
    ``parts`` (the decoded segments of the path). It sends what the inner fragments leave in ``status``,
    ``content_type`` and ``body``.
    """

    name: str
    """``asgi`` or ``wire``."""
    signature: str
    """The parameters of the generated coroutine."""
    query: str
    """An expression for the raw query string."""

    def receive(self, operation: str, *, empty: bool) -> Fragment:
        """Return the outermost fragment; *empty* says whether a success may have no body."""
        ...

    def read_body(self, writer: Writer, limit: int) -> None:
        """Write lines that leave the body in the local ``raw_body``, refusing one over *limit* bytes."""
        ...
