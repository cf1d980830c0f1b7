"""Work that computes, in processes: so many at once, stopped when nobody waits any more, and replaced when they die.

Each process is a `concurrent.futures.ProcessPoolExecutor` of its own with one worker. A pool of several would be lost
as a whole when one of its processes is killed; this way only the one that is to be stopped is.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing.connection
import multiprocessing.context
import multiprocessing.sharedctypes
import pickle
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from seawall.call import current
from seawall.clock import Clock, SystemClock
from seawall.concurrency import process_worker
from seawall.concurrency.checks import whole
from seawall.concurrency.race import end
from seawall.problems import DeadlineExceeded, DeclarationError, SeawallError, Unavailable

__all__ = ["ProcessLost", "Processes", "ProcessesBusy", "ProcessesClosed"]

P = ParamSpec("P")
R = TypeVar("R")

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds between attempts to start a process that does not start."""
GRACE = 5.0
"""Seconds an idle process has for its own end before it is killed."""

logger = logging.getLogger("seawall.processes")


class ProcessesBusy(Unavailable):
    """503: every process works, and as much waits as may wait."""

    type = "urn:problem-type:seawall:processes-busy"
    title = "Too much to compute at once"
    guard = "processes"


class ProcessesClosed(SeawallError):
    """These processes have ended, or have not begun."""


class ProcessLost(SeawallError):
    """A process died at its work, which may have had an effect; another one takes its place."""


class _NeverBegunError(Exception):
    """A process died before it began what it was given: another one can do it."""


class Processes:
    """Processes for work that computes: ``await processes.run(render, page)`` within ``async with``.

    Functions are those at the top of a module, named by their import path; arguments, results and exceptions are
    pickled. Work runs under the id, the operation, the trace, the principal and the deadline of the call being served;
    no other context. Whoever waits and is cancelled, by a deadline or by anybody else, goes on at once; the process is
    killed and another one started in its place. At the end of the block running work is waited for; where the block
    raises or is cancelled, it is killed. Work whose process dies before it has begun goes to another process.

    Args:
        workers: Processes. Each is a Python of its own, with its own memory, that takes a moment to start.
        queue: Work that may wait for one, first come, first served; more is refused.
        clock: By what deadlines pass.

    Raises:
        DeclarationError: *workers* is less than 1, or *queue* less than 0.
    """

    def __init__(self, workers: int, *, queue: int = 100, clock: Clock | None = None) -> None:
        self.workers = whole("Processes", "workers", workers)
        self._queue = whole("Processes", "queue", queue, least=0)
        self._clock: Clock = clock or SystemClock()
        self._idle: deque[_Worker] = deque()
        self._all: set[_Worker] = set()
        self._line: deque[asyncio.Future[_Worker]] = deque()
        self._starting: set[asyncio.Task[None]] = set()
        self._ended: asyncio.Future[None] | None = None
        self._open = False
        self.running = 0
        """How many processes work."""
        self.replaced = 0
        """How many were killed, or had died, and have been replaced or are about to be."""

    @property
    def waiting(self) -> int:
        """How much work waits for a process."""
        return len(self._line)

    async def run(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call *function* in a process and return its result.

        Raises:
            DeclarationError: *function* is not at the top of a module.
            ProcessesBusy: Too much waits already.
            DeadlineExceeded: The deadline of the call being served has passed; *function* was not called.
            ProcessLost: The process died at it: killed from outside, out of memory, or by a fault in compiled code.
            ProcessesClosed: It is used outside of its block, or that ended before a process began this.
            Exception: What *function* raised, with the process's traceback as a note; or what pickling raised.
        """
        path = path_of(function)
        arguments = pickle.dumps((args, kwargs))
        again = False
        while True:
            worker, work = await self._begin(path, arguments, again=again)
            self.running += 1
            try:
                result: R = await self._end_of(worker, work, path)
                return result
            except _NeverBegunError:
                again = True
            finally:
                self.running -= 1
                if not self.running and self._ended is not None and not self._ended.done():
                    self._ended.set_result(None)

    async def _begin(self, path: str, arguments: bytes, *, again: bool) -> tuple[_Worker, Future[tuple[bool, bytes]]]:
        """Give the work to a process; to another one where that has died at its rest."""
        while True:
            worker = await self._place(again=again)
            try:
                return worker, worker.give(path, arguments, self._told())
            except BrokenProcessPool:
                self._replace(worker)
                again = True
            except BaseException:
                self._free(worker)
                raise

    async def _end_of(self, worker: _Worker, work: Future[tuple[bool, bytes]], path: str) -> Any:
        try:
            good, data = await asyncio.wrap_future(work)
        except asyncio.CancelledError:
            if work.done() and not work.cancelled() and work.exception() is None:
                self._free(worker)  # it had just ended
            else:
                self._replace(worker)
            raise
        except BrokenProcessPool:
            # Nobody learns of a death at the moment it happens: a process that looked alive when it was given the work
            # may have been dead. What it has begun it has marked.
            self._replace(worker)
            if not worker.has_begun:
                raise _NeverBegunError from None
            raise ProcessLost(f"the process that ran {path} died") from None
        self._free(worker)
        value = pickle.loads(data)  # noqa: S301 - our own process's
        if not good:
            raise value
        return value

    def _told(self) -> process_worker.Told | None:
        call = current.get(None)
        if call is None:
            return None
        left = None if call.deadline is None else call.deadline - self._clock.monotonic()
        if left is not None and left <= 0:
            raise DeadlineExceeded("No time was left to begin.")
        return process_worker.told_of(call, left)

    # -- places

    async def _place(self, *, again: bool) -> _Worker:
        """Return a process that is free; waits for one: before everybody else where its turn came already."""
        if not self._open:
            raise ProcessesClosed("these processes do not run: use them within their block")
        if self._idle:
            return self._idle.popleft()
        turn: asyncio.Future[_Worker] = asyncio.get_running_loop().create_future()
        if again:
            self._line.appendleft(turn)
        elif len(self._line) >= self._queue:
            raise ProcessesBusy(headers={"retry-after": "1"})
        else:
            self._line.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn in self._line:
                self._line.remove(turn)
            elif not turn.cancelled() and turn.exception() is None:
                self._free(turn.result())
            raise

    def _free(self, worker: _Worker) -> None:
        """Give *worker* to who has waited longest, or let it rest."""
        while self._line:
            turn = self._line.popleft()
            if not turn.done():
                turn.set_result(worker)
                return
        self._idle.append(worker)

    def _replace(self, worker: _Worker) -> None:
        """Kill *worker* and start another one in its place."""
        worker.kill()
        self._all.discard(worker)
        if self._open:
            self.replaced += 1
            task = asyncio.get_running_loop().create_task(self._start_until_it_does(), name="process start")
            self._starting.add(task)
            task.add_done_callback(self._starting.discard)

    async def _start_until_it_does(self) -> None:
        pause = FIRST_PAUSE
        while self._open:
            try:
                await self._start()
                break
            except (OSError, BrokenProcessPool):
                logger.exception("a process does not start; once more in %g s", pause)
            await self._clock.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _start(self) -> None:
        worker = _Worker()
        self._all.add(worker)
        try:
            # It is started in a thread: that takes some milliseconds, and opens files.
            await asyncio.to_thread(worker.start)
            await asyncio.wrap_future(worker.ready())
        except BaseException:
            worker.kill()
            self._all.discard(worker)
            raise
        self._free(worker)

    # -- the block

    async def __aenter__(self) -> Self:
        self._open = True
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self.workers):
                    group.create_task(self._start(), name="process start")
        except BaseException as error:
            self._open = False
            await self._end(kill=True)
            if isinstance(error, BaseExceptionGroup):
                raise error.exceptions[0] from None
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = False
        while self._line:
            turn = self._line.popleft()
            if not turn.done():
                turn.set_exception(ProcessesClosed("these processes have ended"))
        kill = True
        try:
            await end(set(self._starting))
            while self.running and error is None:
                self._ended = asyncio.get_running_loop().create_future()
                await self._ended
            kill = error is not None
        finally:
            await self._end(kill=kill)

    async def _end(self, *, kill: bool) -> None:
        """End every process, and wait for that, however often this task is cancelled meanwhile."""
        workers, self._all = self._all, set()
        self._idle.clear()
        for worker in workers:
            if kill:
                worker.kill()
            else:
                worker.end()
        waits = {asyncio.ensure_future(asyncio.to_thread(worker.join)) for worker in workers}
        cancelled: asyncio.CancelledError | None = None
        while waits:
            try:
                _, waits = await asyncio.wait(waits)
            except asyncio.CancelledError as again:
                cancelled = again
                waits = {wait for wait in waits if not wait.done()}
                for worker in workers:
                    worker.kill()
        if cancelled is not None:
            raise cancelled


class _Worker:
    """One process, and the executor that talks to it."""

    def __init__(self) -> None:
        mark = multiprocessing.sharedctypes.RawValue("Q", 0)
        self._mark: process_worker.Mark = mark
        self._given = 0
        self._context = _Spawning(mark)
        self._executor = ProcessPoolExecutor(
            1, mp_context=self._context, initializer=process_worker.begin, initargs=(mark,)
        )

    def start(self) -> None:
        """Start the process: an executor does with the first work."""
        self._executor.submit(process_worker.ready)

    def ready(self) -> Future[int]:
        """Return what is done when the process has begun."""
        return self._executor.submit(process_worker.ready)

    def give(self, path: str, arguments: bytes, told: process_worker.Told | None) -> Future[tuple[bool, bytes]]:
        """Let the process call the function *path*.

        Raises:
            BrokenProcessPool: The process has died at its rest.
        """
        self._given += 1
        work = self._executor.submit(process_worker.work, self._given, path, arguments, told)
        # An executor that is just learning of the death (Python 3.11) may have forgotten its work before it had this.
        # One that lives here will tell of this work, and of a death too.
        if not self.alive and not self.has_begun:
            raise BrokenProcessPool
        return work

    @property
    def has_begun(self) -> bool:
        """Whether the process has begun the work it was given last."""
        return self._mark.value == self._given

    @property
    def alive(self) -> bool:
        """Whether the process runs, by what the kernel closed with it: the executor may be about to wait for it.

        A process that is being ended is one for a moment longer: what it has open closes with the last of its threads.
        """
        process = self._context.process
        return process is not None and not multiprocessing.connection.wait([process.sentinel], 0)

    def kill(self) -> None:
        """Kill the process, also one that is just being started: after the shutdown it has been, or never will be."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._context.kill()

    def end(self) -> None:
        """Let the process end by itself."""
        self._executor.shutdown(wait=False)

    def join(self) -> None:
        """Wait until it has ended, in a thread; kill it where that takes too long."""
        process = self._context.process
        if process is not None:
            process.join(GRACE)
            self._context.kill()
            process.join()


class _Spawning(multiprocessing.context.SpawnContext):
    """Starts processes as new Pythons, and keeps the one it has started, so that it can be killed.

    A forked process would have this one's locks and connections as they happened to be.
    """

    def __init__(self, mark: process_worker.Mark) -> None:
        super().__init__()
        self.process: Any = None
        self._mark = mark

    def Process(self, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override] # noqa: N802 - its name
        """Return a new process; the executor starts it."""
        self.process = multiprocessing.context.SpawnProcess(*args, **kwargs)
        # The memory is kept from being used for another process's mark until this one, killed or not, is no more:
        # multiprocessing knows it until then.
        self.process.mark = self._mark
        return self.process

    def kill(self) -> None:
        """Kill the process, if it has been started and lives."""
        if self.process is not None and self.process.pid is not None:
            self.process.kill()


def path_of(function: Callable[..., Any]) -> str:
    """Return the import path of *function*.

    Raises:
        DeclarationError: A process could not find it by that.
    """
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    path = f"{module}:{name}"
    try:
        found = process_worker.resolve(path)
    except (ImportError, AttributeError, ValueError):
        found = None
    if found is not function:
        raise DeclarationError(
            f"Processes: {function!r} cannot be found by another process: write a function at the top of a module, "
            "and give it what it needs as arguments."
        )
    return path
