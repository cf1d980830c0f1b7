"""How the workers are, in memory they share: the supervisor writes, every worker reads."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from seawall.host import Arena

__all__ = ["STATES", "Board", "Post"]

REGION = "seawall.workers"
STATES = ("", "starting", "ready", "stopping", "waiting")
"""What a place of the board can say, by its number; the first means that it says nothing."""
_RECORD = struct.Struct("<BxHIIIQdd")  # state, worker, pid, restarts, connections, requests, started, heard


@dataclass(frozen=True, slots=True)
class Post:
    """What is known of one worker.

    Args:
        slot: The number it has among those that share the memory.
        worker: The number people know it by; who replaces one takes it over.
        state: ``starting``, ``ready``, ``stopping``, or ``waiting`` for its next start.
        pid: Its process; 0 while it waits.
        restarts: How often one in its post has been started again after a death.
        connections: Connections open when it was last heard of.
        requests: Requests answered by then.
        started: When it was started, in seconds since 1970 (UTC).
        heard: When it was last heard of, likewise.
    """

    slot: int
    worker: int
    state: str
    pid: int
    restarts: int
    connections: int
    requests: int
    started: float
    heard: float

    def document(self) -> dict[str, Any]:
        """Return it for JSON, with times as RFC 3339 writes them."""
        return {
            "worker": self.worker,
            "slot": self.slot,
            "state": self.state,
            "pid": self.pid,
            "started": _moment(self.started),
            "restarts": self.restarts,
            "requests": self.requests,
            "connections": self.connections,
            "last_heartbeat": _moment(self.heard),
        }


class Board:
    """A record for each slot. A reader may find one half written; what it says is for people, nothing decides by it.

    Args:
        arena: The memory.
        slots: How many there are.
    """

    def __init__(self, arena: Arena, slots: int) -> None:
        self._memory = arena.region(REGION, slots * _RECORD.size).memory
        self._slots = slots

    def write(self, posts: list[Post]) -> None:
        """Replace everything by *posts*."""
        filled = bytearray(self._slots * _RECORD.size)
        for post in posts:
            _RECORD.pack_into(
                filled,
                post.slot * _RECORD.size,
                STATES.index(post.state),
                post.worker,
                post.pid,
                post.restarts,
                post.connections,
                post.requests,
                post.started,
                post.heard,
            )
        self._memory[: len(filled)] = bytes(filled)

    def read(self) -> Iterator[Post]:
        """Return what is known of each worker."""
        for slot in range(self._slots):
            state, worker, *facts = _RECORD.unpack_from(self._memory, slot * _RECORD.size)
            if 0 < state < len(STATES):
                yield Post(slot, worker, STATES[state], *facts)

    def document(self) -> list[dict[str, Any]]:
        """Return what is known of each worker, for JSON."""
        return [post.document() for post in self.read()]


def _moment(seconds: float) -> str | None:
    if not seconds:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
