"""Keeper: claims keys for calls, keeps their answers, and gives them again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from seawall.call import Call
from seawall.clock import Clock, Random
from seawall.idempotency.keys import fingerprint_of, read_key, record_of
from seawall.idempotency.problems import IdempotencyKeyReused, RequestInProgress
from seawall.idempotency.store import Store
from seawall.problems import Problem, Unavailable

__all__ = ["Answer", "Claim", "IdempotencyOptions", "Keeper", "Rule"]

REPLAYED = (b"idempotency-replayed", b"true")
SWEEP = 600.0
"""Seconds between two looks for what has expired."""
_FIRST_LOOK, _LONGEST_LOOK = 0.02, 0.25

logger = logging.getLogger("seawall.idempotency")


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of an answer: everything but what the service adds to each."""

    status: int
    content_type: bytes | None
    body: bytes
    fields: list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyOptions:
    """How a service keeps answers; see `seawall.settings.IdempotencySettings` for what each option means."""

    store: Literal["auto", "memory", "database", "redis"] = "auto"
    retention: float = 86_400.0
    lease: float = 30.0
    wait: float = 0.0
    max_keys: int = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What one operation does, every time in seconds."""

    method: str
    retention: float
    lease: float
    wait: float


class Claim:
    """One call's hold on its key."""

    __slots__ = ("answer", "before", "began", "id", "rule", "saved", "token")

    def __init__(self, id: str, token: str, rule: Rule, before: int) -> None:  # noqa: A002 - of the record
        self.id = id
        self.token = token
        self.rule = rule
        self.before = before
        """How many header fields the call had: these are not the operation's."""
        self.answer: Answer | None = None
        """What was answered before; then the operation does not run."""
        self.began = False
        """Whether the operation itself was started: what fails earlier has had no effect."""
        self.saved = False
        """Whether the answer was written in the session that is being committed."""


class Keeper:
    """Does for plans what has to be done around an idempotent operation.

    Args:
        service: The service's name; records of two services in one store are apart.
        clock: What time it is.
        random: Chance.
        name: What the store is called, for people.
        connect: Makes the store when it is first needed.
        session: The type of sessions in which answers can be kept; None where there are none.
    """

    def __init__(
        self, service: str, clock: Clock, random: Random, name: str, connect: Callable[[], Store], session: Any = None
    ) -> None:
        self.name = name
        self.session = session
        self._service = service
        self._clock = clock
        self._random = random
        self._connect = connect
        self._store: Store | None = None

    @property
    def store(self) -> Store:
        """Where records are kept."""
        if self._store is None:
            self._store = self._connect()
        return self._store

    async def claim(self, call: Call, rule: Rule, field: bytes, path: str, query: bytes, body: bytes) -> Claim:
        """Claim the key of a call, or find its answer.

        Raises:
            InvalidIdempotencyKey: The key is malformed.
            IdempotencyKeyReused: It was used for another request.
            RequestInProgress: The same request runs, and did not end within the rule's wait.
            Unavailable: The store is out of order.
        """
        key = read_key(field)
        fingerprint = fingerprint_of(rule.method, path, query, body)
        claim = Claim(
            record_of(self._service, call, key), f"{self._random.getrandbits(128):032x}", rule, len(call.fields or ())
        )
        give_up, pause = self._clock.monotonic() + rule.wait, _FIRST_LOOK
        while True:
            try:
                found = await self.store.claim(claim.id, fingerprint, claim.token, rule.lease)
            except asyncio.CancelledError:
                # Whether it was claimed is not known; what was is let go, for others not to wait for the lease.
                await self._release(claim)
                raise
            except OSError as error:
                raise _out_of_order(error) from error
            if found.fingerprint != fingerprint:
                raise IdempotencyKeyReused("This Idempotency-Key was used for another request; take a new one.")
            if found.state == "claimed":
                return claim
            if found.state == "done":
                claim.answer = msgspec.msgpack.decode(found.answer, type=Answer)
                return claim
            left = give_up - self._clock.monotonic()
            if left <= 0:
                after = str(max(1, min(60, round(found.left))) if found.left < 2 else 1)
                raise RequestInProgress(
                    "A request with this Idempotency-Key is being worked on.", headers={"Retry-After": after}
                )
            await self._clock.sleep(min(pause, left))
            pause = min(pause * 2, _LONGEST_LOOK)

    def replay(self, call: Call, answer: Answer) -> tuple[int, bytes | None, bytes]:
        """Return the status, content type and body of *answer*; its header fields go to *call*."""
        call.fields = [*(call.fields or ()), *answer.fields, REPLAYED]
        return answer.status, answer.content_type, answer.body

    async def save(self, claim: Claim, session: Any, call: Call, status: int, kind: bytes | None, body: bytes) -> None:
        """Keep the answer in the transaction of *session*, which is committed after this.

        Raises:
            RequestInProgress: The claim is another's meanwhile; the session is not to be committed.
        """
        store: Any = self.store
        packed = _pack(claim, call, status, kind, body)
        if not await store.complete_in(session, claim.id, claim.token, packed, claim.rule.retention):
            raise RequestInProgress(
                "This took longer than its lease, and another request with its key took over.",
                headers={"Retry-After": "1"},
            )
        claim.saved = True

    async def complete(self, claim: Claim, call: Call, status: int, kind: bytes | None, body: bytes) -> None:
        """Keep the answer of an operation that has ended, unless it was kept with its session.

        A store that is out of order does not change the answer: what was done is done. Then others with the key are
        answered with 409 until the lease is over.
        """
        if claim.saved:
            return
        packed = _pack(claim, call, status, kind, body)
        try:
            kept = await self.store.complete(claim.id, claim.token, packed, claim.rule.retention)
        except (OSError, Problem) as error:
            logger.error("%s: the answer could not be kept: %s", call.operation, error)
            return
        if not kept:
            logger.error("%s: it took longer than its lease, and its answer was not kept", call.operation)

    async def failed(self, claim: Claim, error: BaseException) -> bool:
        """Return whether the answer to *error* is to be kept; if not, let the claim go.

        Kept is what the operation itself answers, its errors included. Not kept is what failed before it began, what
        was cancelled, and whatever says that asking again helps (429, 503).
        """
        claim.saved = False
        own = claim.began and isinstance(error, Exception)
        if own and not (isinstance(error, Problem) and error.status in (429, 503, 504)):
            return not isinstance(error, RequestInProgress)
        await self._release(claim)
        return False

    async def sweep(self) -> None:
        """Delete what has expired, now and then, for ever."""
        while True:
            await self._clock.sleep(SWEEP)
            if self._store is not None:
                try:
                    await self._store.forget()
                except (OSError, Problem) as error:
                    logger.warning("expired idempotency keys could not be deleted: %s", error)

    async def close(self) -> None:
        """Let go of connections; they are made again when they are needed."""
        store = self._store
        if store is not None and self.name != "memory":
            self._store = None
            await store.close()

    async def _release(self, claim: Claim) -> None:
        try:
            await self.store.release(claim.id, claim.token)
        except (OSError, Problem) as error:
            logger.warning("an idempotency key could not be released, and is when its lease is over: %s", error)


def _pack(claim: Claim, call: Call, status: int, kind: bytes | None, body: bytes) -> bytes:
    return msgspec.msgpack.encode(Answer(status, kind, body, (call.fields or [])[claim.before :]))


def _out_of_order(error: OSError) -> Unavailable:
    problem = Unavailable("Idempotency keys cannot be looked up at the moment.", headers={"Retry-After": "1"})
    problem.guard = "idempotency"
    logger.warning("idempotency: the store cannot be reached: %s", error)
    return problem
