"""Keeper: claims keys for calls, keeps their answers, and gives them again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from seawall.call import Call
from seawall.clock import Clock, Random
from seawall.idempotency.claims import Answer, Claim, OnOutage, Owed, Rule
from seawall.idempotency.keys import fingerprint_of, read_key, record_of
from seawall.idempotency.problems import IdempotencyKeyReused, RequestInProgress
from seawall.idempotency.store import Found, Store
from seawall.problems import Problem, Unavailable

__all__ = ["Count", "IdempotencyOptions", "Keeper", "Outcome"]

Outcome = Literal["stored", "replayed", "conflict", "mismatch", "released", "lost", "outage"]
"""What becomes of a call with a key; see `docs/how-to/idempotency.md`."""
Count = Callable[[str, Outcome], None]
"""Is told the operation, and what became of a call."""

REPLAYED = (b"idempotency-replayed", b"true")
IN_PROGRESS = {"Retry-After": "1"}
SWEEP = 300.0
"""Seconds between two looks for what has expired; up to twice as long, by chance, so that processes part."""
BATCH = 500
"""Records that are deleted in one step."""
PAUSE = 0.1
"""Seconds between two such steps, for others to have their turn."""
SHORTEST_TICK, LONGEST_TICK = 0.05, 5.0
SPARED = 1.0
"""Seconds for which a store that did not answer is not asked again by calls that run without it."""
_FIRST_LOOK, _LONGEST_LOOK = 0.02, 0.25

logger = logging.getLogger("seawall.idempotency")


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyOptions:
    """How a service keeps answers; see `seawall.settings.IdempotencySettings` for what each option means."""

    store: Literal["auto", "memory", "database", "redis"] = "auto"
    retention: float = 86_400.0
    lease: float = 30.0
    wait: float = 0.0
    on_outage: OnOutage = "closed"
    max_keys: int = 100_000


class Keeper:
    """Does for plans what has to be done around an idempotent operation.

    Args:
        service: The service's name; records of two services in one store are apart.
        clock: What time it is.
        random: Chance.
        name: What the store is called, for people.
        connect: Makes the store when it is first needed.
        session: The type of sessions in which answers can be kept; None where there are none.
        count: Told what becomes of calls.
    """

    def __init__(
        self,
        service: str,
        clock: Clock,
        random: Random,
        name: str,
        connect: Callable[[], Store],
        session: Any = None,
        count: Count = lambda operation, outcome: None,  # noqa: ARG005 - nobody listens
    ) -> None:
        self.name = name
        self.session = session
        self._service = service
        self._clock = clock
        self._random = random
        self._connect = connect
        self._count = count
        self._store: Store | None = None
        self._held: dict[str, Claim] = {}
        self._asking: dict[str, asyncio.Future[Found | Problem | None]] = {}
        self._owed = Owed()
        self._tick = LONGEST_TICK
        self._spared_until = 0.0
        self._out = False

    @property
    def store(self) -> Store:
        """Where records are kept."""
        if self._store is None:
            self._store = self._connect()
        return self._store

    def expect(self, rule: Rule) -> Rule:
        """Note that there will be claims by *rule*, to renew them in time."""
        self._tick = max(SHORTEST_TICK, min(self._tick, rule.lease / 10))
        return rule

    async def claim(
        self, call: Call, rule: Rule, field: bytes, path: str, query: bytes, body: bytes, asked: Any = None
    ) -> Claim | None:
        """Claim the key of a call, or find its answer.

        Args:
            call: The call.
            rule: Of its operation.
            field: ``Idempotency-Key`` as it was sent.
            path: The request's path; with query and body it is what is compared.
            query: The request's query.
            body: The request's body.
            asked: When the request came and how long its caller said to wait; None if it said nothing.

        Returns:
            The claim; None if the store is out of order and the rule says to go on without it.

        Raises:
            InvalidIdempotencyKey: The key is malformed.
            IdempotencyKeyReused: It was used for another request.
            RequestInProgress: The same request runs, and did not end within the rule's wait or the caller's time.
            Unavailable: The store is out of order, and the rule says to refuse.
        """
        key = read_key(field)
        fingerprint = fingerprint_of(rule.method, path, query, body)
        token, before = f"{self._random.getrandbits(128):032x}", len(call.fields or ())
        claim = Claim(record_of(self._service, call, key), fingerprint, token, rule, call.operation, before)
        now = self._clock.monotonic()
        give_up, pause = now + rule.wait, _FIRST_LOOK
        if asked is not None and rule.due is not None:
            give_up = min(give_up, rule.due(asked))
        while True:
            here = self._held.get(claim.id)
            found = await self._find(claim) if here is None else Found("running", here.fingerprint)
            if found is None:
                self._count(call.operation, "outage")
                return None
            if found.fingerprint != fingerprint:
                self._count(call.operation, "mismatch")
                raise IdempotencyKeyReused("This Idempotency-Key was used for another request; take a new one.")
            here = self._held.get(claim.id)
            if here is claim:
                return claim
            if found.state == "done":
                claim.answer = msgspec.msgpack.decode(found.answer, type=Answer)
                return claim
            left = give_up - self._clock.monotonic()
            if left <= 0:
                self._count(call.operation, "conflict")
                raise RequestInProgress("A request with this Idempotency-Key is being worked on.", headers=IN_PROGRESS)
            if here is not None:
                claim.answer = await here.ended(self._clock, left)
                if claim.answer is not None:
                    return claim
            else:
                await self._clock.sleep(min(pause, left))
                pause = min(pause * 2, _LONGEST_LOOK)

    def replay(self, call: Call, answer: Answer) -> tuple[int, bytes | None, bytes]:
        """Return the status, content type and body of *answer*; its header fields go to *call*."""
        self._count(call.operation, "replayed")
        call.fields = [*(call.fields or ()), *answer.fields, REPLAYED]
        return answer.status, answer.content_type, answer.body

    async def save(self, claim: Claim, session: Any, call: Call, status: int, kind: bytes | None, body: bytes) -> None:
        """Keep the answer in the transaction of *session*, which is committed after this.

        Raises:
            RequestInProgress: The claim is another's meanwhile; the session is not to be committed.
        """
        store: Any = self.store
        packed = msgspec.msgpack.encode(_answer(claim, call, status, kind, body))
        if not await store.complete_in(session, claim.id, claim.token, packed, claim.rule.retention):
            raise RequestInProgress(
                "This took longer than its lease, and another request with its key took over.", headers=IN_PROGRESS
            )
        claim.saved = True

    async def complete(self, claim: Claim, call: Call, status: int, kind: bytes | None, body: bytes) -> None:
        """Keep the answer of an operation that has ended, unless it was kept with its session.

        A store that is out of order does not change the answer: what was done is done. It is told again until the lease
        is over; others with the key are answered with 409 meanwhile.
        """
        answer = _answer(claim, call, status, kind, body)
        told: Answer | None = answer
        try:
            if claim.saved:
                self._count(claim.operation, "stored")
            elif not await self._keep(claim, msgspec.msgpack.encode(answer)):
                told = None  # there is another answer; those who wait are to look for it
        finally:
            self._end(claim, told)

    async def failed(self, claim: Claim, error: BaseException) -> bool:
        """Return whether the answer to *error* is to be kept; if not, let the claim go.

        Kept is what the operation itself answers, its errors included. Not kept is what failed before it began, what
        was cancelled, and whatever says that asking again helps (429, 503, 504).
        """
        claim.saved = False
        lost = isinstance(error, RequestInProgress)
        passing = lost or (isinstance(error, Problem) and error.status in (429, 503, 504))
        if claim.began and isinstance(error, Exception) and not passing:
            return True
        self._count(claim.operation, "lost" if lost else "released")
        try:
            await self._release(claim)
        finally:
            self._end(claim, None)
        return False

    async def start(self) -> None:
        """Make the table where there is to be one, and delete some of what has expired.

        Raises:
            ConfigurationError: The store cannot be used. One that cannot be reached is used once it can.
        """
        with suppress(OSError, Problem):
            await self.store.forget(BATCH)

    async def attend(self) -> None:
        """Renew what is held, tell what is owed, delete what has expired; for ever."""
        clean_at, more = self._clock.monotonic() + SWEEP * (1 + self._random.random()), False
        while True:
            await self._clock.sleep(min(self._tick, PAUSE) if more else self._tick)
            try:
                await self._renew()
                await self._tell()
                if more or self._clock.monotonic() >= clean_at:
                    clean_at = self._clock.monotonic() + SWEEP * (1 + self._random.random())
                    more = await self.store.forget(BATCH) == BATCH
            except (OSError, Problem) as error:
                self._unreachable(error)

    async def close(self) -> None:
        """Let go of connections; they are made again when they are needed."""
        store = self._store
        if store is not None and self.name != "memory":
            self._store = None
            await store.close()

    async def _find(self, claim: Claim) -> Found | None:
        """Ask the store for a claim, once for all calls of this process that want the same now.

        Returns:
            What was found; None if the store is out of order and the rule says to go on.

        Raises:
            Problem: The store is out of order.
        """
        asking = self._asking.get(claim.id)
        if asking is not None:
            await asyncio.wait([asking])
            if asking.cancelled():  # so was the call that asked; whoever comes first asks again
                return await self._find(claim)
            outcome = asking.result()
        else:
            asking = self._asking[claim.id] = asyncio.get_running_loop().create_future()
            try:
                outcome = await self._ask(claim)
                asking.set_result(outcome)
            finally:
                asking.cancel()
                del self._asking[claim.id]
        if isinstance(outcome, Problem):
            self._count(claim.operation, "outage")
            raise outcome.with_traceback(None)
        return outcome

    async def _ask(self, claim: Claim) -> Found | Problem | None:
        """Ask the store for a claim; see `_find`."""
        rule, now = claim.rule, self._clock.monotonic()
        if rule.on_outage == "open" and now < self._spared_until:
            return None
        claim.lasts(now)  # from before it is asked: the store's lease ends no sooner
        try:
            found = await self.store.claim(claim.id, claim.fingerprint, claim.token, rule.lease)
        except asyncio.CancelledError:
            # Whether it was claimed is not known; what was is let go, for others not to wait for the lease.
            await self._release(claim)
            raise
        except (OSError, Problem) as error:
            self._owed.add(claim, None)
            self._spared_until = self._clock.monotonic() + SPARED
            self._unreachable(error)
            if rule.on_outage == "open":
                return None
            if isinstance(error, Problem):
                return error
            problem = Unavailable("Idempotency keys cannot be looked up at the moment.", headers={"Retry-After": "1"})
            problem.guard = "idempotency"
            return problem
        self._reachable()
        if found.state != "claimed":
            return found
        self._held[claim.id] = claim
        return Found("running", claim.fingerprint)

    async def _keep(self, claim: Claim, packed: bytes) -> bool:
        """Tell the store an answer, now or later; return whether it is the one that counts."""
        try:
            kept = await self.store.complete(claim.id, claim.token, packed, claim.rule.retention)
        except asyncio.CancelledError:
            self._owed.add(claim, packed)  # what was done is done, whoever has gone away
            raise
        except (OSError, Problem) as error:
            self._unreachable(error)
            self._owed.add(claim, packed)
            return True
        self._reachable()
        self._told(claim, kept=kept)
        return kept

    async def _release(self, claim: Claim) -> None:
        try:
            await self.store.hold(claim.id, claim.token, 0)
        except asyncio.CancelledError:
            self._owed.add(claim, None)
            raise
        except (OSError, Problem) as error:
            self._unreachable(error)
            self._owed.add(claim, None)

    async def _renew(self) -> None:
        for claim in list(self._held.values()):
            now = self._clock.monotonic()
            if claim.renew_at > now or self._held.get(claim.id) is not claim:
                continue
            if await self.store.hold(claim.id, claim.token, claim.rule.lease):
                claim.lasts(now)
            elif self._held.get(claim.id) is claim and not claim.saved:  # else it ended meanwhile
                claim.renew_at = float("inf")
                logger.warning("%s: a claim was not renewed in time and is another's now", claim.operation)
            self._reachable()

    async def _tell(self) -> None:
        for late in self._owed:
            claim = late.claim
            if self._clock.monotonic() >= claim.until:
                self._owed.remove(late)
                continue
            if late.answer is None:
                await self.store.hold(claim.id, claim.token, 0)
            else:
                kept = await self.store.complete(claim.id, claim.token, late.answer, claim.rule.retention)
                self._told(claim, kept=kept)
            self._owed.remove(late)
            self._reachable()

    def _unreachable(self, error: Exception) -> None:
        if not self._out:
            self._out = True
            logger.error("idempotency: the store cannot be reached; answers and leases have to wait: %s", error)

    def _reachable(self) -> None:
        if self._out:
            self._out = False
            logger.warning("idempotency: the store can be reached again")

    def _told(self, claim: Claim, *, kept: bool) -> None:
        self._count(claim.operation, "stored" if kept else "lost")
        if not kept:
            logger.error("%s: its claim was another's when it ended, and its answer was not kept", claim.operation)

    def _end(self, claim: Claim, answer: Answer | None) -> None:
        if self._held.get(claim.id) is claim:
            del self._held[claim.id]
        claim.end(answer)


def _answer(claim: Claim, call: Call, status: int, kind: bytes | None, body: bytes) -> Answer:
    return Answer(status, kind, body, (call.fields or [])[claim.before :])
