"""The breaker against a model that keeps everything and counts anew each time."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from seawall.resilience import Breaker, BreakerEngine, BreakerOpen, BreakerPermit, Environment, Outcome
from seawall.testing.clock import ManualClock

WINDOW, MINIMUM, PROBES, OPEN_FOR, SLOW = 6, 4, 3, 10.0, 1.0


class BreakerMachine(RuleBasedStateMachine):
    """Calls go out, end late or never, are taken back; time passes; somebody switches by hand."""

    slow: float | None = None
    consecutive: int | None = None

    @initialize()
    def begin(self) -> None:
        self.clock = ManualClock()
        self.breaker: BreakerEngine = Breaker(
            window=WINDOW,
            minimum_calls=MINIMUM,
            failure_rate=0.5,
            slow_after=self.slow,
            consecutive=self.consecutive,
            open_for=OPEN_FOR,
            growth=2,
            longest_open=25,
            jitter=0,
            probes=PROBES,
            probe_patience=1000,
        ).engine("model", Environment(self.clock))
        self.state = "closed"
        self.generation = 0
        self.ends: list[tuple[bool, bool]] = []  # of this generation: failed, slow
        self.out: list[tuple[BreakerPermit, int, float]] = []
        self.probes_out = 0
        self.until = 0.0
        self.times = 0

    def go(self, state: str) -> None:
        self.state, self.ends, self.probes_out = state, [], 0
        self.generation += 1

    def trip(self) -> None:
        self.times += 1
        self.go("open")
        self.until = self.clock.monotonic() + min(25, OPEN_FOR * 2 ** (self.times - 1))

    def bad(self, ends: list[tuple[bool, bool]], of: int) -> bool:
        failed, slow = sum(end[0] for end in ends), sum(end[1] for end in ends)
        return failed / of >= 0.5 or (self.slow is not None and slow / of >= 0.5)

    def may_go_out(self) -> bool:
        if self.state == "open" and self.clock.monotonic() >= self.until:
            self.go("half-open")
        return self.state in {"closed", "forced-closed"} or (
            self.state == "half-open" and self.probes_out + len(self.ends) < PROBES
        )

    @rule()
    def ask(self) -> None:
        now = self.clock.monotonic()
        if not self.may_go_out():
            with pytest.raises(BreakerOpen):
                self.breaker.acquire()
            return
        self.out.append((self.breaker.acquire(), self.generation, now))
        self.probes_out += self.state == "half-open"

    @precondition(lambda self: self.out)
    @rule(data=st.data(), outcome=st.sampled_from(Outcome))
    def end(self, data: st.DataObject, outcome: Outcome) -> None:
        index = data.draw(st.integers(0, len(self.out) - 1))
        permit, generation, began = self.out.pop(index)
        permit.report(outcome)
        permit.report(Outcome.FAILURE)  # a second word changes nothing
        if generation != self.generation:
            return
        self.ended(outcome, slow=self.slow is not None and self.clock.monotonic() - began >= self.slow)

    def ended(self, outcome: Outcome, *, slow: bool) -> None:
        self.probes_out -= self.state == "half-open"
        if outcome is Outcome.IGNORED or self.state == "forced-closed":
            return
        self.ends.append((outcome is Outcome.FAILURE, slow))
        if self.state == "closed":
            window = self.ends[-WINDOW:]
            row = self.consecutive and len(self.ends) >= self.consecutive
            if (row and all(end[0] for end in self.ends[-self.consecutive :])) or (
                len(window) >= MINIMUM and self.bad(window, len(window))
            ):
                self.times = 0
                self.trip()
        elif self.bad(self.ends, PROBES):
            self.trip()
        elif not self.bad([*self.ends, *[(True, True)] * (PROBES - len(self.ends))], PROBES):
            self.times = 0
            self.go("closed")

    @rule(fails=st.booleans())
    def call(self, fails: bool) -> None:
        """Go through the decorator, whose good case takes shorter ways."""

        async def target() -> None:
            if fails:
                raise ConnectionError

        before = len(self.out)
        if not self.may_go_out():
            with pytest.raises(BreakerOpen):
                self.breaker(target)().send(None)
            return
        self.probes_out += self.state == "half-open"
        with pytest.raises(ConnectionError if fails else StopIteration):
            self.breaker(target)().send(None)
        self.ended(Outcome.FAILURE if fails else Outcome.SUCCESS, slow=False)
        assert len(self.out) == before

    @rule(seconds=st.sampled_from([0.4, 1.0, 9.5, 10.0, 30.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(switch=st.sampled_from(["force_open", "force_closed", "reset"]))
    def switch(self, switch: str) -> None:
        getattr(self.breaker, switch)()
        self.times = 0
        self.go({"force_open": "forced-open", "force_closed": "forced-closed", "reset": "closed"}[switch])

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "state"):
            return
        seen = self.breaker.snapshot()
        assert seen.state == self.state
        if self.state == "closed":
            window = self.ends[-WINDOW:]
            assert (seen.calls, seen.failures) == (len(window), sum(end[0] for end in window))
            assert seen.slows == sum(end[1] for end in window)
        if self.state == "half-open":
            assert seen.probes_left == PROBES - self.probes_out - len(self.ends) >= 0
        if self.state == "open":
            assert seen.retry_after == pytest.approx(max(0.0, self.until - self.clock.monotonic()))


class SlowMachine(BreakerMachine):
    slow = SLOW


class RowMachine(BreakerMachine):
    consecutive = 2


_MANY = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestRate = BreakerMachine.TestCase
TestRate.settings = _MANY
TestSlow = SlowMachine.TestCase
TestSlow.settings = _MANY
TestRow = RowMachine.TestCase
TestRow.settings = _MANY
