"""Notices that a client has gone away while its call runs, under any ASGI server.

ASGI tells of it in a message, and only whoever waits for messages hears. A task that waits costs more than most calls,
so a call gets one only once it has lasted a while: one timer looks at all of them together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from seawall.call import Call
from seawall.clock import Clock, Timer
from seawall.plan import Place, Writer

__all__ = ["ROUND", "ClientWatch", "Watched"]

ROUND = 0.03
"""Seconds between two looks; a call that was there at the last one already is watched from this one on."""

Receive = Callable[[], Awaitable[Any]]
Running = tuple["asyncio.Task[Any]", Receive]


class ClientWatch:
    """Watches the clients of calls that last; it owns the tasks that wait for their messages.

    Args:
        clock: What time it is.
    """

    __slots__ = ("_clock", "_older", "_timer", "_watchers", "calls", "idle")

    def __init__(self, clock: Clock) -> None:
        self.calls: dict[Call, Running] = {}
        """Calls that have begun since the last look."""
        self.idle = True
        self._clock = clock
        self._older: dict[Call, Running] = {}
        self._watchers: dict[Call, asyncio.Task[None]] = {}
        self._timer: Timer | None = None

    @property
    def watched(self) -> int:
        """How many clients are being watched."""
        return len(self._watchers)

    def arm(self) -> None:
        """Look again soon; called by the plan that puts a call where there was none."""
        self.idle = False
        self._timer = self._clock.call_later(ROUND, self.look)

    def look(self) -> None:
        """Watch what has been there since the last look."""
        loop = asyncio.get_running_loop()
        for call, running in self._older.items():
            self._watchers[call] = loop.create_task(_wait(call, *running), name=f"client of {call.request_id}")
        self._older = dict(self.calls)
        self.calls.clear()
        if self._older:
            self.arm()
        else:
            self.idle, self._timer = True, None

    def leave(self, call: Call) -> asyncio.Task[None] | None:
        """Watch no longer; return the task that did, which is about to end."""
        self._older.pop(call, None)
        watcher = self._watchers.pop(call, None)
        if watcher is not None:
            watcher.cancel()
        return watcher

    async def left(self, call: Call) -> None:
        """Watch no longer, and wait until the messages are nobody's: the answer itself is about to receive them."""
        watcher = self.leave(call)
        if watcher is not None:
            await asyncio.wait([watcher])

    def close(self) -> None:
        """Take the timer back, and watch nobody."""
        if self._timer is not None:
            self._timer.cancel()
        self.idle, self._timer = True, None
        for call in [*self._watchers, *self._older]:
            self.leave(call)
        self.calls.clear()


async def _wait(call: Call, task: asyncio.Task[Any], receive: Receive) -> None:
    """End *call* when its client is gone. What else comes is a body that nobody reads."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            call.end("disconnect", task)
            return


class Watched:
    """The fragment that ends a call whose client goes away, from when everything has been bound.

    Until then the messages are the body's, and whoever reads it sees the end. It stands around the deadline, whose
    place it shares, so that one look at the running task serves both.

    Args:
        watch: Who watches.
        answers: Whether the answer receives messages itself.
    """

    name = "disconnect"
    place = Place.DEADLINE
    note = "cancels"

    def __init__(self, watch: ClientWatch, *, answers: bool) -> None:
        self._watch = watch
        self._answers = answers

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        """Write the lines that show the call to the watch."""
        watch = writer.bind("watch", self._watch)
        calls = writer.bind("young", self._watch.calls)
        if writer.task is None:
            writer.line(f"task = {writer.bind('current_task', asyncio.current_task)}()")
            writer.task = "task"
        writer.line(f"{calls}[call] = {writer.task}, receive")
        with writer.block(f"if {watch}.idle:"):
            writer.line(f"{watch}.arm()")
        with writer.block("try:"):
            inner()
        with writer.block("finally:"), writer.block(f"if {calls}.pop(call, None) is None:"):
            writer.line(f"await {watch}.left(call)" if self._answers else f"{watch}.leave(call)")
