"""Where the time goes: stacks of every thread, looked at many times a second from a thread beside them.

A sample of the event loop's thread says where it stands, not that it computes: a call that blocks the loop in the
kernel shows as well, which is what one wants to see. Other threads are seen as often as they compute (`burning`);
where the system does not tell, unless they stand in a function in which Python's own threads wait for work. What waits
is counted and left out. What an event loop written in C (uvloop) does by itself cannot be told from its waiting.

To look, a thread needs the interpreter lock, and gets it where another gives it up by itself (which is where that
waits) or after the interpreter's switch interval. At its usual 5 ms a service that works in short pieces would seem to
wait all the time. So the interval is short while a profile is taken.
"""

from __future__ import annotations

import inspect
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType, FrameType

from seawall.clock import Clock
from seawall.profiling.burning import ThreadTimes
from seawall.profiling.stacks import Place, describe_code, frames_of

__all__ = ["MAX_HZ", "MAX_SECONDS", "LoopThread", "Profile", "Thread", "loop_thread", "sample"]

MAX_SECONDS = 60
MAX_HZ = 250
MAX_STACKS = 20_000
"""Different stacks kept of one profile; further ones are counted and dropped."""
MAX_RUNS = 100_000
"""Changes from one stack to another kept of one profile."""

SWITCH_INTERVAL = 0.000_05
"""Seconds after which a thread that computes gives way while a profile is taken."""

_IDLE = frozenset(
    {
        ("selectors.py", "select"),
        ("threading.py", "wait"),
        ("threading.py", "_wait_for_tstate_lock"),
        ("queue.py", "get"),
        ("thread.py", "_worker"),
        ("runners.py", "run"),
        ("base_events.py", "run_forever"),
        ("base_events.py", "run_until_complete"),
        ("socketserver.py", "serve_forever"),
    }
)


@dataclass(frozen=True, slots=True)
class LoopThread:
    """The thread of an event loop.

    Args:
        ident: Its number.
        runner: The function that calls what the loop has to do. A loop written in C has no frames: it waits, or does
            something of its own, when this function stands innermost.
    """

    ident: int
    runner: CodeType | None


@dataclass(frozen=True, slots=True)
class Thread:
    """What one thread did: which stack for how many samples, in the order of time; -1 is idle."""

    name: str
    runs: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Profile:
    """Where threads stood for a while.

    Args:
        seconds: How long it was looked.
        interval: Seconds between two looks, as they came about.
        ticks: How often it was looked.
        busy: Samples of threads that did not wait for work.
        idle: Samples of threads that did.
        dropped: Samples not kept because there were too many different stacks.
        cost: Seconds that looking took, an upper bound: it contains waiting for the interpreter lock.
        cpu: Seconds of processor time of the whole process meanwhile.
        pid: The process.
        stacks: The stacks, outermost first, functions by the line they begin at.
        threads: The threads.
        lines: The lines that stood innermost, with their samples, the most frequent first.
    """

    seconds: float
    interval: float
    ticks: int
    busy: int
    idle: int
    dropped: int
    cost: float
    cpu: float
    pid: int
    stacks: tuple[tuple[Place, ...], ...]
    threads: tuple[Thread, ...]
    lines: tuple[tuple[Place, int], ...]

    @property
    def share(self) -> float:
        """The part of the time that looking took, at most."""
        return self.cost / self.seconds if self.seconds > 0 else 0.0

    def weighted(self) -> Iterator[tuple[tuple[Place, ...], float]]:
        """Yield every stack below its thread's name, with its samples."""
        for thread in self.threads:
            counted: Counter[int] = Counter()
            for stack, samples in thread.runs:
                counted[stack] += samples
            for stack, samples in counted.items():
                if stack >= 0:
                    yield (Place(thread.name, "", 0), *self.stacks[stack]), samples


class _Samples:
    """What has been seen so far, by the numbers of code objects: their own hash reads all of their code."""

    def __init__(self, loop: LoopThread | None, interval: float) -> None:
        self.loop = loop
        self.interval = interval
        self.times = ThreadTimes()
        self.codes: dict[int, CodeType] = {}
        self.stacks: dict[tuple[int, ...], int] = {}
        self.runs: dict[int, list[list[int]]] = {}
        self.lines: Counter[tuple[int, int]] = Counter()
        self.names: dict[int, str] = {}
        self.busy = self.idle = self.dropped = self.changes = 0

    def look(self, own: int) -> None:
        """Take one sample of every thread but *own*."""
        for ident, frame in sys._current_frames().items():  # noqa: SLF001 - there is no other way to see threads
            if ident == own:
                continue
            frames = frames_of(frame)
            code = frames[0].f_code
            runner = self.loop.runner if self.loop is not None and ident == self.loop.ident else None
            if code is runner or self._waits(ident, code):
                self.idle += 1
                self._keep(ident, -1)
                continue
            if runner is not None:  # how the loop was started is the same for everything it does
                outer = next((at for at, each in enumerate(frames) if each.f_code is runner), len(frames))
                frames = frames[:outer]
            for each in frames:
                self.codes.setdefault(id(each.f_code), each.f_code)
            stack = tuple(id(each.f_code) for each in reversed(frames))
            number = self.stacks.get(stack)
            if number is None:
                if len(self.stacks) >= MAX_STACKS:
                    self.dropped += 1
                    continue
                number = self.stacks[stack] = len(self.stacks)
            self.busy += 1
            self.lines[id(code), frames[0].f_lineno or 0] += 1
            self._keep(ident, number)

    def _waits(self, ident: int, code: CodeType) -> bool:
        if (os.path.basename(code.co_filename), code.co_name) in _IDLE:  # noqa: PTH119 - 100 times a second
            return True
        on_loop = self.loop is not None and ident == self.loop.ident
        return not on_loop and self.times.is_due(ident, self.interval) is False

    def _keep(self, ident: int, stack: int) -> None:
        runs = self.runs.setdefault(ident, [])
        if runs and runs[-1][0] == stack:
            runs[-1][1] += 1
        elif self.changes < MAX_RUNS:
            self.changes += 1
            runs.append([stack, 1])
        else:
            self.dropped += 1

    def name_threads(self) -> None:
        """Note the names of threads while they live."""
        self.times.open()
        for thread in threading.enumerate():
            if thread.ident is not None:
                self.names[thread.ident] = thread.name


def loop_thread() -> LoopThread:
    """Return the thread of the running loop; called from a coroutine that runs on it."""
    runner: CodeType | None = None
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - how `inspect` does it
    inside = False
    while frame is not None:
        if frame.f_code.co_flags & inspect.CO_COROUTINE:
            inside = True
        elif inside:  # what is around the outermost coroutine comes last
            runner, inside = frame.f_code, False
        frame = frame.f_back
    return LoopThread(threading.get_ident(), runner)


def sample(clock: Clock, stop: threading.Event, seconds: float, hz: int, loop: LoopThread | None = None) -> Profile:
    """Look at every other thread *hz* times a second for *seconds*, or until *stop*; blocks, so run it in a thread.

    Args:
        clock: What time it is.
        stop: Ends it.
        seconds: How long.
        hz: Looks a second.
        loop: The thread of the event loop.
    """
    own, interval = threading.get_ident(), 1 / hz
    seen = _Samples(loop, interval)
    started_cpu = sum(os.times()[:2])
    began = now = clock.monotonic()
    cost, ticks = 0.0, 0
    switch = sys.getswitchinterval()
    sys.setswitchinterval(min(switch, SWITCH_INTERVAL))
    try:
        while now - began < seconds and not stop.is_set():
            if ticks % hz == 0:
                seen.name_threads()
            seen.look(own)
            after = clock.monotonic()
            cost, ticks = cost + after - now, ticks + 1
            stop.wait(max(interval - (after - now), interval / 10))
            now = clock.monotonic()
    finally:
        sys.setswitchinterval(switch)
        seen.times.close()
    elapsed = now - began
    return Profile(
        seconds=elapsed,
        interval=elapsed / ticks if ticks else interval,
        ticks=ticks,
        busy=seen.busy,
        idle=seen.idle,
        dropped=seen.dropped,
        cost=cost,
        cpu=sum(os.times()[:2]) - started_cpu,
        pid=os.getpid(),
        stacks=tuple(tuple(describe_code(seen.codes[each]) for each in stack) for stack in seen.stacks),
        threads=tuple(
            Thread(seen.names.get(ident, f"thread {ident}"), tuple((stack, count) for stack, count in runs))
            for ident, runs in seen.runs.items()
        ),
        lines=tuple(
            (Place(code.co_qualname, code.co_filename, line), count)
            for (number, line), count in seen.lines.most_common(20)
            for code in (seen.codes[number],)
        ),
    )
