"""The context of one execution: who calls, which call it is, and until when it may last.

One ContextVar holds the `Call`; every layer below reads it with `current_call`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextvars import ContextVar, Token
from typing import Any, Literal

import msgspec

from seawall.clock import Clock
from seawall.propagation import TraceContext, read_traceparent

__all__ = ["Call", "Principal", "TraceContext", "current", "current_call", "enter", "leave"]


Ended = Literal["", "deadline", "disconnect", "shutdown"]
"""Why a call was cancelled: its time was over, its client went away, or the service stops; empty if it was not."""


class Principal(msgspec.Struct, frozen=True):
    """Who calls: the subject an authentication guard has verified.

    Args:
        subject: The caller's stable identifier.
        roles: Roles granted to the caller.
        scopes: Scopes granted to the credential that was used.
        claims: Whatever else the credential says.
    """

    subject: str
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    claims: Mapping[str, Any] = {}


class Call(msgspec.Struct, eq=False, weakref=True):
    """One execution of one operation.

    Args:
        id: Identifies this call, as it is sent; `request_id` is the same as text.
        operation: The operation's name; empty while no operation has been found.
        metadata: Header fields (names in lower case) or the transport's equivalent.
        peer: The transport's address of the other side, ``(host, port)``.
        deadline: When the call must be over, on `Clock.monotonic`; None means never.
        principal: Who calls, once a guard has established it.
        ended: Why the call was cancelled, if the service cancelled it.
        fields: Header fields to be added to the answer.
        outer: The call within which this one was made by `Service.call`.
        asked: How often the call's task had been asked to stop before this call was ended.
        problem: The type of the problem it was answered with, if it was.
        guard: The guard that refused it, if one did.
        span: Its span in a trace, where traces are recorded; see `seawall.telemetry.traces`.
        answered: Whether the client has its answer, and the call goes on for those who come after.
    """

    id: bytes
    operation: str
    metadata: Mapping[bytes, bytes] = {}
    peer: tuple[str, int] | None = None
    deadline: float | None = None
    principal: Principal | None = None
    ended: Ended = ""
    fields: list[tuple[bytes, bytes]] | None = None
    outer: Call | None = None
    asked: int = 0
    problem: str = ""
    guard: str = ""
    span: Any = None
    answered: bool = False

    @property
    def request_id(self) -> str:
        """Identifies this call in answers and logs."""
        return self.id.decode("ascii")

    @property
    def client(self) -> str | None:
        """The caller's address, as far as trusted proxies tell it; None on a Unix socket."""
        return self.peer[0] if self.peer else None

    @property
    def trace(self) -> TraceContext | None:
        """The caller's trace, or None when it sent none or a malformed one."""
        field = self.metadata.get(b"traceparent")
        if field is None:
            return None
        state = self.metadata.get(b"tracestate")
        return read_traceparent(field.decode("latin-1"), None if state is None else state.decode("latin-1"))

    def remaining(self, clock: Clock) -> float | None:
        """Return the seconds until the deadline, 0 once it has passed; None where there is none.

        Args:
            clock: The service's clock, which operations and resources take by the type `Clock`.
        """
        return None if self.deadline is None else max(0.0, self.deadline - clock.monotonic())

    def end(self, why: Ended, task: asyncio.Task[Any]) -> bool:
        """Cancel the call, which runs in *task*; return whether that was done.

        A call is cancelled once, for the first reason that there is, and then left to give back what it holds. So
        is a call within another that has been ended: the cancellation of the outer one is on its way to it. A client
        that has its answer may go.
        """
        if why == "disconnect" and self.answered:
            return False
        call: Call | None = self
        while call is not None:
            if call.ended:
                return False
            call = call.outer
        self.ended = why
        self.asked = task.cancelling()
        task.cancel()
        return True

    def settle(self) -> bool:
        """Take back what `end` asked of the running task; return whether nobody else has asked it to stop since.

        What had been asked before does not count: task groups of Python 3.11 and 3.12 leave a request of their own
        behind when one of their tasks fails.
        """
        task = asyncio.current_task()
        return task is None or task.uncancel() <= self.asked

    def header(self, name: str) -> str | None:
        """Return the header field *name* (in any case), or None when it was not sent."""
        value = self.metadata.get(name.lower().encode("latin-1"))
        return None if value is None else value.decode("latin-1")

    def add_header(self, name: str, value: str) -> None:
        """Add a header field to the answer.

        Raises:
            ValueError: The name is no token, the value holds a control character (RFC 9110 §5), or the field is
                one that says how the answer is framed, which the service does.
        """
        field = header_field(name, value)
        if self.fields is None:
            self.fields = []
        self.fields.append(field)


def header_field(name: str, value: str) -> tuple[bytes, bytes]:
    """Return a header field of an answer as it is sent.

    Raises:
        ValueError: It cannot be sent; see `Call.add_header`.
    """
    if name.lower() in _FRAMING:
        raise ValueError(f"header field {name!r} is the service's own to send; leave it out")
    if not _TOKEN.fullmatch(name) or _FORBIDDEN.search(value):
        raise ValueError(f"header field {name!r}: {value!r} cannot be sent (RFC 9110 section 5.5)")
    return name.lower().encode("ascii"), value.encode("latin-1")


_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FRAMING = frozenset({"connection", "content-length", "content-type", "transfer-encoding"})
_FORBIDDEN = re.compile(r"[^\t\x20-\x7e\x80-\xff]")

current: ContextVar[Call] = ContextVar("seawall_call")


def current_call() -> Call:
    """Return the call being executed.

    Raises:
        LookupError: There is none: the code runs outside an operation.
    """
    try:
        return current.get()
    except LookupError:
        raise LookupError("there is no current call: this code runs outside an operation") from None


def enter(call: Call) -> Token[Call]:
    """Make *call* the current one; give the token back to `leave`."""
    return current.set(call)


def leave(token: Token[Call]) -> None:
    """Make the call before the one of *token* the current one again."""
    current.reset(token)
