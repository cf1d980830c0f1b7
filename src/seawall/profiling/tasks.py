"""The tasks of an event loop as a tree: what each does, for which call, since when, and who awaits whom.

Tasks are looked at on the event loop itself, so that none moves meanwhile, some at a time. Who awaits whom is told
where asyncio lets it be seen: a task awaited directly, ``gather``, ``wait``, ``wait_for`` and task groups. asyncio
does not note when a task began: calls are as old as their deadlines say, others at least as old as their first report.
"""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import AsyncGeneratorType, CoroutineType, FrameType
from typing import Any

from seawall.call import Call
from seawall.clock import Clock
from seawall.profiling.running import RunningCalls, call_of
from seawall.profiling.stacks import MAX_DEPTH, Place, short_path, source_line

__all__ = ["MAX_TASKS", "TaskReport", "TaskTable", "TaskView", "await_chain", "awaitables", "call_in"]

MAX_TASKS = 1_000
"""Tasks shown of one report; there may be more."""
_SLICE = 50


@dataclass(frozen=True, slots=True)
class TaskView:
    """One task.

    Args:
        id: Its number in the report.
        name: Its name.
        coroutine: The function it runs.
        request_id: The call it works for; None where that is not known.
        operation: That call's operation.
        seconds: How old it is; None where that is not known.
        at_least: Whether it may be older than that.
        overdue: For how many seconds the deadline of its call has passed; None where it has not, or there is none.
        cancelling: How often it has been asked to stop.
        awaits: The numbers of the tasks it waits for.
        stack: Where it stands, outermost first.
    """

    id: int
    name: str
    coroutine: str
    request_id: str | None
    operation: str | None
    seconds: float | None
    at_least: bool
    overdue: float | None
    cancelling: int
    awaits: tuple[int, ...]
    stack: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class TaskReport:
    """The tasks of the loop.

    Args:
        total: How many there were.
        seconds: How long looking took, on the event loop, with pauses in which other tasks ran.
        longest: The longest the loop was held up for it, in seconds.
        tasks: The first of them.
    """

    total: int
    seconds: float
    longest: float
    tasks: tuple[TaskView, ...]

    def text(self) -> str:
        """Return it as an indented tree for reading."""
        head = f"{self.total} tasks besides the one that looks"
        overdue = sum(task.overdue is not None for task in self.tasks)
        if overdue:
            head += f", {overdue} of them past the deadline of their call"
        if self.total > len(self.tasks):
            head += f", {len(self.tasks)} of them shown"
        head += (
            f". Cost: {self.seconds * 1000:.1f} ms on the event loop, at most {self.longest * 1000:.1f} ms at a time.\n"
        )
        return head + "\n" + "\n".join(self._tree())

    def _tree(self) -> Iterator[str]:
        by_id = {task.id: task for task in self.tasks}
        awaited = {child for task in self.tasks for child in task.awaits}
        shown: set[int] = set()
        # What awaits itself in a circle is nobody's root: it comes last.
        roots = [task.id for task in self.tasks if task.id not in awaited]
        for start in [*roots, *by_id]:
            pending = [(start, 0)]
            while pending:
                number, depth = pending.pop()
                if number in shown:
                    if depth:
                        yield f"{'  ' * depth}task {number} (see above)\n"
                    continue
                shown.add(number)
                yield from _lines(by_id[number], "  " * depth)
                pending += [(child, depth + 1) for child in reversed(by_id[number].awaits) if child in by_id]


def _lines(task: TaskView, indent: str) -> Iterator[str]:
    facts = [f"{indent}task {task.id} {task.name}"]
    if task.seconds is not None:
        facts.append(f"{'at least ' if task.at_least else ''}{task.seconds:.1f} s old")
    if task.operation or task.request_id:
        facts.append(f"operation {task.operation or '(none)'}, request {task.request_id}")
    if task.overdue is not None:
        facts.append(f"OVERDUE: its deadline passed {task.overdue:.1f} s ago")
    if task.cancelling:
        facts.append("asked to stop")
    if task.awaits:
        facts.append(f"awaits task {', '.join(map(str, task.awaits))}")
    yield "; ".join(facts)
    for place in task.stack:
        yield f"{indent}    {short_path(place.file)}:{place.line} in {place.name}"
        if line := source_line(place):
            yield f"{indent}        {line}"
    yield ""


@dataclass(slots=True)
class TaskTable:
    """Looks at tasks, and remembers since when it knows each of them."""

    clock: Clock
    running: RunningCalls
    seen: weakref.WeakKeyDictionary[asyncio.Task[Any], float] = field(default_factory=weakref.WeakKeyDictionary)

    async def report(self) -> TaskReport:
        """Look at the tasks of the running loop."""
        began = at = self.clock.monotonic()
        longest = 0.0
        tasks = list(asyncio.all_tasks() - {asyncio.current_task()})
        calls = {each.task: each for each in self.running()}
        tasks.sort(key=lambda task: (task not in calls, task.get_name()))
        kept = tasks[:MAX_TASKS]
        numbers = {task: number for number, task in enumerate(kept, 1)}
        views: list[TaskView] = []
        for task in kept:
            if not task.done():
                known = calls.get(task)
                age = known.seconds if known else None
                views.append(self._view(task, numbers, known.call if known else None, age, began))
            if len(views) % _SLICE == _SLICE - 1:
                longest = max(longest, self.clock.monotonic() - at)
                await self.clock.sleep(0)
                at = self.clock.monotonic()
        for task in tasks:
            self.seen.setdefault(task, began)
        now = self.clock.monotonic()
        return TaskReport(len(tasks), now - began, max(longest, now - at), tuple(_inherit(views)))

    def _view(
        self,
        task: asyncio.Task[Any],
        numbers: Mapping[asyncio.Task[Any], int],
        call: Call | None,
        age: float | None,
        now: float,
    ) -> TaskView:
        frames = await_chain(task)
        call = call or call_in(frames) or call_of(task)
        seconds = age if age is not None else now - self.seen[task] if task in self.seen else None
        return TaskView(
            id=numbers[task],
            name=task.get_name(),
            coroutine=getattr(task.get_coro(), "__qualname__", "?"),
            request_id=call.request_id if call else None,
            operation=call.operation or None if call else None,
            seconds=seconds,
            at_least=age is None,
            overdue=_overdue(call, now),
            cancelling=task.cancelling(),
            awaits=tuple(sorted({numbers[each] for each in _awaited(task, frames) if each in numbers})),
            stack=tuple(Place(each.f_code.co_qualname, each.f_code.co_filename, each.f_lineno or 0) for each in frames),
        )


def _overdue(call: Call | None, now: float) -> float | None:
    """Return since when a call should have ended; calls at their deadline are cancelled, and may take a moment."""
    if call is None or call.deadline is None or call.deadline >= now:
        return None
    return now - call.deadline


def await_chain(task: asyncio.Task[Any]) -> list[FrameType]:
    """Return the frames in which *task* stands, outermost first; those of compiled coroutines cannot be seen."""
    return [frame for frame, _ in awaitables(task)]


def awaitables(task: asyncio.Task[Any]) -> Iterator[tuple[FrameType, Any]]:
    """Yield the frames in which *task* stands, outermost first, each with its coroutine or generator."""
    awaitable: Any = task.get_coro()
    for _ in range(MAX_DEPTH):
        if awaitable is None:
            return
        frame = _attribute(awaitable, "cr_frame", "gi_frame", "ag_frame")
        if isinstance(frame, FrameType):
            yield frame, awaitable
        awaitable = _attribute(awaitable, "cr_await", "gi_yieldfrom", "ag_await")
        while type(awaitable).__name__ in _STEPS:
            # A step of an asynchronous generator does not say of which; the garbage collector knows.
            awaitable = next(
                (each for each in gc.get_referents(awaitable) if isinstance(each, _STEPPING) or _is_step(each)), None
            )


_STEPS = frozenset({"async_generator_asend", "async_generator_athrow", "anext_awaitable", "coroutine_wrapper"})
_STEPPING = (AsyncGeneratorType, CoroutineType)


def _is_step(thing: Any) -> bool:
    return type(thing).__name__ in _STEPS


def _attribute(thing: Any, *names: str) -> Any:
    return next((value for name in names if (value := getattr(thing, name, None)) is not None), None)


def call_in(frames: Iterable[FrameType]) -> Call | None:
    """Return the call of the plan among *frames*: generated code, which names it."""
    for frame in frames:
        if frame.f_code.co_filename.startswith("<seawall"):
            call = frame.f_locals.get("call")
            if isinstance(call, Call):
                return call
    return None


def _awaited(task: asyncio.Task[Any], frames: Iterable[FrameType]) -> Iterator[asyncio.Task[Any]]:
    waiter = getattr(task, "_fut_waiter", None)
    candidates: list[Any] = [waiter, *getattr(waiter, "_children", ())]
    for frame in frames:
        code = frame.f_code
        if not code.co_filename.replace("\\", "/").endswith(("asyncio/tasks.py", "asyncio/taskgroups.py")):
            continue
        values = frame.f_locals
        if code.co_name == "_wait":
            candidates += values.get("fs", ())
        elif code.co_name == "wait_for":
            candidates.append(values.get("fut"))
        elif code.co_name in ("__aexit__", "_aexit"):
            candidates += getattr(values.get("self"), "_tasks", ())
    return (each for each in candidates if isinstance(each, asyncio.Task) and each is not task)


def _inherit(views: list[TaskView]) -> Iterator[TaskView]:
    """Yield the tasks; one of no known call that a call's task awaits works for that call."""
    by_id = {view.id: view for view in views}
    for view in views:
        if view.request_id is None:
            continue
        pending = list(view.awaits)
        while pending:
            child = by_id.get(pending.pop())
            if child is not None and child.request_id is None:
                told = replace(child, request_id=view.request_id, operation=view.operation, overdue=view.overdue)
                by_id[child.id] = told
                pending += child.awaits
    yield from by_id.values()
