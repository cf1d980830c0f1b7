"""Where log lines go: a queue with an end, and one thread that writes.

Whoever logs only ever adds to the queue. A pipe nobody reads, a disk without room, a terminal that is gone: the thread
finds out and counts what is lost; no call waits for it and none fails.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import threading
import time
from collections import deque
from dataclasses import dataclass

__all__ = ["QUEUE_BYTES", "Sink", "SinkCounts"]

QUEUE_BYTES = 8 * 1024 * 1024
"""Bytes that may wait to be written; what comes then is dropped."""
_PIECE = 1024 * 1024
_TRIES = 1000
"""Milliseconds one process waits at the most until another one has written to a pipe they share."""


@dataclass(frozen=True, slots=True)
class SinkCounts:
    """What has become of log lines.

    Args:
        dropped: Lines that found the queue full.
        failed: Lines that the system did not take.
    """

    dropped: int = 0
    failed: int = 0


class Sink:
    """Writes lines to a file descriptor, in a thread of its own that starts with the first line.

    Args:
        descriptor: Where to; it stays open.
        limit: Bytes that may wait.
    """

    def __init__(self, descriptor: int, limit: int = QUEUE_BYTES) -> None:
        self._descriptor = descriptor
        self._limit = limit
        self._queue: deque[tuple[bytes, int]] = deque()
        self._waiting = 0
        self._counts = SinkCounts()
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None
        self._process = 0

    @property
    def counts(self) -> SinkCounts:
        """What has become of lines so far."""
        return self._counts

    def write(self, data: bytes, lines: int = 1) -> None:
        """Add whole *lines* to the queue; never waits, never raises."""
        with self._change:
            if self._process != os.getpid():
                self._begin()
            if self._waiting + len(data) > self._limit:
                self._count(dropped=lines)
                return
            self._queue.append((data, lines))
            self._waiting += len(data)
            self._change.notify_all()

    def flush(self, seconds: float) -> bool:
        """Wait until everything has been written, for *seconds* at the most; return whether it has."""
        with self._change:
            if self._process != os.getpid():
                return True
            return self._change.wait_for(lambda: not self._waiting, seconds)

    def _begin(self) -> None:
        """Start the thread; after a fork anew, without what the parent has still to write."""
        self._process = os.getpid()
        self._queue.clear()
        self._waiting = 0
        self._counts = SinkCounts()
        self._thread = threading.Thread(target=self._run, name="seawall log", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._queue)
                pieces = self._take()
            lost = self._deliver(pieces)
            with self._change:
                self._waiting -= sum(len(data) for data, _ in pieces)
                self._count(failed=lost)
                self._change.notify_all()

    def _take(self) -> list[tuple[bytes, int]]:
        pieces, size = [], 0
        while self._queue and size < _PIECE:
            pieces.append(self._queue.popleft())
            size += len(pieces[-1][0])
        return pieces

    def _deliver(self, pieces: list[tuple[bytes, int]]) -> int:
        """Write *pieces*; return how many lines were lost on the way."""
        data = memoryview(b"".join(data for data, _ in pieces))
        done = 0
        locked = False
        with contextlib.suppress(OSError):
            locked = self._lock()
            while done < len(data):
                done += self._write(data[done:])
        if locked:
            with contextlib.suppress(OSError):
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN)
        lost, end = 0, 0
        for piece, lines in pieces:
            end += len(piece)
            if end > done:
                lost += lines
        return lost

    def _lock(self) -> bool:
        """Keep other workers' lines out of the middle of those of this one; return whether there is something to undo.

        What is written to a pipe goes in pieces when there is not room for all of it, and then even a short line of
        another process comes between them. So whoever writes takes the pipe's lock, which the system takes back when a
        process dies. There is no waiting for it with an end, so it is asked for again and again: one process that is
        stopped while it has it must not silence the others.
        """
        if not stat.S_ISFIFO(os.fstat(self._descriptor).st_mode):
            return False
        for _ in range(_TRIES):
            try:
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                time.sleep(0.001)
            except OSError:  # a system whose pipes have no locks
                return False
            else:
                return True
        return False

    def _write(self, data: memoryview) -> int:
        while True:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:  # somebody else has set the descriptor so; this thread has time
                _wait_until_writable(self._descriptor)

    def _count(self, dropped: int = 0, failed: int = 0) -> None:
        if dropped or failed:
            self._counts = SinkCounts(self._counts.dropped + dropped, self._counts.failed + failed)


def _wait_until_writable(descriptor: int) -> None:
    import select  # noqa: PLC0415 - hardly ever needed

    select.select((), (descriptor,), (), 1.0)
