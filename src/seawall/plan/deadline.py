"""Deadlines: one sweeper over insertion-ordered tables instead of one timer per call.

Every call of one time limit expires in the order it began, so the oldest entry of its table is the
next to expire. A timer is armed for that entry only, and only while the table is not empty: a service
that answers within its limits runs one timer per limit and period, not one per call.

A caller that brings a sooner deadline breaks that order. Its call stands in a heap as well, with one timer for the
soonest of them; whoever brings none pays nothing for it.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Callable, Iterable, Iterator
from itertools import count

from seawall.call import Call
from seawall.clock import Clock, Timer
from seawall.operation import Policy
from seawall.plan.ending import deadline_exceeded, late
from seawall.plan.places import Place
from seawall.plan.timeouts import TimeoutField
from seawall.plan.writer import Writer
from seawall.problems import DeadlineExceeded

__all__ = ["Deadline", "DeadlineTable", "Deadlines"]

Asked = tuple[float, bytes]
"""When a request arrived, on the service's clock, and how long its caller said to wait."""

_FEW = 64
"""Entries of a heap below which nothing is done about those that are over."""


class DeadlineTable:
    """The running calls of one time limit, oldest first.

    Args:
        seconds: The limit; infinite for calls that have only the deadlines that they bring.
        clock: What time it is.
        field: How callers say how long they will wait, if they can.
    """

    __slots__ = ("_clock", "_early", "_early_at", "_early_timer", "_field", "_numbers", "_timer", "backstops", "calls",
                 "idle", "seconds")  # fmt: skip

    def __init__(self, seconds: float, clock: Clock, field: TimeoutField | None = None) -> None:
        self.seconds = seconds
        self.calls: dict[Call, asyncio.Task[object]] = {}
        self.backstops: dict[Call, float] = {}
        """When calls end at the latest whose deadline is that of the call around them, which is ended for it."""
        self.idle = True
        self._clock = clock
        self._field = field
        self._timer: Timer | None = None
        self._early: list[tuple[float, int, Call]] = []
        self._early_at = math.inf
        self._early_timer: Timer | None = None
        self._numbers = count()

    def arm(self) -> None:
        """Watch the oldest call; called by the plan that puts a call into an idle table."""
        self.idle = False
        self._timer = self._clock.call_later(self.seconds, self.sweep)

    def sweep(self) -> None:
        """End every call whose deadline has passed and arm the timer for the next."""
        now = self._clock.monotonic()
        while self.calls:
            call = next(iter(self.calls))
            due = self.backstops.get(call, call.deadline)
            if due is not None and due > now:
                self._timer = self._clock.call_later(due - now, self.sweep)
                return
            call.end("deadline", self.calls.pop(call))
        self.idle = True
        self._timer = None

    def ask(self, call: Call, asked: Asked) -> Asked | None:
        """Give *call*, which stands in the table, the deadline its caller asked for; return None if that is no sooner.

        Raises:
            BadRequest: What the caller says has no form.
            DeadlineExceeded: The deadline has passed already, so nothing is begun.
        """
        arrived, value = asked
        assert self._field is not None  # noqa: S101 - plans ask only where there is a field
        due = arrived + self._field.seconds(value)
        if call.deadline is not None and due >= call.deadline:
            return None
        call.deadline = due
        self._not_passed(due)
        if len(self._early) > _FEW + 2 * len(self.calls):
            self._early = [entry for entry in self._early if entry[2] in self.calls]
            heapq.heapify(self._early)
        heapq.heappush(self._early, (due, next(self._numbers), call))
        if due < self._early_at:
            self._arm_early(due)
        return asked

    def inherit(self, call: Call, deadline: float) -> None:
        """Give *call*, which stands in the table, the *deadline* of the call around it, if that is sooner.

        The call around it is ended at that deadline, and this one by that: cancelled once, not twice. Should it run
        on in a task of its own, it ends by its own limit.

        Raises:
            DeadlineExceeded: The deadline has passed already, so nothing is begun.
        """
        if call.deadline is None or deadline <= call.deadline:
            self.backstops[call] = call.deadline or math.inf
            call.deadline = deadline
            self._not_passed(deadline)

    def _not_passed(self, deadline: float) -> None:
        if deadline <= self._clock.monotonic():
            raise DeadlineExceeded("The caller's deadline passed before the operation had begun.")

    def _arm_early(self, due: float) -> None:
        if self._early_timer is not None:
            self._early_timer.cancel()
        self._early_at = due
        self._early_timer = self._clock.call_later(max(0.0, due - self._clock.monotonic()), self._sweep_early)

    def _sweep_early(self) -> None:
        self._early_at, self._early_timer = math.inf, None
        now = self._clock.monotonic()
        while self._early:
            due, _, call = self._early[0]
            task = self.calls.get(call)
            if task is not None and due > now:
                self._arm_early(due)
                return
            heapq.heappop(self._early)
            if task is not None:
                call.end("deadline", task)

    def close(self) -> None:
        """Take the timers back."""
        for timer in (self._timer, self._early_timer):
            if timer is not None:
                timer.cancel()
        self._timer = self._early_timer = None
        self._early_at = math.inf
        self.idle = True


class Deadlines:
    """The tables of one service, one for each time limit in use.

    Args:
        clock: What time it is.
        field: How callers say how long they will wait; None where they cannot.
    """

    __slots__ = ("_clock", "_tables", "field")

    def __init__(self, clock: Clock, field: TimeoutField | None = None) -> None:
        self._clock = clock
        self.field = field
        self._tables: dict[float, DeadlineTable] = {}

    def table(self, seconds: float) -> DeadlineTable:
        """Return the table of the limit *seconds*."""
        if seconds not in self._tables:
            self._tables[seconds] = DeadlineTable(seconds, self._clock, self.field)
        return self._tables[seconds]

    def guards(self, policy: Policy) -> Iterable[Deadline]:
        """Return the deadline that *policy* asks for: the source of this capability."""
        if policy.timeout is not None:
            yield Deadline(self.table(policy.timeout), self._clock)

    def unlimited(self) -> Deadline | None:
        """Return what keeps the deadlines that callers bring where a policy has none; None if they cannot."""
        return None if self.field is None else Deadline(self.table(math.inf), self._clock)

    def running(self) -> Iterator[tuple[Call, asyncio.Task[object]]]:
        """Return the calls that are running under a deadline, with their tasks."""
        for table in self._tables.values():
            yield from table.calls.items()

    def ages(self) -> Iterator[tuple[asyncio.Task[object], Call, float]]:
        """Return the running calls with their tasks and ages in seconds; may be asked from any thread.

        A call whose caller has shortened its time seems older by as much.
        """
        now = self._clock.monotonic()
        for table in list(self._tables.values()):
            if math.isinf(table.seconds):
                continue  # nothing tells when these began
            # A copy in one step: calls begin and end meanwhile.
            for call, task in table.calls.copy().items():
                if call.deadline is not None:
                    yield task, call, now - (call.deadline - table.seconds)

    def close(self) -> None:
        """Take back every timer; running calls are no longer watched."""
        for table in self._tables.values():
            table.close()


class Deadline:
    """The fragment that keeps one operation within its time limit.

    What its lines find in the local ``sooner`` (see `Writer.sooner`) shortens that limit.
    """

    name = "deadline"
    place = Place.DEADLINE

    def __init__(self, table: DeadlineTable, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        """Write the lines that enter the call into its table and turn an expiry into a problem."""
        table = writer.bind("deadlines", self._table)
        running = writer.bind("running", self._table.calls)
        limit = writer.bind("time_limit", self._table.seconds)
        cancelled = writer.bind("CancelledError", asyncio.CancelledError)
        asked = "sooner" if writer.sooner == "asked" else "None"
        self._emit_entry(writer, table, running, limit)
        with writer.block("try:"):
            if writer.sooner == "asked":
                with writer.block("if sooner is not None:"):
                    writer.line(f"sooner = {table}.ask(call, sooner)")
            elif writer.sooner == "inherited":
                with writer.block("if sooner is not None:"):
                    writer.line(f"{table}.inherit(call, sooner)")
            inner()
        with writer.block(f"except {cancelled}:"):
            # A call that is being cancelled for another reason as well must not go on to answer.
            with writer.block('if call.ended == "deadline" and call.settle():'):
                exceeded = writer.bind("deadline_exceeded", deadline_exceeded)
                writer.line(f"raise {exceeded}({limit}, {asked}) from None")
            writer.line("raise")
        after = writer.bind("late", late)
        # An operation that made something else of the cancellation, or nothing, is late all the same.
        with writer.block("except Exception as error:"):
            with writer.block("if call.ended:"):
                writer.line(f"{after}(call, {limit}, {asked}, error)")
            writer.line("raise")
        with writer.block("else:"), writer.block("if call.ended:"):
            writer.line(f"{after}(call, {limit}, {asked})")
        with writer.block("finally:"):
            if self._table.seconds == math.inf:
                with writer.block("if sooner is not None:"):
                    writer.line(f"{running}.pop(call, None)")
            else:
                writer.line(f"{running}.pop(call, None)")
            if writer.sooner == "inherited":
                writer.line(f"{table}.backstops.pop(call, None)")

    def _emit_entry(self, writer: Writer, table: str, running: str, limit: str) -> None:
        task = writer.task or f"{writer.bind('current_task', asyncio.current_task)}()"
        if self._table.seconds == math.inf:
            with writer.block("if sooner is not None:"):
                writer.line(f"{running}[call] = {task}")
            return
        now = writer.now or f"{writer.bind('monotonic', self._clock.monotonic)}()"
        writer.lines(
            f"call.deadline = {now} + {limit}",
            f"{running}[call] = {task}",
        )
        with writer.block(f"if {table}.idle:"):
            writer.line(f"{table}.arm()")
