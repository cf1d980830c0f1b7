"""The pipe between a supervisor and one worker: JSON lines up, single bytes down."""

from __future__ import annotations

import contextlib
import socket

import msgspec

from seawall.watch import Beat, Ready, Reloading, Stopped, Stopping

__all__ = ["HURRY", "Failed", "Inbox", "Message", "Outbox"]

HURRY = b"h"
"""What a supervisor says to a worker that is ending: wait for nothing more."""
MAX_LINE = 256 * 1024
"""Bytes of one message; a worker that sends more without an end is not listened to any longer."""
MAX_WAITING = 64 * 1024
"""Bytes that may wait in a worker for a supervisor that does not read."""
FAREWELL_SECONDS = 1.0


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """A worker cannot start.

    Args:
        message: Why, for people.
        hints: What may help, each on a line of its own.
        status: The exit status.
        traceback: Where it was raised; empty if the message says all there is.
    """

    message: str
    hints: tuple[str, ...] = ()
    status: int = 1
    traceback: str = ""


Message = Ready | Reloading | Beat | Stopping | Stopped | Failed

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Message).decode


class Inbox:
    """The supervisor's end.

    Args:
        end: A connected socket; it is owned from now on.
    """

    def __init__(self, end: socket.socket) -> None:
        end.settimeout(0)
        self.socket = end
        self.ended = False
        self._rest = b""

    def read(self) -> list[Message]:
        """Return what has come; what cannot be understood is left out."""
        messages: list[Message] = []
        while True:
            try:
                chunk = self.socket.recv(65536)
            except (BlockingIOError, InterruptedError):
                return messages
            except OSError:
                chunk = b""
            if not chunk:
                self.ended = True
                return messages
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                with contextlib.suppress(msgspec.DecodeError):
                    messages.append(_decode(line))
            if len(self._rest) > MAX_LINE:
                self._rest = b""

    def hurry(self) -> None:
        """Tell the worker to wait for nothing more."""
        with contextlib.suppress(OSError):
            self.socket.send(HURRY)

    def close(self) -> None:
        """Close it."""
        self.socket.close()


class Outbox:
    """The worker's end.

    Args:
        end: A connected socket; it is owned from now on.
    """

    def __init__(self, end: socket.socket) -> None:
        end.settimeout(0)
        self.socket = end
        self._waiting = b""

    def send(self, message: Message, *, last: bool = False) -> None:
        """Send *message* without waiting; heartbeats are left out while the supervisor does not read.

        Args:
            message: What to say.
            last: Whether nothing follows, so that it is worth a moment's wait.
        """
        if not (isinstance(message, Beat) and self._waiting) and len(self._waiting) < MAX_WAITING:
            self._waiting += _encode(message) + b"\n"
        try:
            if last:
                self.socket.settimeout(FAREWELL_SECONDS)
                self.socket.sendall(self._waiting)
                self._waiting = b""
            else:
                self._waiting = self._waiting[self.socket.send(self._waiting) :]
        except OSError:
            pass  # nobody reads, or nobody is there any more: the end of the pipe is noticed by its reader
