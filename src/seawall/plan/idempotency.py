"""The fragments that make an operation idempotent: the key outside, the beginning and the record inside.

The outer one stands before the response cache and binding, and so reads the body itself: what is compared are the
request's bytes. The two inner ones stand right around the operation. One notes that it began, since what fails before
has had no effect; the other writes the answer into the session of the call, which is committed when the answer is
known, so that the effect and its record become durable together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from seawall.idempotency.claims import OnOutage, Rule
from seawall.idempotency.keeper import IdempotencyOptions, Keeper
from seawall.idempotency.problems import IdempotencyKeyReused, InvalidIdempotencyKey, RequestInProgress
from seawall.idempotency.rule import Idempotency
from seawall.operation import Operation, Policy
from seawall.plan.places import Place
from seawall.plan.timeouts import TimeoutField
from seawall.plan.writer import Writer
from seawall.problems import Problem

__all__ = ["METHODS", "Once", "Record", "idempotency_guards"]

METHODS = frozenset({"POST", "PATCH"})
"""The methods that are not idempotent by themselves (RFC 9110 §9.2.2, RFC 5789 §2)."""
MARGIN = 5.0
"""Seconds a lease outlasts the operation's timeout at least."""


def idempotency_guards(
    keeper: Callable[[], Keeper], options: IdempotencyOptions, field: TimeoutField | None = None
) -> Callable[[Policy], Iterable[Once | Record | Begin]]:
    """Return the source of this capability.

    Args:
        keeper: Returns the service's keeper; asked for when there is a policy that is idempotent.
        options: What holds where a policy says nothing.
        field: By which callers say how long they will wait; None where they cannot.
    """

    def source(policy: Policy) -> Iterable[Once | Record | Begin]:
        chosen: Idempotency | None = policy.idempotent
        if chosen is not None:
            yield Once(keeper(), chosen, options, policy.timeout, field)
            yield Record(keeper())
            yield Begin()

    return source


class Once:
    """Claims the key, or answers as before; `on_request` tells it how the request is read."""

    name = "idempotency"
    place = Place.IDEMPOTENCY
    problems: ClassVar[tuple[type[Problem], ...]] = (InvalidIdempotencyKey, RequestInProgress, IdempotencyKeyReused)

    def __init__(
        self,
        keeper: Keeper,
        chosen: Idempotency,
        options: IdempotencyOptions,
        timeout: float | None,
        field: TimeoutField | None,
    ) -> None:
        self._keeper = keeper
        self._required = chosen.required
        self._retention = _or(chosen.retention, options.retention)
        self._lease = _or(chosen.lease, max(options.lease, (timeout or 0.0) + MARGIN))
        self._wait = min(_or(chosen.wait, options.wait), timeout or math.inf)
        self._on_outage: OnOutage = chosen.on_outage or options.on_outage
        self._field = field
        self._read: Callable[[Writer], None] | None = None
        self._failure: Callable[..., Any] | None = None

    @property
    def note(self) -> str:
        """Whether a key must be sent, and where answers are kept."""
        needed = "key required" if self._required else "key welcome"
        outage = ", runs without it in an outage" if self._on_outage == "open" else ""
        return f"{needed}, kept {self._retention:g} s in {self._keeper.name}{outage}"

    def on_request(self, read_body: Callable[[Writer], None], failure: Callable[..., Any]) -> Once:
        """Return the fragment for a plan in which *read_body* writes the lines that leave the body in ``raw_body``.

        Args:
            read_body: As above.
            failure: Returns status, content type and body for an error: ``failure(error, call, path)``.
        """
        made = object.__new__(Once)
        made.__dict__ = {**self.__dict__, "_read": read_body, "_failure": failure}
        return made

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        """Write the claim, and around what is further in what becomes of it; nothing on other carriers and methods."""
        if self._read is None or writer.subject.method not in METHODS:
            inner()
            return
        keeper = self._keeper
        rule = keeper.expect(self._rule(writer.subject.method))
        writer.lines("idempotency_claim = None", 'idempotency_key = headers.get(b"idempotency-key")')
        if self._required:
            with writer.block("if idempotency_key is None:"):
                writer.line(f"raise {writer.bind('missing_key', missing_key)}()")
        self._read(writer)
        with writer.block("if idempotency_key is not None:"):
            claim, bound = writer.bind("claim_key", keeper.claim), writer.bind("idempotency_rule", rule)
            asked = ", sooner" if writer.sooner == "asked" else ""
            request = "idempotency_key, path, raw_query, raw_body"
            writer.line(f"idempotency_claim = await {claim}(call, {bound}, {request}{asked})")
        with writer.block("if idempotency_claim is not None and idempotency_claim.answer is not None:"):
            replay = writer.bind("replay", keeper.replay)
            writer.line(f"status, content_type, body = {replay}(call, idempotency_claim.answer)")
        with writer.block("else:"):
            with writer.block("try:"):
                inner()
            with writer.block("except BaseException as error:"):
                failed = writer.bind("claim_failed", keeper.failed)
                with writer.block(f"if idempotency_claim is None or not await {failed}(idempotency_claim, error):"):
                    writer.line("raise")
                failure = writer.bind("failure_to_keep", self._failure)
                writer.line(f"status, content_type, body = {failure}(error, call, path)")
            with writer.block("if idempotency_claim is not None:"):
                complete = writer.bind("keep_answer", keeper.complete)
                writer.line(f"await {complete}(idempotency_claim, call, status, content_type, body)")

    def _rule(self, method: str) -> Rule:
        field = self._field
        return Rule(
            method=method,
            retention=self._retention,
            lease=self._lease,
            wait=self._wait,
            on_outage=self._on_outage,
            due=None if field is None else lambda asked: asked[0] + field.seconds(asked[1]),
        )


class Record:
    """Notes that the operation begins, and keeps its answer in the session of the call where there is one."""

    name = "record"
    place = Place.ENCODE

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    def taken(self, operation: Operation, resources: frozenset[Any]) -> Mapping[str, tuple[str, Any]]:  # noqa: ARG002
        """Return the session, where answers are kept in sessions."""
        return {"session": ("resource", self._keeper.session)} if self._keeper.session in resources else {}

    def with_arguments(self, expressions: Callable[[Writer], Mapping[str, str]]) -> _Record:
        """Return the fragment for a plan."""
        return _Record(self._keeper, expressions)

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:  # noqa: ARG002 - as above
        """Write nothing: without arguments there is no session."""
        inner()


@dataclass(frozen=True, slots=True)
class _Record:
    keeper: Keeper
    expressions: Callable[[Writer], Mapping[str, str]]
    name: str = "record"
    place: Place = Place.ENCODE

    @property
    def note(self) -> str:
        return f"the answer, in {self.keeper.name}"

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        inner()
        if writer.subject.method not in METHODS:
            return
        session = self.expressions(writer).get("session")
        if session is not None:
            with writer.block("if idempotency_claim is not None:"):
                save = writer.bind("save_answer", self.keeper.save)
                writer.line(f"await {save}(idempotency_claim, {session}, call, status, content_type, body)")


@dataclass(frozen=True, slots=True)
class Begin:
    """Notes that the operation begins."""

    name: str = "begin"
    place: Place = Place.OPERATION

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        """Write the note."""
        if writer.subject.method in METHODS:
            with writer.block("if idempotency_claim is not None:"):
                writer.line("idempotency_claim.began = True")
        inner()


def _or(chosen: Any, default: float) -> float:
    return default if chosen is None else float(chosen)


def missing_key() -> InvalidIdempotencyKey:
    """Return the problem for a call without a key."""
    return InvalidIdempotencyKey("This operation needs an Idempotency-Key: one of its own for each intent.")
