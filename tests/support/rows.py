"""Services in a row, and the ledger they tell what they do."""

from __future__ import annotations

import contextlib
import socket
import time
from collections import Counter
from dataclasses import dataclass

from support.process import Served

__all__ = ["Row"]


@dataclass
class Row:
    """A, B and C, each asking the next one, and what they told the ledger."""

    servers: dict[str, Served]
    addresses: dict[str, tuple[str, int]]
    ledger: socket.socket

    def url(self, name: str) -> str:
        return "http://{}:{}".format(*self.addresses[name])

    def notes(self) -> list[tuple[float, str]]:
        """Return what has been told since the last time, each with the moment at which it came."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                told = self.ledger.recv(100).decode()
                found.append((time.monotonic(), told))
        return found

    def counted(self) -> Counter[str]:
        return Counter(told for _, told in self.notes())
