"""One worker, as its supervisor sees it."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from seawall.watch import Stopped
from seawall.workers.channel import Failed
from seawall.workers.restarts import Restarts

__all__ = ["Process", "Seat", "State", "Worker", "status_text"]


class State(StrEnum):
    """Where a worker stands."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    WAITING = "waiting"
    """There is none at the moment; the next one is due later."""


class Process(Protocol):
    """A running worker process."""

    @property
    def pid(self) -> int:
        """Its number."""
        ...

    def stop(self) -> None:
        """Ask it to end."""
        ...

    def hurry(self) -> None:
        """Ask it to wait for nothing more while it ends."""
        ...

    def abort(self) -> None:
        """Make it say where it hangs, and end it, unless it cannot even do that."""
        ...

    def kill(self) -> None:
        """End it."""
        ...


@dataclass(slots=True, eq=False)
class Worker:
    """One worker process.

    Args:
        seat: The number of its seat, by which people know it.
        slot: Its number among the processes that share the memory.
        process: The process.
        started: When it was started, on the monotonic clock.
        moment: The same by the wall clock, in seconds since 1970.
        state: Where it stands.
        ready: When it began to serve, on the monotonic clock; None if it has not.
        heard: When it was last heard of, likewise.
        heard_moment: The same by the wall clock.
        requests: Requests it has answered.
        connections: Connections it has open.
        stop_seconds: How long its end may take.
        silence_seconds: How long it may say nothing; 0 for any time.
        kill_at: When it is killed, if it still lives.
        failed: Why it did not start.
        stopped: What it said last.
        told: Whether its supervisor has told it to end.
        verdict: Why its supervisor ended it.
    """

    seat: int
    slot: int
    process: Process
    started: float
    moment: float
    state: State = State.STARTING
    ready: float | None = None
    heard: float = 0.0
    heard_moment: float = 0.0
    requests: int = 0
    connections: int = 0
    stop_seconds: float = 30.0
    silence_seconds: float = 0.0
    kill_at: float | None = None
    failed: Failed | None = None
    stopped: Stopped | None = None
    told: bool = False
    verdict: str = ""


@dataclass(slots=True, eq=False)
class Seat:
    """What one worker of the wanted number is responsible for.

    Args:
        number: From 0.
        restarts: What has become of those who had it.
        worker: Who has it.
        successor: Who is about to take it over.
        due: When the next one is started, on the monotonic clock; None if none is.
    """

    number: int
    restarts: Restarts
    worker: Worker | None = None
    successor: Worker | None = None
    due: float | None = None
    waiting_since: float = field(default=0.0)


def status_text(status: int) -> str:
    """Return an exit status as people say it: ``exit status 3``, ``SIGKILL``."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
