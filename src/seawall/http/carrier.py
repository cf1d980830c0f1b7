"""What a carrier must say for the HTTP fragments to write their lines."""

from __future__ import annotations

from typing import Protocol

from seawall.http.exchange import AnswerForm
from seawall.plan import Fragment, Writer

__all__ = ["HttpCarrier"]


class HttpCarrier(Protocol):
    """How generated code reaches the parts of a request on one carrier.

    The carrier's outermost fragment defines the locals that every HTTP fragment may use: ``call``, ``path``
    (decoded), ``parts`` (its decoded segments), ``raw_query``, ``scheme``, ``headers`` (raw fields by their names
    in lower case), ``fields`` (the same as a list of pairs, in order) and ``scope`` (ASGI's, None elsewhere). It
    sends what the inner fragments leave in ``status``, ``content_type`` (None for no body) and ``body``.
    """

    @property
    def name(self) -> str:
        """``asgi`` or ``wire``."""
        ...

    @property
    def signature(self) -> str:
        """The parameters of the generated coroutine."""
        ...

    def receive(self, answer: AnswerForm) -> Fragment:
        """Return the outermost fragment."""
        ...

    def watch(self, answer: AnswerForm) -> Fragment | None:
        """Return the fragment that ends a call whose client goes away, where the carrier needs one and it is wanted."""
        ...

    def read_body(self, writer: Writer, limit: int) -> None:
        """Write lines that leave the body in the local ``raw_body``, refusing one over *limit* bytes; once."""
        ...
