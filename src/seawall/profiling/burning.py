"""Which threads compute: by the processor time that Linux counts for each, to the nanosecond.

A thread that waits inside a function written in C (a queue, a socket, a database's driver) has the same stack as one
that computes there. What tells them apart is the time it has been on a processor: a thread is due to be counted each
time that has grown by as much as passes between two looks, so that its samples are as many as its computing is long.
"""

from __future__ import annotations

import os
import threading

__all__ = ["MAX_THREADS", "ThreadTimes"]

MAX_THREADS = 64
"""Threads whose time is read; of further ones nothing is known."""


class ThreadTimes:
    """The processor time of this process's threads, by their files in ``/proc``; close it after use."""

    def __init__(self) -> None:
        self._files: dict[int, int] = {}
        self._counted: dict[int, int] = {}

    def open(self) -> None:
        """Find threads that are new since the last time."""
        for thread in threading.enumerate():
            ident, native = thread.ident, thread.native_id
            if ident is None or ident in self._files or len(self._files) >= MAX_THREADS:
                continue
            try:
                self._files[ident] = os.open(f"/proc/self/task/{native}/schedstat", os.O_RDONLY | os.O_CLOEXEC)
            except OSError:  # another system, or a thread that has just ended
                continue
            self._counted[ident] = self._now(ident) or 0

    def is_due(self, ident: int, interval: float) -> bool | None:
        """Return whether a thread has computed for another *interval* (seconds); None where nobody knows."""
        now = self._now(ident)
        if now is None:
            return None
        wanted = int(interval * 1e9)
        due = now - self._counted[ident] >= wanted
        if due:  # what it has computed beyond that is carried over, but not more than for one look
            self._counted[ident] = max(self._counted[ident] + wanted, now - wanted)
        return due

    def _now(self, ident: int) -> int | None:
        file = self._files.get(ident)
        if file is None:
            return None
        try:
            return int(os.pread(file, 64, 0).split()[0])
        except (OSError, ValueError, IndexError):  # it has ended
            return None

    def close(self) -> None:
        """Give the files back."""
        for file in self._files.values():
            os.close(file)
        self._files.clear()
