"""Ends the process when its event loop can no longer do so.

A call that blocks the loop (a driver that waits by itself, an endless computation) blocks the drain with it: no step of
it would ever begin. A thread, started by the first signal that says to stop, waits for as long as stopping may take and
then ends the process, naming the line at which the loop stands.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable
from types import FrameType

from seawall.telemetry import logs

__all__ = ["HURRY_SECONDS", "LastResort"]

HURRY_SECONDS = 5.0
"""How long the end may take once a second signal has ended the waiting."""
_STATUS = 1
_DEEPEST = 12

logger = logging.getLogger("seawall")


class LastResort:
    """A thread that ends the process after a while, unless it has been told that it is not needed.

    It cannot help where code outside Python holds the interpreter's lock: then nothing in the process can.

    Args:
        seconds: How long the end may take, from `arm` on.
        end: Ends the process with a status; what is buffered is lost.
    """

    def __init__(self, seconds: float, end: Callable[[int], object] = os._exit) -> None:
        self._seconds = seconds
        self._end = end
        self._loop_thread = threading.get_ident()
        self._thread: threading.Thread | None = None
        self._change = threading.Event()
        self._over = threading.Event()

    def arm(self) -> None:
        """Begin to wait, the first time; from then on, wait `HURRY_SECONDS` at the most. Called in signal handlers."""
        if self._thread is not None:
            self._change.set()
            return
        self._thread = threading.Thread(target=self._wait, name="seawall last resort", daemon=True)
        self._thread.start()

    def disarm(self) -> None:
        """Wait no longer: the loop has come to its end."""
        self._over.set()
        self._change.set()
        if self._thread is not None:
            self._thread.join()

    def _wait(self) -> None:
        self._change.wait(self._seconds)
        if self._change.is_set() and not self._over.is_set():
            self._over.wait(HURRY_SECONDS)
        if self._over.is_set():
            return
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001 - there is no other way to see it
        logger.critical("the event loop is blocked: the service ends without it", extra=_where(frame))
        logs.flush()
        self._end(_STATUS)


def _where(frame: FrameType | None) -> dict[str, str]:
    """Return where the loop's thread is, as fields of a log line."""
    if frame is None:
        return {}
    stack = "".join(traceback.format_stack(frame)[-_DEEPEST:])
    return {"line": f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}", "stack": stack}
