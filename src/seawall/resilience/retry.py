"""Retries: a few more attempts, spread out, within a budget, and never past the deadline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from seawall.call import current
from seawall.resilience.attempts import attempt, is_retried, mark_retried, repeatable, served_attempt
from seawall.resilience.backoff import Backoff, asked_to_wait
from seawall.resilience.budget import Budget, BudgetEngine
from seawall.resilience.checks import duration, refuse, whole
from seawall.resilience.engine import AnyCall, Engine
from seawall.resilience.environment import Environment
from seawall.resilience.events import GaveUp, Retrying
from seawall.resilience.outcomes import Outcome, Outcomes
from seawall.resilience.problems import BreakerOpen, Rejected, Throttled

__all__ = ["Attempt", "Attempts", "Retry", "RetryEngine"]

_NEVER = (BreakerOpen, Throttled)  # the target is to be left alone, and to ask again is not that
_SPENT = "the budget is spent"
Arguments = tuple[tuple[Any, ...], Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Make a call that failed again.

    A call is not made again when the budget is spent, when the wait would end past the deadline of the call being
    served, when a lower layer has retried it already, or when the call being served is itself a second attempt of
    its caller. The error is then the last one, as it was raised.

    Args:
        attempts: Attempts in all, the first one among them.
        idempotent: Whether making the call twice is as good as once. Where it is not, only what had no effect is
            tried again: a `Rejected`, a refused connection, and *unsent*. `BreakerOpen` and `Throttled` never are.
            A client that knows it of each call (its method, a key) decides for itself.
        unsent: Further exceptions that mean that the call never reached its target.
        backoff: How long to wait in between.
        longest_wait: A target that asks (``Retry-After``) for a longer wait than this is not called again.
        counts: Which ends of a call are failures.
        budget: How many retries there may be among all calls to the target; None for no limit.

    Raises:
        DeclarationError: A setting is impossible.
    """

    attempts: int = 3
    idempotent: bool = False
    unsent: tuple[type[Exception], ...] = ()
    backoff: Backoff = field(default_factory=Backoff)
    longest_wait: float | str = 30.0
    counts: Outcomes = field(default_factory=Outcomes)
    budget: Budget | None = field(default_factory=Budget)

    def __post_init__(self) -> None:
        whole("Retry", "attempts", self.attempts, most=100)
        if self.attempts == 1:
            raise refuse("Retry", "attempts", 1, "the first attempt counts, so this retries nothing; write 2 or more")
        duration("Retry", "longest_wait", self.longest_wait)
        if self.counts.failed_result is not None and not self.idempotent:
            raise refuse("Retry", "counts", self.counts, "a result means the call was made; say idempotent=True too")

    def engine(self, name: str, environment: Environment) -> RetryEngine:
        """Return retries with a full budget of their own."""
        budget = BudgetEngine(self.budget) if self.budget is not None else None
        return RetryEngine(name, self, environment, budget)


class RetryEngine(Engine):
    """Retries: a decorator, or ``async for attempt in retry.attempts(): async with attempt: …``."""

    kind = "retry"

    def __init__(self, name: str, policy: Retry, environment: Environment, budget: BudgetEngine | None) -> None:
        super().__init__(name, environment)
        self.policy = policy
        self.budget = budget
        self._waits = policy.backoff.waits()
        self._longest = duration("Retry", "longest_wait", policy.longest_wait)
        self._unsent = (Rejected, ConnectionRefusedError, *policy.unsent)

    def wrap(self, function: AnyCall) -> AnyCall:
        """Return *function* with these retries."""
        retry, budget = self, self.budget if self.budget is not None else BudgetEngine(Budget())
        of_result = self.policy.counts.of_result if self.policy.counts.failed_result is not None else None

        async def call(*args: Any, **kwargs: Any) -> Any:
            budget.active += 1
            failed: Exception | None = None
            result = None
            try:
                try:
                    result = await function(*args, **kwargs)
                except Exception as error:
                    if retry.policy.counts.of_error(error) is Outcome.SUCCESS or not retry.may_repeat(error):
                        raise
                    failed = error
                else:
                    if of_result is None or of_result(result) is Outcome.SUCCESS:
                        if budget.tokens < budget.capacity:
                            budget.earn()
                        return result
                return await retry.again(function, (args, kwargs), failed, result)
            finally:
                budget.active -= 1
                failed = None

        return call

    def attempts(self) -> Attempts:
        """Give one attempt after the other until one goes well, or none is left.

        ::

            async for attempt in retry.attempts():
                async with attempt:
                    ...

        What a block raises is swallowed by its attempt where another one follows.
        """
        return Attempts(self)

    async def again(self, function: AnyCall, arguments: Arguments, error: Exception | None, result: Any) -> Any:
        """Make the call again after its first attempt raised *error*, or returned *result* that is a failure."""
        course = _Course(self)
        args, kwargs = arguments
        try:
            while course.goes_on(error):
                await course.wait()
                try:
                    error, result = None, await function(*args, **kwargs)
                except Exception as raised:
                    error = raised
                    if self.policy.counts.of_error(error) is Outcome.SUCCESS or not self.may_repeat(error):
                        raise
                else:
                    if self.policy.counts.of_result(result) is Outcome.SUCCESS:
                        course.succeeded()
                        return result
            if error is not None:
                raise error
            return result
        finally:
            course.end()
            error = None

    def may_repeat(self, error: Exception) -> bool:
        """Whether the call that raised *error* may be made again, as far as the call itself goes."""
        if isinstance(error, _NEVER):
            return False
        if isinstance(error, self._unsent) or getattr(error, "unsent", False):
            return True
        known = repeatable.get()
        return self.policy.idempotent if known is None else known


class Attempts:
    """The attempts of one block. Nothing of it is left over when the loop ends early."""

    __slots__ = ("_course", "_last")

    def __init__(self, retry: RetryEngine) -> None:
        self._course = _Course(retry)
        self._last: Attempt | None = None

    def __aiter__(self) -> Attempts:
        return self

    async def __anext__(self) -> Attempt:
        if self._last is not None:
            if not self._last.failed:
                raise StopAsyncIteration
            try:
                await self._course.wait()
            except BaseException:
                self._course.end()
                raise
        self._last = Attempt(self._course)
        return self._last


class Attempt:
    """One attempt of a block."""

    __slots__ = ("_course", "failed")

    def __init__(self, course: _Course) -> None:
        self._course = course
        self.failed = False
        """Whether it failed and another one follows."""

    @property
    def number(self) -> int:
        """Which attempt it is, from 1."""
        return self._course.made

    async def __aenter__(self) -> Self:
        self._course.enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        course = self._course
        course.leave()
        if error is None:
            course.succeeded()
        elif isinstance(error, Exception):
            retry = course.retry
            counts = retry.policy.counts.of_error(error) is not Outcome.SUCCESS
            self.failed = counts and retry.may_repeat(error) and course.goes_on(error)
        if not self.failed:
            course.end()
        return self.failed


class _Course:
    """What has happened to one call so far."""

    def __init__(self, retry: RetryEngine) -> None:
        self.retry = retry
        self.made = 1
        self._delay = 0.0
        self._spent = False
        self._outer = attempt.get()

    def enter(self) -> None:
        """Count the attempt of a block among the calls under way."""
        if self.retry.budget is not None:
            self.retry.budget.active += 1

    def leave(self) -> None:
        """Take what `enter` has counted back."""
        if self.retry.budget is not None:
            self.retry.budget.active -= 1

    def goes_on(self, error: Exception | None) -> bool:
        """Whether there is to be another attempt; if so it is paid for, and `wait` waits for it."""
        self._settle()
        retry, environment = self.retry, self.retry.environment
        asked = asked_to_wait(error, environment.clock.time()) if error is not None else None
        delay = retry._waits(self.made, self._delay, environment.random.random())  # noqa: SLF001 - its own part
        if asked is not None:
            # Everybody was told the same time: the wait of one's own keeps them apart.
            delay += asked
        reason = self._reason_to_stop(error, asked, delay)
        if reason is not None:
            # Where there was no budget for a retry, the layer above is not to make it in our place: "overloaded; don't
            # retry" (SRE book, "Handling Overload").
            if error is not None and (self.made > 1 or reason == _SPENT):
                mark_retried(error, self.made)
            if environment.hooks:
                at = environment.clock.monotonic()
                environment.emit(GaveUp(name=retry.name, at=at, attempts=self.made, reason=reason, error=repr(error)))
            return False
        self._spent = retry.budget is not None
        self._delay = delay
        self.made += 1
        if environment.hooks:
            at = environment.clock.monotonic()
            environment.emit(Retrying(name=retry.name, at=at, attempt=self.made, delay=delay, error=repr(error)))
        return True

    async def wait(self) -> None:
        """Wait until the attempt is due, and say to those below which one it is."""
        await self.retry.environment.clock.sleep(self._delay)
        attempt.set(self._outer + self.made - 1)

    def succeeded(self) -> None:
        """Pay into the budget."""
        if self.retry.budget is not None:
            self.retry.budget.earn()

    def end(self) -> None:
        """Leave everything as it was found."""
        self._settle()
        if self.made > 1:
            attempt.set(self._outer)

    def _reason_to_stop(self, error: Exception | None, asked: float | None, delay: float) -> str | None:
        retry = self.retry
        if self.made >= retry.policy.attempts:
            return "no attempt is left"
        if error is not None and is_retried(error):
            return "a lower layer has retried it"
        if served_attempt() > 1 or self._outer > 1:
            return "the call being served is a retry itself"
        if asked is not None and asked > retry._longest:  # noqa: SLF001 - its own part
            return f"the target asked to wait {asked:g} s"
        request = current.get(None)
        deadline = request.deadline if request is not None else None
        if deadline is not None and retry.environment.clock.monotonic() + delay >= deadline:
            return "the deadline comes first"
        if retry.budget is not None and not retry.budget.spend():
            return _SPENT
        return None

    def _settle(self) -> None:
        """End the extra call that has been paid for last."""
        if self._spent and self.retry.budget is not None:
            self._spent = False
            self.retry.budget.done()
