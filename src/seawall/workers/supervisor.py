"""The process that starts, watches and ends the workers: signals, child processes and pipes for `Crew`."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from seawall.clock import Clock, Random
from seawall.host import Arena
from seawall.workers.board import Board
from seawall.workers.channel import Failed, Inbox
from seawall.workers.crew import Crew, Phase
from seawall.workers.member import Worker
from seawall.workers.systemd import FOR_ONE_PROCESS, Notifier

__all__ = ["Commands", "Supervisor"]

logger = logging.getLogger("seawall.workers")


@dataclass(frozen=True, slots=True)
class Commands:
    """How workers are started.

    Args:
        arguments: What follows ``python -m seawall`` for each of them, but for the last option.
        sockets: The sockets they listen on; they inherit these and nothing else.
    """

    arguments: Sequence[str]
    sockets: Sequence[socket.socket]


class ChildProcess:
    """A worker process and the pipe to it."""

    def __init__(self, child: subprocess.Popen[bytes], inbox: Inbox) -> None:
        self._child = child
        self.inbox = inbox

    @property
    def pid(self) -> int:
        """Its number."""
        return self._child.pid

    def stop(self) -> None:
        """Ask it to end."""
        self._signal(signal.SIGTERM)

    def hurry(self) -> None:
        """Ask it to wait for nothing more while it ends."""
        self.inbox.hurry()

    def abort(self) -> None:
        """Make it write its stack to standard error, as `faulthandler` does at this signal, and end."""
        self._signal(signal.SIGABRT)

    def kill(self) -> None:
        """End it."""
        self._signal(signal.SIGKILL)

    def buried(self, status: int) -> None:
        """Take notice that it has been waited for: its number may be somebody else's now."""
        self._child.returncode = status

    def _signal(self, number: int) -> None:
        if self._child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child.pid, number)


class Supervisor:
    """Keeps *count* workers serving.

    Args:
        commands: How they are started.
        count: How many.
        address: Where they listen, for people.
        start_seconds: How long one may take to start.
        reload: Reads the supervisor's own settings again; whether they are right.
        clock: What time it is.
        random: Chance.
        notifier: Tells the service manager.
    """

    def __init__(
        self,
        commands: Commands,
        count: int,
        address: str,
        start_seconds: float,
        reload: Callable[[], bool],
        clock: Clock,
        random: Random,
        notifier: Notifier,
    ) -> None:
        self.crew = Crew(count, self._launch, clock, random, start_seconds)
        self._commands = commands
        self._address = address
        self._reload = reload
        self._clock = clock
        self._notifier = notifier
        self._arena = Arena.create()
        self._board = Board(self._arena, self.crew.slots)
        self._processes: dict[int, ChildProcess] = {}
        self._stopping_since = 0.0
        self._signals = 0

    def run(self) -> Failed | int:
        """Serve until SIGINT or SIGTERM.

        Returns:
            The exit status: 0 after an orderly end, 1 if anything had to be cut; or why the first start failed.
        """
        # The standard loop: uvloop has a SIGCHLD handler of its own, and there is nothing to be fast at.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            try:
                return runner.run(self._supervise())
            finally:
                # Only if something here has failed: nobody is left behind. They also end when the pipe does.
                for process in self._processes.values():
                    process.kill()
                self._arena.close()

    async def _supervise(self) -> Failed | int:
        loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        handlers = {
            signal.SIGTERM: self._told_to_stop,
            signal.SIGINT: self._told_to_stop,
            signal.SIGHUP: self._told_to_roll,
            signal.SIGUSR1: self._tell_how_it_is,
            signal.SIGCHLD: self._wake.set,
        }
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        phase, rolling, everybody = Phase.BEGINNING, False, len(self.crew.seats)
        while True:
            self._bury()
            due = self.crew.step()
            self._board.write(self.crew.posts())
            if self.crew.phase is Phase.OVER:
                break
            if phase is Phase.BEGINNING and self.crew.phase is Phase.SERVING:
                logger.info("listening on %s", self._address, extra={"workers": everybody})
            is_rolling = self.crew.roll is not None
            if self.crew.phase is Phase.SERVING:
                status = f"{self.crew.serving} of {everybody} workers serve"
                if is_rolling and not rolling:
                    self._notifier.reloading()
                elif phase is Phase.BEGINNING or (rolling and not is_rolling):
                    self._notifier.ready(status)
                self._notifier.status(status)
            phase, rolling = self.crew.phase, is_rolling
            await self._until(due)
        return self._the_end()

    async def _until(self, seconds: float | None) -> None:
        """Wait until something happens or *seconds* have passed; give signs of life meanwhile."""
        self._notifier.alive()
        waits = [each for each in (seconds, self._notifier.watchdog) if each is not None]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(waits) if waits else None):
                await self._wake.wait()
        self._wake.clear()
        # What workers said while this process was kept from running must be heard before they are judged.
        for worker in list(self.crew.workers.values()):
            self._listen(worker)

    # -- signals

    def _told_to_stop(self) -> None:
        self._signals += 1
        if self._signals == 1:
            self._stopping_since = self._clock.monotonic()
            logger.info("stopping", extra={"workers": len(self.crew.workers)})
            self._notifier.stopping()
            self.crew.stop()
        elif self._signals == 2:
            logger.warning("told to stop again: waiting for nothing more")
            self.crew.hurry()
        self._wake.set()

    def _told_to_roll(self) -> None:
        if self._reload():
            self.crew.ask_roll()
        self._wake.set()

    def _tell_how_it_is(self) -> None:
        posts = [post.document() for post in self.crew.posts()]
        logger.info("status: %d of %d workers serve", self.crew.serving, len(self.crew.seats), extra={"workers": posts})

    # -- processes

    def _launch(self, seat: int, slot: int) -> ChildProcess:
        ours, theirs = socket.socketpair()
        with theirs:
            place = f"{seat},{slot},{self.crew.slots},{theirs.fileno()},{self._arena.descriptor}"
            inherited = [each.fileno() for each in self._commands.sockets]
            environment = {name: value for name, value in os.environ.items() if name not in FOR_ONE_PROCESS}
            try:
                child = subprocess.Popen(  # noqa: S603 - this very program
                    [sys.executable, "-m", "seawall", *self._commands.arguments, f"--worker={place}"],
                    pass_fds=[*inherited, theirs.fileno(), self._arena.descriptor],
                    env=environment,
                    process_group=0,  # what a terminal sends to a group is for the supervisor, once
                )
            except OSError:
                ours.close()
                raise
        process = self._processes[child.pid] = ChildProcess(child, Inbox(ours))
        asyncio.get_running_loop().add_reader(ours, functools.partial(self._spoken, child.pid))
        return process

    def _spoken(self, pid: int) -> None:
        worker = self.crew.workers.get(pid)
        if worker is None or not self._listen(worker):
            asyncio.get_running_loop().remove_reader(self._processes[pid].inbox.socket)
        self._wake.set()

    def _listen(self, worker: Worker) -> bool:
        """Hear what a worker has said; return whether it can still say something."""
        inbox = self._processes[worker.process.pid].inbox
        for message in inbox.read():
            self.crew.heard(worker, message)
        return not inbox.ended

    def _bury(self) -> None:
        """Wait for every child that has died; orphans too, whose parent this process may have become."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            process = self._processes.get(pid)
            if process is None:
                continue
            code = os.waitstatus_to_exitcode(status)
            process.buried(code)
            worker = self.crew.workers[pid]
            self._listen(worker)  # its last words
            asyncio.get_running_loop().remove_reader(process.inbox.socket)
            process.inbox.close()
            del self._processes[pid]
            self.crew.ended(worker, code)

    def _the_end(self) -> Failed | int:
        if self.crew.failure is not None:
            return self.crew.failure
        toll = asdict(self.crew.toll)
        seconds = self._clock.monotonic() - self._stopping_since if self._stopping_since else 0.0
        cut = {name: value for name, value in toll.items() if value}
        facts = {
            "requests": self.crew.requests,
            "seconds": round(seconds, 3),
            **{f"cut_{name}": value for name, value in cut.items()},
        }
        if cut:
            logger.warning("stopped; cut: %s", _in_words(cut), extra=facts)
            return 1
        logger.info("stopped", extra=facts)
        return 0


def _in_words(cut: dict[str, int | list[str]]) -> str:
    parts = []
    for name, value in cut.items():
        if isinstance(value, int):
            parts.append(f"{value} {name if value != 1 else name.removesuffix('s')}")
        else:
            parts.append(f"{name}: {', '.join(value)}")
    return "; ".join(parts)
