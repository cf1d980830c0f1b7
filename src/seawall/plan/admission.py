"""The fragments that keep work within what the service can do: its gate, and the bulkheads of operations."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import ClassVar, Literal

from seawall.admission import Admission, Baseline, Gate
from seawall.admission.gate import PRIORITIES
from seawall.clock import Clock
from seawall.operation import Policy
from seawall.plan.places import Place
from seawall.plan.writer import Writer
from seawall.problems import Overloaded, Problem

__all__ = ["Admit", "Bulkhead", "admission_guards"]


def admission_guards(admission: Admission, clock: Clock) -> Callable[[Policy], Iterable[Admit | Bulkhead]]:
    """Return the source of this capability: the service's gate for every policy, and a bulkhead for one that asks."""

    def source(policy: Policy) -> Iterable[Admit | Bulkhead]:
        if policy.priority == "health":
            return
        if admission.options.enabled:
            yield Admit(admission, clock, policy)
        if policy.concurrency is not None:
            yield Bulkhead(admission, clock, policy)

    return source


class Admit:
    """The service's gate: counts calls, and refuses what is too much.

    While there is room that is two comparisons and an addition. Calls without a time limit may be streams: they are
    refused when calls wait for the event loop, but not counted. Neither is what an operation calls in the service
    itself: it was admitted with its caller, and refusing it would waste what has been done.
    """

    name = "admission"
    place = Place.ADMISSION
    problems: ClassVar[tuple[type[Problem], ...]] = (Overloaded,)

    def __init__(self, admission: Admission, clock: Clock, policy: Policy) -> None:
        self._admission = admission
        self._clock = clock
        self._priority = policy.priority
        self._counted = policy.timeout is not None

    @property
    def note(self) -> str:
        """The limit, and the priority."""
        limit = self._admission.options.limit
        most = f"{limit} at once" if limit else "adaptive"
        return f"{most if self._counted else 'not counted'}, {self._priority}"

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        """Write the comparisons, and the count around everything further in."""
        gate = self._admission.gate
        condition = "not nested" if writer.subject.carrier == "direct" else ""
        if self._counted:
            baseline = self._admission.baseline(writer.subject.operation)
            _count(writer, inner, "admission", gate, baseline, self._clock, self._priority, condition)
            return
        name = writer.bind("gate", gate)
        monotonic = writer.bind("monotonic", self._clock.monotonic)
        rank = writer.bind("rank", PRIORITIES.index(self._priority))
        late = f"{monotonic}() > {name}.late_{self._priority}"
        with writer.block(f"if {condition} and {late}:" if condition else f"if {late}:"):
            writer.line(f"{name}.pass_by(call, {rank}, {monotonic}())")
        inner()


class Bulkhead:
    """The gate of one operation, inside its deadline."""

    name = "bulkhead"
    place = Place.BULKHEAD
    problems: ClassVar[tuple[type[Problem], ...]] = (Overloaded,)

    def __init__(self, admission: Admission, clock: Clock, policy: Policy) -> None:
        assert policy.concurrency is not None  # noqa: S101 - the source asks for it
        self._admission = admission
        self._clock = clock
        self._concurrency: int | Literal["adaptive"] = policy.concurrency
        self._priority = policy.priority

    @property
    def note(self) -> str:
        """The limit."""
        return "adaptive" if self._concurrency == "adaptive" else f"{self._concurrency} at once"

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        """Write the count around everything further in."""
        gate, baseline = self._admission.bulkhead(writer.subject.operation, self._concurrency)
        _count(writer, inner, "bulkhead", gate, baseline, self._clock, self._priority, "")


def _count(
    writer: Writer,
    inner: Callable[[], None],
    guard: str,
    gate: Gate,
    baseline: Baseline,
    clock: Clock,
    priority: str,
    condition: str,
) -> None:
    """Write the lines that count a call in, run what is further in, and count it out.

    Args:
        writer: Where to.
        inner: Writes what is further in.
        guard: The guard's name; the local that says when the call began is named after it.
        gate: The gate.
        baseline: Where the latency of calls that end well is added.
        clock: What time it is.
        priority: The priority of the policy.
        condition: What must hold for the call to be counted; empty if it always is.
    """
    name = writer.bind(f"{guard}_gate", gate)
    base = writer.bind(f"{guard}_latency", baseline)
    monotonic = writer.bind("monotonic", clock.monotonic)
    rank = writer.bind(f"{guard}_rank", PRIORITIES.index(priority))
    began = f"{guard}_began"
    # Where nothing waits between the service's gate and the record, that one need not look at the clock again.
    ended = writer.ended if guard == "admission" and writer.ended else f"{guard}_ended"

    def counted(lines: Callable[[], None]) -> None:
        with ExitStack() as stack:
            if condition:
                stack.enter_context(writer.block(f"if {condition}:"))
            lines()

    def enter() -> None:
        writer.line(f"{began} = {writer.now or f'{monotonic}()'}")
        with writer.block(f"if {name}.in_flight >= {name}.most_{priority} or {began} > {name}.late_{priority}:"):
            writer.line(f"{began} = await {name}.enter(call, {rank}, {began})")
        with writer.block("else:"):
            writer.line(f"{name}.in_flight += 1")
        if not condition:
            writer.now, writer.look = began, f"{monotonic}()"

    def measure() -> None:
        writer.lines(
            f"{ended} = {monotonic}()",
            f"{base}.count += 1",
            f"{base}.spent += {ended} - {began}",
        )
        with writer.block(f"if {ended} > {name}.look_at:"):
            writer.line(f"{name}.look({ended})")
        writer.now, writer.look = ended, f"{monotonic}()"

    def leave() -> None:
        writer.line(f"{name}.in_flight -= 1")
        with writer.block(f"if {name}.waiting:"):
            writer.line(f"{name}.wake()")

    counted(enter)
    with writer.block("try:"):
        inner()
        counted(measure)
    with writer.block("except BaseException:"):
        counted(lambda: writer.line(f"{name}.cut({base}, {began})"))
        writer.line("raise")
    with writer.block("finally:"):
        counted(leave)
