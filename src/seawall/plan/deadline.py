"""Deadlines: one sweeper over insertion-ordered tables instead of one timer per call.

Every call of one time limit expires in the order it began, so the oldest entry of its table is the
next to expire. A timer is armed for that entry only, and only while the table is not empty: a service
that answers within its limits runs one timer per limit and period, not one per call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator

from seawall.call import Call
from seawall.clock import Clock, Timer
from seawall.operation import Policy
from seawall.plan.places import Place
from seawall.plan.writer import Writer
from seawall.problems import DeadlineExceeded

__all__ = ["Deadline", "DeadlineTable", "Deadlines"]


class DeadlineTable:
    """The running calls of one time limit, oldest first."""

    __slots__ = ("_clock", "_timer", "calls", "cancelled", "idle", "seconds")

    def __init__(self, seconds: float, clock: Clock) -> None:
        self.seconds = seconds
        self.calls: dict[Call, asyncio.Task[object]] = {}
        self.cancelled: dict[Call, int] = {}
        self.idle = True
        self._clock = clock
        self._timer: Timer | None = None

    def arm(self) -> None:
        """Watch the oldest call; called by the plan that puts a call into an idle table."""
        self.idle = False
        self._timer = self._clock.call_later(self.seconds, self.sweep)

    def sweep(self) -> None:
        """Cancel every call whose deadline has passed and arm the timer for the next."""
        now = self._clock.monotonic()
        while self.calls:
            call = next(iter(self.calls))
            if call.deadline is not None and call.deadline > now:
                self._timer = self._clock.call_later(call.deadline - now, self.sweep)
                return
            task = self.calls.pop(call)
            call.expired = True
            self.cancelled[call] = task.cancelling()
            task.cancel()
        self.idle = True
        self._timer = None

    def settle(self, call: Call, task: asyncio.Task[object]) -> bool:
        """Take back what `sweep` asked of *task*; return whether nobody else has asked it to stop since.

        What had been asked before does not count: task groups of Python 3.11 and 3.12 leave a request of their
        own behind when one of their tasks fails.
        """
        return task.uncancel() <= self.cancelled.pop(call, 0)

    def close(self) -> None:
        """Take the timer back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.idle = True


class Deadlines:
    """The tables of one service, one for each time limit in use."""

    __slots__ = ("_clock", "_tables")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tables: dict[float, DeadlineTable] = {}

    def table(self, seconds: float) -> DeadlineTable:
        """Return the table of the limit *seconds*."""
        if seconds not in self._tables:
            self._tables[seconds] = DeadlineTable(seconds, self._clock)
        return self._tables[seconds]

    def guards(self, policy: Policy) -> Iterable[Deadline]:
        """Return the deadline that *policy* asks for: the source of this capability."""
        if policy.timeout is not None:
            yield Deadline(self.table(policy.timeout), self._clock)

    def running(self) -> Iterator[tuple[asyncio.Task[object], Call, float]]:
        """Return the running calls with their tasks and ages in seconds; may be asked from any thread."""
        now = self._clock.monotonic()
        for table in list(self._tables.values()):
            # A copy in one step: calls begin and end meanwhile.
            for call, task in table.calls.copy().items():
                if call.deadline is not None:
                    yield task, call, now - (call.deadline - table.seconds)

    def close(self) -> None:
        """Take back every timer; running calls are no longer watched."""
        for table in self._tables.values():
            table.close()


class Deadline:
    """The fragment that keeps one operation within its time limit."""

    name = "deadline"
    place = Place.DEADLINE

    def __init__(self, table: DeadlineTable, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        """Write the lines that enter the call into its table and turn an expiry into a problem."""
        table = writer.bind("deadlines", self._table)
        running = writer.bind("running", self._table.calls)
        monotonic = writer.bind("monotonic", self._clock.monotonic)
        task = writer.task or f"{writer.bind('current_task', asyncio.current_task)}()"
        limit = writer.bind("time_limit", self._table.seconds)
        cancelled = writer.bind("CancelledError", asyncio.CancelledError)
        exceeded = writer.bind("deadline_exceeded", deadline_exceeded)
        writer.lines(
            f"call.deadline = {monotonic}() + {limit}",
            f"task = {running}[call] = {task}",
        )
        with writer.block(f"if {table}.idle:"):
            writer.line(f"{table}.arm()")
        with writer.block("try:"):
            inner()
        with writer.block(f"except {cancelled}:"):
            # A call that is being cancelled for another reason as well must not go on to answer.
            with writer.block(f"if call.expired and {table}.settle(call, task):"):
                writer.line(f"raise {exceeded}({limit}) from None")
            writer.line("raise")
        # An operation that made something else of the cancellation, or nothing, is late all the same.
        with writer.block("except Exception as error:"):
            with writer.block("if call.expired:"):
                writer.line(f"{table}.settle(call, task)")
                writer.line(f"raise {exceeded}({limit}) from error")
            writer.line("raise")
        with writer.block("else:"), writer.block("if call.expired:"):
            writer.line(f"{table}.settle(call, task)")
            writer.line(f"raise {exceeded}({limit})")
        with writer.block("finally:"):
            writer.line(f"{running}.pop(call, None)")


def deadline_exceeded(limit: float) -> DeadlineExceeded:
    """Return the problem for a call that took longer than *limit* seconds."""
    return DeadlineExceeded(f"The operation did not finish within {limit:g} s.")
