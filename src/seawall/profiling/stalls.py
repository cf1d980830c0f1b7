"""Stalls of the event loop, with the line that blocked it.

A timer on the loop notes the time; a thread beside it looks whether that is too long ago, and if so where the loop's
thread stands (as asyncio's debug mode and Trio's watchdogs do, which tell afterwards and not where).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import threading
from collections import Counter, deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from seawall.call import Call
from seawall.clock import Clock, Timer
from seawall.profiling.running import RunningCalls, call_of
from seawall.profiling.stacks import Place, origin, places_of, short_path, source_line

__all__ = ["Stall", "StallWatch"]

LOG_PAUSE = 10.0
"""Seconds for which a stall at a line that was logged is not logged again."""
MAX_LOGGED = 1_000

logger = logging.getLogger("seawall.profiling")


@dataclass(frozen=True, slots=True)
class Stall:
    """One time in which the event loop did not run.

    Args:
        at: When it was noticed, in seconds since 1970.
        seconds: How long it lasted, to about a quarter of the threshold; so far, while `over` is false.
        over: Whether the loop runs again.
        line: The line that is most likely to blame: the innermost one that is not Python's own or installed.
        stack: Where the loop's thread stood when it was noticed, outermost first.
        task: The name of the task that ran; None for a callback.
        operation: The operation it worked for; None where that is not known.
        request_id: The call.
    """

    at: float
    seconds: float
    over: bool
    line: Place
    stack: tuple[Place, ...]
    task: str | None
    operation: str | None
    request_id: str | None


class StallWatch:
    """Watches one event loop.

    Args:
        clock: What time it is.
        running: The calls that run.
        threshold: Seconds for which the loop may not run.
        keep: How many stalls are kept, the latest.
    """

    def __init__(self, clock: Clock, running: RunningCalls, threshold: float, keep: int) -> None:
        self.threshold = threshold
        self.total = 0
        self.looks = 0
        self.cost = 0.0
        self.began: float | None = None
        self._clock = clock
        self._running = running
        self._stalls: deque[Stall] = deque(maxlen=keep)
        self._logged: dict[Place, float] = {}
        self._beat = 0.0
        self._timer: Timer | None = None

    @property
    def stalls(self) -> tuple[Stall, ...]:
        """The latest stalls, the latest first."""
        return tuple(reversed(self._stalls))

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Watch the running loop for the time of the block."""
        stop = threading.Event()
        loop, ident = asyncio.get_running_loop(), threading.get_ident()
        self.began = self._clock.monotonic()
        self._tick()
        thread = threading.Thread(target=self._watch, args=(stop, loop, ident), name="seawall stalls", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def text(self) -> str:
        """Return what was seen, for reading."""
        stalls = self.stalls
        watched = self._clock.monotonic() - self.began if self.began is not None else 0.0
        lines = [
            f"{self.total} stall{'s' * (self.total != 1)} of the event loop longer than {self.threshold * 1000:.0f} ms"
            + (f", the latest {len(stalls)} kept." if stalls else "."),
            (
                f"Cost: {self.looks} looks in {watched:.0f} s took {self.cost * 1000:.0f} ms altogether, and the loop "
                f"wakes {4 / self.threshold:.0f} times a second."
            ),
        ]
        places = Counter(stall.line for stall in stalls)
        if places:
            lines += ["", "Most often:"]
            lines += [f"{count:>6}  {place}  {source_line(place)}".rstrip() for place, count in places.most_common(10)]
        for stall in stalls:
            lines += ["", self._head(stall)]
            lines += [f"    {short_path(place.file)}:{place.line} in {place.name}" for place in _from_plan(stall.stack)]
        return "\n".join(lines) + "\n"

    def _head(self, stall: Stall) -> str:
        ago = self._clock.time() - stall.at
        how = f"{stall.seconds:.2f} s" if stall.over else f"{stall.seconds:.2f} s so far"
        whose = f", operation {stall.operation}, request {stall.request_id}" if stall.request_id else ""
        return f"{ago:.0f} s ago for {how}{whose}: {stall.line}: {source_line(stall.line)}"

    # -- on the loop

    def _tick(self) -> None:
        self._beat = self._clock.monotonic()
        self._timer = self._clock.call_later(self.threshold / 4, self._tick)

    # -- in the thread

    def _watch(self, stop: threading.Event, loop: asyncio.AbstractEventLoop, ident: int) -> None:
        noticed: tuple[float, Stall] | None = None
        while not stop.wait(self.threshold / 4):
            began = self._clock.monotonic()
            self.looks += 1
            beat = self._beat
            if noticed is not None and beat != noticed[0]:
                # It ran again some time between the last look and this one.
                self._change(replace(noticed[1], seconds=beat - noticed[0], over=True))
                noticed = None
            if began - beat > self.threshold:
                if noticed is None:
                    stall = self._notice(loop, ident, began - beat)
                    if stall is not None and self._beat == beat:  # otherwise the stack is of something that came after
                        noticed = beat, stall
                        self.total += 1
                        self._stalls.append(stall)
                        self._tell(stall)
                else:
                    noticed = beat, self._change(replace(noticed[1], seconds=began - beat))
            self.cost += self._clock.monotonic() - began

    def _change(self, stall: Stall) -> Stall:
        if self._stalls:
            self._stalls[-1] = stall
        return stall

    def _notice(self, loop: asyncio.AbstractEventLoop, ident: int, seconds: float) -> Stall | None:
        frame = sys._current_frames().get(ident)  # noqa: SLF001 - there is no other way to see a thread
        if frame is None:
            return None
        stack = places_of(frame)
        del frame
        task = asyncio.current_task(loop)
        call: Call | None = None
        if task is not None:
            with contextlib.suppress(RuntimeError):  # the loop runs again and changes what is read
                call = next((each.call for each in self._running() if each.task is task), None)
            call = call or call_of(task)
        return Stall(
            at=self._clock.time(),
            seconds=seconds,
            over=False,
            line=_to_blame(stack),
            stack=stack,
            task=task.get_name() if task else None,
            operation=call.operation or None if call else None,
            request_id=call.request_id if call else None,
        )

    def _tell(self, stall: Stall) -> None:
        if stall.at - self._logged.get(stall.line, 0.0) < LOG_PAUSE:
            return
        if len(self._logged) >= MAX_LOGGED:
            self._logged.clear()
        self._logged[stall.line] = stall.at
        logger.warning(
            "the event loop has not run for %.0f ms%s: %s: %s",
            stall.seconds * 1000,
            f", operation {stall.operation}, request {stall.request_id}" if stall.request_id else "",
            stall.line,
            source_line(stall.line),
        )


def _to_blame(stack: tuple[Place, ...]) -> Place:
    own = [place for place in stack if origin(place.file) == "own"]
    return own[-1] if own else stack[-1]


def _from_plan(stack: tuple[Place, ...]) -> tuple[Place, ...]:
    """Return the part of *stack* that the call is about, without how the server came there."""
    first = next((number for number, place in enumerate(stack) if origin(place.file) == "plan"), 0)
    return stack[first:]
