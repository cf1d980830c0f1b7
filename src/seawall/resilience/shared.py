"""A breaker that several processes share: one of them opens it, and it is open for all.

Each call asks the store before it goes out and tells it how it ended: one atomic step each, and nothing is held while
the call is out. That costs two round trips, so it is a choice: a breaker of each process for itself costs none, and
finds out by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Protocol

import msgspec

from seawall.call import current
from seawall.problems import SeawallError
from seawall.resilience.breaker import Breaker
from seawall.resilience.breaker_engine import BreakerEngine, BreakerPermit
from seawall.resilience.checks import duration, refuse
from seawall.resilience.engine import AnyCall, Engine
from seawall.resilience.environment import Environment
from seawall.resilience.events import CallRefused, StateChanged, StoreLost
from seawall.resilience.outcomes import Outcome
from seawall.resilience.problems import BreakerOpen, TimedOut
from seawall.resilience.timeout import Timeout

__all__ = [
    "Admission",
    "BreakerStore",
    "MemoryBreakerStore",
    "SharedBreaker",
    "SharedBreakerEngine",
    "SharedPermit",
    "StoreUnavailable",
    "Switch",
]

OnOutage = Literal["local", "open", "closed"]
Switch = Literal["closed", "forced-open", "forced-closed"]


class StoreUnavailable(SeawallError):
    """A store does not answer; the driver's own error is its cause."""


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """What a store says of one call.

    Args:
        admitted: Whether it may go out.
        state: The breaker's state after that.
        ticket: What to give back with the outcome; it names the generation.
        retry_after: Seconds until calls may go out; None where nobody can tell.
    """

    admitted: bool
    state: str
    ticket: int = 0
    retry_after: float | None = None


class BreakerStore(Protocol):
    """Where shared breakers are kept. Every method is one atomic step, and raises `StoreUnavailable`."""

    async def admit(self, name: str, policy: Breaker) -> Admission:
        """Ask whether a call may go out."""
        ...

    async def report(self, name: str, policy: Breaker, ticket: int, outcome: Outcome, *, slow: bool) -> str:
        """Tell how the call of *ticket* ended; return the state after that."""
        ...

    async def state(self, name: str) -> str:
        """Return the state, as it was after the last call."""
        ...

    async def switch(self, name: str, policy: Breaker, state: Switch) -> None:
        """Put the breaker into *state* by hand."""
        ...


class MemoryBreakerStore:
    """Breakers of this process alone, by the same rules: for one process, and for tests.

    Args:
        environment: Clock and chance.
    """

    def __init__(self, environment: Environment | None = None) -> None:
        self._environment = environment or Environment()
        self._breakers: dict[str, BreakerEngine] = {}
        self._permits: dict[int, BreakerPermit] = {}
        self._last = 0

    async def admit(self, name: str, policy: Breaker) -> Admission:
        """Ask whether a call may go out."""
        breaker = self._breaker(name, policy)
        try:
            permit = breaker.acquire()
        except BreakerOpen as refused:
            return Admission(admitted=False, state=breaker.state, retry_after=refused.retry_after)
        self._last += 1
        self._permits[self._last] = permit
        return Admission(admitted=True, state=breaker.state, ticket=self._last)

    async def report(self, name: str, policy: Breaker, ticket: int, outcome: Outcome, *, slow: bool) -> str:
        """Tell how the call of *ticket* ended; return the state after that."""
        breaker = self._breaker(name, policy)
        permit = self._permits.pop(ticket, None)
        if permit is not None:
            permit.report(outcome, slow=slow)
        return breaker.state

    async def state(self, name: str) -> str:
        """Return the state, as it was after the last call."""
        return self._breakers[name].state if name in self._breakers else "closed"

    async def switch(self, name: str, policy: Breaker, state: Switch) -> None:
        """Put the breaker into *state* by hand."""
        breaker = self._breaker(name, policy)
        {"closed": breaker.reset, "forced-open": breaker.force_open, "forced-closed": breaker.force_closed}[state]()

    def _breaker(self, name: str, policy: Breaker) -> BreakerEngine:
        if name not in self._breakers:
            self._breakers[name] = policy.engine(name, self._environment)
        return self._breakers[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedBreaker:
    """A breaker that every process with the same store shares.

    Args:
        store: Where it is kept, such as `seawall.resilience.redis.RedisBreakerStore`.
        breaker: Its settings, which every process must give alike; it counts calls, not seconds.
        on_outage: While the store does not answer: ``"local"`` goes by a breaker of this process, which begins
            closed; ``"open"`` lets every call out; ``"closed"`` none.
        store_timeout: How long the store may take to answer.
        store_pause: After it has not answered, how long it is not asked again.

    Raises:
        DeclarationError: A setting is impossible.
    """

    store: BreakerStore
    breaker: Breaker = field(default_factory=Breaker)
    on_outage: OnOutage = "local"
    store_timeout: float | str = 0.1
    store_pause: float | str = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.breaker.window, str):
            raise refuse("SharedBreaker", "breaker", self.breaker, "write its window as a number of calls: window=100")
        if self.on_outage not in ("local", "open", "closed"):
            raise refuse("SharedBreaker", "on_outage", self.on_outage, 'write "local", "open" or "closed"')
        duration("SharedBreaker", "store_timeout", self.store_timeout)
        duration("SharedBreaker", "store_pause", self.store_pause)

    def engine(self, name: str, environment: Environment) -> SharedBreakerEngine:
        """Return the view of this process on the shared breaker *name*."""
        return SharedBreakerEngine(name, self, environment)


class SharedBreakerEngine(Engine):
    """A shared breaker: a decorator, ``async with breaker.guard()``, or `acquire` with the outcome told later."""

    kind = "breaker"

    def __init__(self, name: str, policy: SharedBreaker, environment: Environment) -> None:
        super().__init__(name, environment)
        self.policy = policy
        self.refused = 0
        self.known = "closed"
        """The state as it was when this process last heard of it."""
        self._slow = policy.breaker.slow_seconds
        self._limit = Timeout(policy.store_timeout).engine(f"{name} (store)", Environment(environment.clock))
        self._pause = duration("SharedBreaker", "store_pause", policy.store_pause)
        self._lost_until = 0.0
        self._local: BreakerEngine | None = None

    async def state(self) -> str:
        """Return the shared state.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        return await self.policy.store.state(self.name)

    async def switch(self, state: Switch) -> None:
        """Put it into *state* by hand, for every process.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        await self.policy.store.switch(self.name, self.policy.breaker, state)
        self._learn(state, "by hand")

    async def acquire(self) -> SharedPermit:
        """Ask to let one call out; whoever asked says later how it ended, by the permit.

        Raises:
            BreakerOpen: It must not go out.
        """
        now = self.environment.clock.monotonic()
        if now < self._lost_until:
            return self._without_store(now)
        try:
            async with self._limit.guard():
                admission = await self.policy.store.admit(self.name, self.policy.breaker)
        except (StoreUnavailable, TimedOut) as error:
            self._lose(error)
            return self._without_store(now)
        self._local = None
        self._learn(admission.state, "another process, or its time")
        if not admission.admitted:
            raise self._refuse(admission.retry_after, admission.state)
        return SharedPermit(self, admission.ticket, now)

    def guard(self) -> _Block:
        """Let one block out: ``async with breaker.guard():``; how it ends is the outcome."""
        return _Block(self)

    def wrap(self, function: AnyCall) -> AnyCall:
        """Return *function* behind this breaker."""
        breaker, counts = self, self.policy.breaker.counts

        async def call(*args: Any, **kwargs: Any) -> Any:
            permit = await breaker.acquire()
            try:
                result = await function(*args, **kwargs)
            except BaseException as error:
                await permit.report(counts.of_error(error))
                raise
            await permit.report(counts.of_result(result))
            return result

        return call

    async def end(self, ticket: int, outcome: Outcome, began: float) -> None:
        """Tell the store how the call of *ticket* ended. A store that does not answer does not hurt the call."""
        slow = self._slow is not None and self.environment.clock.monotonic() - began >= self._slow
        try:
            async with self._limit.guard():
                state = await self.policy.store.report(self.name, self.policy.breaker, ticket, outcome, slow=slow)
        except (StoreUnavailable, TimedOut) as error:
            self._lose(error)
        else:
            self._learn(state, "its calls")

    def _without_store(self, now: float) -> SharedPermit:
        if self.policy.on_outage == "open":
            return SharedPermit(self, None, now)
        if self.policy.on_outage == "closed":
            raise self._refuse(max(0.0, self._lost_until - now), "its store does not answer")
        if self._local is None:
            self._local = self.policy.breaker.engine(self.name, self.environment)
        return SharedPermit(self, None, now, self._local.acquire())

    def _lose(self, error: Exception) -> None:
        request = current.get(None)
        now = self.environment.clock.monotonic()
        deadline = request.deadline if request is not None else None
        if isinstance(error, TimedOut) and deadline is not None and now >= deadline:
            return  # it was the caller who had no time left
        self._lost_until = now + self._pause
        if self.environment.hooks:
            cause = repr(error.__cause__ or error)
            self.environment.emit(StoreLost(name=self.name, at=now, policy=self.policy.on_outage, error=cause))

    def _learn(self, state: str, reason: str) -> None:
        before, self.known = self.known, state
        if state != before and self.environment.hooks:
            at = self.environment.clock.monotonic()
            self.environment.emit(StateChanged(name=self.name, at=at, before=before, after=state, reason=reason))

    def _refuse(self, seconds: float | None, reason: str) -> BreakerOpen:
        self.refused += 1
        if self.environment.hooks:
            at = self.environment.clock.monotonic()
            self.environment.emit(CallRefused(name=self.name, at=at, policy=self.kind, reason=reason))
        return BreakerOpen(self.name, reason, seconds)


class SharedPermit:
    """One call that a shared breaker has let out. Its end is told once."""

    __slots__ = ("_began", "_breaker", "_local", "_ticket")

    def __init__(
        self, breaker: SharedBreakerEngine, ticket: int | None, began: float, local: BreakerPermit | None = None
    ) -> None:
        self._breaker: SharedBreakerEngine | None = breaker
        self._ticket = ticket
        self._began = began
        self._local = local

    async def report(self, outcome: Outcome) -> None:
        """Say how the call ended."""
        breaker, self._breaker = self._breaker, None
        if breaker is None:
            return
        if self._local is not None:
            self._local.report(outcome)
        elif self._ticket is not None:
            await breaker.end(self._ticket, outcome, self._began)

    async def release(self) -> None:
        """Give the permit back: the call was not made, or was cancelled."""
        await self.report(Outcome.IGNORED)


class _Block:
    __slots__ = ("_breaker", "_permit")

    def __init__(self, breaker: SharedBreakerEngine) -> None:
        self._breaker = breaker

    async def __aenter__(self) -> SharedPermit:
        self._permit = await self._breaker.acquire()
        return self._permit

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        counts = self._breaker.policy.breaker.counts
        await self._permit.report(Outcome.SUCCESS if error is None else counts.of_error(error))
