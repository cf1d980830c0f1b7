"""A circuit breaker at work.

Nothing here waits, so nothing can come between a question and its answer: on one event loop every step is atomic
without a lock, and no lock is held while a call is out.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import msgspec

from seawall.resilience.breaker import Breaker
from seawall.resilience.breaker_states import Closed, ForcedClosed, ForcedOpen, HalfOpen, Open, State
from seawall.resilience.checks import duration
from seawall.resilience.engine import AnyCall, Engine
from seawall.resilience.environment import Environment
from seawall.resilience.events import CallRefused, StateChanged
from seawall.resilience.outcomes import Outcome
from seawall.resilience.problems import BreakerOpen
from seawall.resilience.window import CountWindow, TimeWindow

__all__ = ["BreakerEngine", "BreakerPermit", "BreakerSnapshot"]


class BreakerSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A breaker as it is now.

    Args:
        name: Whom it guards calls to.
        state: ``closed``, ``open``, ``half-open``, ``forced-open`` or ``forced-closed``.
        calls: Ended calls that it remembers; half-open, ended probes.
        failures: Those of them that failed.
        slows: Those of them that were slow.
        opened: How often it has opened since it was made.
        refused: How many calls it has not let out since it was made.
        probes_left: Half-open, how many more calls may go out.
        retry_after: Open, seconds until calls may go out.
    """

    name: str
    state: str
    calls: int
    failures: int
    slows: int
    opened: int
    refused: int
    probes_left: int
    retry_after: float


class BreakerEngine(Engine):
    """A circuit breaker: a decorator, ``async with breaker.guard()``, or `acquire` with the outcome told later.

    Args:
        name: Whom it guards calls to.
        policy: Its settings.
        environment: Clock, chance and hooks.
    """

    kind = "breaker"

    def __init__(self, name: str, policy: Breaker, environment: Environment) -> None:
        super().__init__(name, environment)
        self.policy = policy
        self.opened = 0
        self.refused = 0
        self._monotonic = environment.clock.monotonic
        self._slow = policy.slow_seconds
        self._needed = policy.needed_calls
        self._patience = duration("Breaker", "probe_patience", policy.probe_patience)
        self._state: State
        self.quick: CountWindow | None = None
        """The window that a successful call may be counted in at once: there while the breaker is closed, counts
        calls and watches no times."""
        self._enter(Closed(policy.new_window()))

    # -- reading and switching

    @property
    def state(self) -> str:
        """Which state it is in. It becomes half-open with the first call after its time, not by itself."""
        return self._state.label

    def snapshot(self) -> BreakerSnapshot:
        """Return how it stands now."""
        now, state = self._monotonic(), self._state
        calls = failures = slows = left = 0
        if isinstance(state, Closed):
            state.window.forget(now)
            calls, failures, slows = state.window.calls, state.window.failures, state.window.slows
        elif isinstance(state, HalfOpen):
            calls, failures, slows, left = state.ended, state.failures, state.slows, state.left
        return BreakerSnapshot(
            name=self.name,
            state=state.label,
            calls=calls,
            failures=failures,
            slows=slows,
            opened=self.opened,
            refused=self.refused,
            probes_left=left,
            retry_after=max(0.0, state.until - now) if isinstance(state, Open) else 0.0,
        )

    def force_open(self) -> None:
        """Let no call out until `reset` or `force_closed`."""
        self._go(ForcedOpen(), "by hand")

    def force_closed(self) -> None:
        """Let every call out, and count none, until `reset` or `force_open`."""
        self._go(ForcedClosed(), "by hand")

    def reset(self) -> None:
        """Close it, with nothing remembered."""
        self._go(Closed(self.policy.new_window()), "by hand")

    # -- letting calls out

    def acquire(self) -> BreakerPermit:
        """Let one call out; whoever asked says later how it ended, by the permit.

        Raises:
            BreakerOpen: It must not go out.
        """
        now = self._monotonic()
        state = self._state
        if isinstance(state, HalfOpen) and not state.left and now >= state.patience:
            state = self._trip(state.times + 1, "probes did not end", now)
        if isinstance(state, Open):
            if now < state.until:
                raise self._refuse(state.until - now, "open")
            state = self._go(HalfOpen(self.policy.probes, state.times, now + self._patience), "its time is over")
        if isinstance(state, HalfOpen):
            if not state.left:
                raise self._refuse(None, "half-open, and every probe is out")
            state.left -= 1
        elif isinstance(state, ForcedOpen):
            raise self._refuse(None, "opened by hand")
        return BreakerPermit(self, state, now)

    def guard(self) -> BreakerPermit:
        """Let one call out: ``async with breaker.guard():``; how the block ends is the outcome.

        Raises:
            BreakerOpen: It must not go out.
        """
        return self.acquire()

    def wrap(self, function: AnyCall) -> AnyCall:
        """Return *function* behind this breaker."""
        breaker = self
        of_error, of_result = self.policy.counts.of_error, self.policy.counts.of_result
        judges_results = self.policy.counts.failed_result is not None
        if self._slow is not None and not judges_results:
            return self._wrap_watching_times(function, self._slow)
        if isinstance(self.policy.window, str) and self._slow is None and not judges_results:
            return self._wrap_window_of_time(function)

        async def call(*args: Any, **kwargs: Any) -> Any:
            window = breaker.quick
            if window is None or judges_results:
                permit = breaker.acquire()
                try:
                    result = await function(*args, **kwargs)
                except BaseException as error:
                    permit.report(of_error(error))
                    raise
                permit.report(of_result(result))
                return result
            try:
                result = await function(*args, **kwargs)
            except BaseException as error:
                breaker.count(window, of_error(error))
                raise
            if window.troubled:
                breaker.count(window, Outcome.SUCCESS)
            else:
                window.ended += 1
            return result

        return call

    def _wrap_watching_times(self, function: AnyCall, slow: float) -> AnyCall:
        """Return *function* behind this breaker, where calls can be slow."""
        breaker, monotonic, of_error = self, self._monotonic, self.policy.counts.of_error

        async def call(*args: Any, **kwargs: Any) -> Any:
            state = breaker._state
            if type(state) is not Closed:
                async with breaker.acquire():
                    return await function(*args, **kwargs)
            began = monotonic()
            try:
                result = await function(*args, **kwargs)
            except BaseException as error:
                breaker.end(state, of_error(error), began)
                raise
            window = state.window
            if window.troubled or monotonic() - began >= slow:
                breaker.end(state, Outcome.SUCCESS, began)
            else:
                window.ended += 1
            return result

        return call

    def _wrap_window_of_time(self, function: AnyCall) -> AnyCall:
        """Return *function* behind this breaker, where it counts the calls of the last seconds."""
        breaker, monotonic, of_error = self, self._monotonic, self.policy.counts.of_error

        async def call(*args: Any, **kwargs: Any) -> Any:
            state = breaker._state
            if type(state) is not Closed:
                async with breaker.acquire():
                    return await function(*args, **kwargs)
            try:
                result = await function(*args, **kwargs)
            except BaseException as error:
                breaker.end(state, of_error(error), 0.0)
                raise
            window = state.window
            if type(window) is TimeWindow and monotonic() < window.clear_until:
                window.calls += 1
                window.bucket[1] += 1
            else:
                breaker.end(state, Outcome.SUCCESS, 0.0)
            return result

        return call

    # -- what became of them

    def count(self, window: CountWindow, outcome: Outcome) -> None:
        """Count the end of a call that was let out under *window*, if that is still the one in use."""
        if window is self.quick and outcome is not Outcome.IGNORED:
            self._end_closed(window, outcome, slow=False, now=0.0)

    def end(self, state: State, outcome: Outcome, began: float, *, slow: bool | None = None) -> None:
        """Count the end of a call that began at *began* and was let out under *state*."""
        if state is not self._state:
            return
        now = self._monotonic()
        if slow is None:
            slow = self._slow is not None and now - began >= self._slow
        if isinstance(state, HalfOpen):
            self._end_probe(state, outcome, slow=slow, now=now)
        elif isinstance(state, Closed) and outcome is not Outcome.IGNORED:
            self._end_closed(state.window, outcome, slow=slow, now=now)

    def _end_closed(self, window: Any, outcome: Outcome, *, slow: bool, now: float) -> None:
        window.add(now, failed=outcome is Outcome.FAILURE, slow=slow)
        consecutive = self.policy.consecutive
        if consecutive is not None and window.run >= consecutive:
            self._trip(1, f"{window.run} failures in a row")
        elif window.calls >= self._needed:
            reason = self.policy.trips(window.calls, window.failures, window.slows)
            if reason is not None:
                self._trip(1, reason)

    def _end_probe(self, state: HalfOpen, outcome: Outcome, *, slow: bool, now: float) -> None:
        if outcome is Outcome.IGNORED:
            state.left += 1
            return
        policy = self.policy
        state.ended += 1
        state.failures += outcome is Outcome.FAILURE
        state.slows += slow
        # Decided as soon as no further outcome can change it.
        reason = policy.trips(policy.probes, state.failures, state.slows)
        if reason is None and policy.failure_rate is None and state.failures:
            reason = "a probe failed"
        missing = policy.probes - state.ended
        if reason is not None:
            self._trip(state.times + 1, f"half-open: {reason}", now)
        elif not missing or self._cannot_trip(state, missing):
            self._go(Closed(policy.new_window()), f"{state.ended - state.failures} of {state.ended} probes went well")

    def _cannot_trip(self, state: HalfOpen, missing: int) -> bool:
        if self.policy.failure_rate is None:
            return False  # any failure among those that are missing would open it
        return self.policy.trips(self.policy.probes, state.failures + missing, state.slows + missing) is None

    # -- from state to state

    def _trip(self, times: int, reason: str, now: float | None = None) -> State:
        seconds = self.policy.open_seconds(times, self.environment.random.random())
        self.opened += 1
        return self._go(Open((self._monotonic() if now is None else now) + seconds, times), reason)

    def _go(self, state: State, reason: str) -> State:
        before = self._state
        self._enter(state)
        if self.environment.hooks:
            at = self._monotonic()
            self.environment.emit(
                StateChanged(name=self.name, at=at, before=before.label, after=state.label, reason=reason)
            )
        return state

    def _enter(self, state: State) -> None:
        self._state = state
        window = state.window if isinstance(state, Closed) else None
        self.quick = window if isinstance(window, CountWindow) and self._slow is None else None

    def _refuse(self, seconds: float | None, reason: str) -> BreakerOpen:
        self.refused += 1
        if self.environment.hooks:
            self.environment.emit(CallRefused(name=self.name, at=self._monotonic(), policy=self.kind, reason=reason))
        return BreakerOpen(self.name, reason, seconds)


class BreakerPermit:
    """One call that a breaker has let out. Its end is told once; whatever is told after that changes nothing.

    As ``async with``, the way the block ends is the outcome. Used by hand, end every permit in ``finally``.
    """

    __slots__ = ("_began", "_breaker", "_state")

    def __init__(self, breaker: BreakerEngine, state: State, began: float) -> None:
        self._breaker: BreakerEngine | None = breaker
        self._state = state
        self._began = began

    def report(self, outcome: Outcome, *, slow: bool | None = None) -> None:
        """Say how the call ended, and whether it was *slow* where that is not for the breaker to measure."""
        breaker, self._breaker = self._breaker, None
        if breaker is not None:
            breaker.end(self._state, outcome, self._began, slow=slow)

    def success(self) -> None:
        """Say that the call went well."""
        self.report(Outcome.SUCCESS)

    def failure(self, error: BaseException | None = None) -> None:
        """Say that the call failed; an *error* is judged by the policy."""
        breaker = self._breaker
        if breaker is not None:
            self.report(Outcome.FAILURE if error is None else breaker.policy.counts.of_error(error))

    def release(self) -> None:
        """Give the permit back: the call was not made, or was cancelled. Does nothing once the end is told."""
        self.report(Outcome.IGNORED)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.success()
        else:
            self.failure(error)
