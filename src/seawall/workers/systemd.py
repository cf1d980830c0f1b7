"""What a service manager of the kind of systemd is told, and the sockets it hands over.

``sd_notify(3)`` is one datagram to the socket that ``NOTIFY_SOCKET`` names, ``sd_listen_fds(3)`` two variables; neither
needs a library. Without the variables nothing happens.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Mapping

from seawall.clock import Clock
from seawall.watch import Beat, News, Ready, Reloading, Stopping

__all__ = ["FOR_ONE_PROCESS", "Notifier", "NotifyWatch", "activated"]

FOR_ONE_PROCESS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
"""Variables that are meant for the process the manager has started, and for none that this one starts."""
_FIRST_FD = 3


def activated(environ: Mapping[str, str], pid: int) -> tuple[int, ...]:
    """Return the descriptors of the sockets that were handed over to the process *pid*; none if there are none."""
    count = environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID") != str(pid) or not count.isdecimal():
        return ()
    return tuple(range(_FIRST_FD, _FIRST_FD + min(int(count), 1024)))


class Notifier:
    """Tells the service manager how this process is. Nothing is raised: a service lives on without being heard.

    Args:
        environ: Where ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID`` are.
        clock: What time it is.
        pid: This process.
    """

    def __init__(self, environ: Mapping[str, str], clock: Clock, pid: int | None = None) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self._clock = clock
        self._status = ""
        self._petted = 0.0
        microseconds, meant = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID")
        is_watched = self._address and microseconds.isdecimal() and meant in (None, str(pid or os.getpid()))
        self.watchdog = int(microseconds) / 1e6 / 2 if is_watched else None
        """Seconds between two signs of life: half of what the manager waits for. None if it waits for none."""

    def ready(self, status: str) -> None:
        """Say that the service serves, and how."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Say that new settings or code are being taken over; `ready` ends it."""
        # The manager compares the moment with that of its own request, so it must be CLOCK_MONOTONIC.
        self._send("RELOADING=1", f"MONOTONIC_USEC={int(self._clock.monotonic() * 1e6)}")

    def stopping(self) -> None:
        """Say that the service has begun to end."""
        self._send("STOPPING=1", "STATUS=stopping")

    def status(self, text: str) -> None:
        """Say how it is, if that is news."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={text}")

    def alive(self) -> None:
        """Give a sign of life, if one is due; call it as often as you like."""
        now = self._clock.monotonic()
        if self.watchdog is not None and now - self._petted >= self.watchdog / 2:
            self._petted = now
            self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(0)
            sender.sendto("\n".join(line.replace("\n", " ") for line in lines).encode(), self._address)


def _address(text: str) -> str:
    """Return the address of the manager's socket; an abstract one begins with a zero byte."""
    if text.startswith("@"):
        return "\0" + text[1:]
    return text if text.startswith("/") else ""


class NotifyWatch:
    """Watches the only process of a service on behalf of the service manager.

    Args:
        notifier: What tells it.
    """

    supervised = False

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier

    def attach(self, stop: Callable[[bool], None]) -> None:
        """Take no notice: a service manager signals."""

    def tell(self, news: News) -> None:
        """Pass it on."""
        match news:
            case Ready():
                self._notifier.ready("serving")
            case Reloading():
                self._notifier.reloading()
            case Stopping():
                self._notifier.stopping()
            case Beat():
                self._notifier.alive()
                self._notifier.status(f"serving; {news.requests} requests, {news.connections} connections")
            case _:
                pass
