"""A worker's side: it tells its supervisor how it is, and ends when told to or when nobody is there any more."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import socket
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from seawall.host import Arena, Host
from seawall.watch import News, Stopped
from seawall.workers.board import Board
from seawall.workers.channel import HURRY, Failed, Outbox

__all__ = ["Place", "Station"]


@dataclass(frozen=True, slots=True)
class Place:
    """What a worker is told by its supervisor on the command line.

    Args:
        seat: The number people know it by.
        slot: Its number among the processes that share memory.
        slots: How many of these there can be.
        pipe: Descriptor of the pipe to the supervisor.
        arena: Descriptor of the shared memory.
    """

    seat: int
    slot: int
    slots: int
    pipe: int
    arena: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``SEAT,SLOT,SLOTS,PIPE,ARENA``.

        Raises:
            ValueError: It is something else.
        """
        return cls(*map(int, text.split(",", 4)))


class Station:
    """The place of this worker.

    Args:
        place: What it was told.

    Raises:
        OSError: The descriptors are not there: no supervisor has started this process.
    """

    supervised = True

    def __init__(self, place: Place) -> None:
        for descriptor in (place.pipe, place.arena):
            os.set_inheritable(descriptor, False)  # noqa: FBT003 - as the standard library has it
        self.place = place
        self._outbox = Outbox(socket.socket(fileno=place.pipe))
        arena = Arena(place.arena)
        self.host = Host(place.slot, place.slots, arena)
        self.board = Board(arena, place.slots)
        # A hang-up of the terminal, or a reload meant for all processes of a unit, is the supervisor's to act on.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        # A crash, and the signal by which a supervisor ends a worker that hangs, leave the stack in the log.
        faulthandler.enable()

    def attach(self, stop: Callable[[bool], None]) -> None:
        """Call *stop* when the supervisor is gone, and again, to hurry, when it says so."""
        asyncio.get_running_loop().add_reader(self._outbox.socket, self._told, stop)

    def _told(self, stop: Callable[[bool], None]) -> None:
        try:
            told = self._outbox.socket.recv(64)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            told = b""
        if not told:
            asyncio.get_running_loop().remove_reader(self._outbox.socket)
            stop(False)  # noqa: FBT003 - a callback
        elif HURRY in told:
            stop(True)  # noqa: FBT003 - a callback

    def tell(self, news: News) -> None:
        """Tell the supervisor."""
        self._outbox.send(news, last=isinstance(news, Stopped))

    def fail(self, message: str, hints: tuple[str, ...], status: int, error: BaseException | None) -> None:
        """Tell the supervisor that this worker cannot start."""
        where = "".join(traceback.format_exception(error)) if error is not None else ""
        self._outbox.send(Failed(message[:20_000], hints, status, where[-100_000:]), last=True)
