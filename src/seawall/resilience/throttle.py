"""Adaptive throttling by the client (Google, *Site Reliability Engineering*, chapter "Handling Overload").

A target that turns calls away pays for each. A client that sees it do so stops sending a share of them:
``max(0, (requests - K * accepts) / (requests + 1))``, both counted over the last two minutes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from seawall.resilience.checks import duration, number
from seawall.resilience.engine import AnyCall, Engine
from seawall.resilience.environment import Environment
from seawall.resilience.events import CallRefused
from seawall.resilience.outcomes import Outcome, Outcomes
from seawall.resilience.problems import Throttled

__all__ = ["Throttle", "ThrottleEngine", "ThrottlePermit"]

_PARTS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """Stop sending what a target would turn away.

    Args:
        factor: The K of the formula. 2 sends twice what is accepted, so that recovery is noticed; less is stricter.
        window: How far back calls are counted.
        counts: Which ends mean that the target turned a call away: its failures.

    Raises:
        DeclarationError: A setting is impossible.
    """

    factor: float = 2.0
    window: float | str = 120.0
    counts: Outcomes = field(default_factory=Outcomes)

    def __post_init__(self) -> None:
        number("Throttle", "factor", self.factor, 1, 1000)
        duration("Throttle", "window", self.window)

    def engine(self, name: str, environment: Environment) -> ThrottleEngine:
        """Return the throttle at work."""
        return ThrottleEngine(name, self, environment)


class ThrottleEngine(Engine):
    """An adaptive throttle: a decorator, ``async with throttle.guard()``, or `acquire` with the outcome told later."""

    kind = "throttle"

    def __init__(self, name: str, policy: Throttle, environment: Environment) -> None:
        super().__init__(name, environment)
        self.policy = policy
        self.requests = 0
        """Calls of the window, those that were not sent among them."""
        self.accepts = 0
        """Those of them that the target accepted."""
        self.refused = 0
        self._width = duration("Throttle", "window", policy.window) / _PARTS
        self._parts: deque[list[int]] = deque()  # number of the part, requests, accepts

    @property
    def share(self) -> float:
        """The share of calls that is not sent now."""
        self._part()
        return max(0.0, (self.requests - self.policy.factor * self.accepts) / (self.requests + 1))

    def acquire(self) -> ThrottlePermit:
        """Let one call out; whoever asked says later how it ended, by the permit.

        Raises:
            Throttled: It is not sent.
        """
        share = self.share
        self.requests += 1
        self._part()[1] += 1
        if share and self.environment.random.random() < share:
            self.refused += 1
            if self.environment.hooks:
                at = self.environment.clock.monotonic()
                told = f"{share:.0%} of calls are not sent"
                self.environment.emit(CallRefused(name=self.name, at=at, policy=self.kind, reason=told))
            raise Throttled(self.name, f"the target turns calls away, so {share:.0%} are not sent")
        return ThrottlePermit(self)

    def guard(self) -> ThrottlePermit:
        """Let one block out: ``async with throttle.guard():``; how it ends is the outcome."""
        return self.acquire()

    def end(self, outcome: Outcome) -> None:
        """Count the end of a call that was sent."""
        if outcome is Outcome.FAILURE:
            return
        part = self._part()
        if outcome is Outcome.SUCCESS:
            self.accepts += 1
            part[2] += 1
        elif part[1]:
            # It says nothing about the target: as if it had never been.
            self.requests -= 1
            part[1] -= 1

    def wrap(self, function: AnyCall) -> AnyCall:
        """Return *function* behind this throttle."""
        throttle, counts = self, self.policy.counts

        async def call(*args: Any, **kwargs: Any) -> Any:
            throttle.acquire()
            try:
                result = await function(*args, **kwargs)
            except BaseException as error:
                throttle.end(counts.of_error(error))
                raise
            throttle.end(counts.of_result(result))
            return result

        return call

    def _part(self) -> list[int]:
        number = int(self.environment.clock.monotonic() / self._width)
        parts = self._parts
        while parts and parts[0][0] <= number - _PARTS:
            _, requests, accepts = parts.popleft()
            self.requests -= requests
            self.accepts -= accepts
        if not parts or parts[-1][0] != number:
            parts.append([number, 0, 0])
        return parts[-1]


class ThrottlePermit:
    """One call that was let out. Its end is told once."""

    __slots__ = ("_throttle",)

    def __init__(self, throttle: ThrottleEngine) -> None:
        self._throttle: ThrottleEngine | None = throttle

    def report(self, outcome: Outcome) -> None:
        """Say how the call ended."""
        throttle, self._throttle = self._throttle, None
        if throttle is not None:
            throttle.end(outcome)

    def release(self) -> None:
        """Give the permit back: the call was not made, or was cancelled."""
        self.report(Outcome.IGNORED)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.report(Outcome.SUCCESS)
        elif self._throttle is not None:
            self.report(self._throttle.policy.counts.of_error(error))
