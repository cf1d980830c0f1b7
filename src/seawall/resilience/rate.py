"""A rate of outgoing calls: GCRA (ATM Forum TM 4.0, 1996), the leaky bucket that is one number."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Any

from seawall.clock import Timer
from seawall.resilience.checks import duration, refuse, whole
from seawall.resilience.engine import AnyCall, Engine
from seawall.resilience.environment import Environment
from seawall.resilience.events import CallRefused
from seawall.resilience.problems import RateLimited
from seawall.resilience.queueing import Line

__all__ = ["RateLimit", "RateLimitEngine"]

_PERIODS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """Keep to the rate that a target allows.

    Args:
        rate: Calls in a time: ``"10/second"``, ``"100/minute"``, ``"5000/hour"``.
        burst: Calls that may be made at once after a pause; 1 spaces them evenly.
        queue: Calls that may wait for their turn, first come, first served; 0 refuses at once.
        patience: How long a call waits at most; never past the deadline of the call being served.

    Raises:
        DeclarationError: A setting is impossible.
    """

    rate: str
    burst: int = 1
    queue: int = 0
    patience: float | str = 1.0

    def __post_init__(self) -> None:
        _ = self.interval
        whole("RateLimit", "burst", self.burst)
        whole("RateLimit", "queue", self.queue, least=0)
        duration("RateLimit", "patience", self.patience)

    @property
    def interval(self) -> float:
        """Seconds between two calls at an even pace."""
        count, slash, period = str(self.rate).partition("/")
        count, period = count.strip(), period.strip()
        if not slash or not count.isascii() or not count.isdigit() or len(count) > 9 or period not in _PERIODS:
            raise refuse("RateLimit", "rate", self.rate, 'write calls in a time, such as "10/second" or "100/minute"')
        if not int(count):
            raise refuse("RateLimit", "rate", self.rate, "no call would ever be made; write 1 or more")
        return _PERIODS[period] / int(count)

    def engine(self, name: str, environment: Environment) -> RateLimitEngine:
        """Return the rate limit at work, with its whole burst to give."""
        return RateLimitEngine(name, self, environment)


class RateLimitEngine(Engine):
    """A rate of outgoing calls: a decorator, ``async with rate.guard()``, or `acquire` alone."""

    kind = "rate_limit"

    def __init__(self, name: str, policy: RateLimit, environment: Environment) -> None:
        super().__init__(name, environment)
        self.policy = policy
        self.refused = 0
        self._interval = policy.interval
        # A call may come this much before its even time. A rounding error must not cost a call its turn.
        self._ahead = self._interval * (policy.burst - 1) + self._interval * 1e-9
        self._patience = duration("RateLimit", "patience", policy.patience)
        self._due = 0.0  # when the next call is due at an even pace
        self._line = Line(environment.clock)
        self._timer: Timer | None = None

    async def acquire(self) -> None:
        """Wait for the turn of one call and take it.

        Raises:
            RateLimited: It has not come in time, or too many wait already.
        """
        waits = self._wait_now()
        if waits <= 0 and not self._line.waiting:
            self._take()
            return
        waiting = len(self._line.waiting)
        if waiting >= self.policy.queue:
            raise self._refuse("too many calls in this time", waits)
        # What cannot come in time is refused at once: it would only keep a place from others.
        if waits + waiting * self._interval > self._patience:
            raise self._refuse("its turn comes too late", waits + waiting * self._interval)
        self._arm(waits)
        if not await self._line.wait(self._patience, self._give_back):
            raise self._refuse("its turn did not come in time", self._wait_now())

    def guard(self) -> _Turn:
        """Wait for the turn of a block: ``async with rate.guard():``."""
        return _Turn(self)

    def wrap(self, function: AnyCall) -> AnyCall:
        """Return *function* at this rate."""
        acquire = self.acquire

        async def call(*args: Any, **kwargs: Any) -> Any:
            await acquire()
            return await function(*args, **kwargs)

        return call

    def _wait_now(self) -> float:
        return self._due - self._ahead - self.environment.clock.monotonic()

    def _take(self) -> None:
        self._due = max(self._due, self.environment.clock.monotonic()) + self._interval

    def _arm(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = self.environment.clock.call_later(max(0.0, seconds), self._serve)

    def _serve(self) -> None:
        """Give every turn that is due, and wake up for the next."""
        self._timer = None
        while self._line.waiting:
            waits = self._wait_now()
            if waits > 0:
                self._arm(waits)
                return
            if self._line.call_next():
                self._take()

    def _give_back(self) -> None:
        """A turn that was taken and not used is for the next in line."""
        if not self._line.call_next():
            self._due -= self._interval

    def _refuse(self, reason: str, seconds: float) -> RateLimited:
        self.refused += 1
        if self.environment.hooks:
            at = self.environment.clock.monotonic()
            self.environment.emit(CallRefused(name=self.name, at=at, policy=self.kind, reason=reason))
        return RateLimited(self.name, reason, max(0.0, seconds))


class _Turn:
    __slots__ = ("_rate",)

    def __init__(self, rate: RateLimitEngine) -> None:
        self._rate = rate

    async def __aenter__(self) -> None:
        await self._rate.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None
