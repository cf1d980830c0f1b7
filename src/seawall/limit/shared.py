"""Allowances in memory that the workers of one host share: exact, and no server is needed."""

from __future__ import annotations

import fcntl
import hashlib
import secrets
import struct
from collections.abc import Sequence

from seawall.clock import Clock
from seawall.host import Arena, Region
from seawall.limit.rule import SLACK, Calendar, Rule

__all__ = ["SharedStore"]

REGION = "seawall.limit"
WAYS = 8
"""Cells of a bucket. A key has one bucket; so many keys of one bucket can be owed something at a time."""
_HEAD = 64
_CELL = struct.Struct("<16sdd")  # fingerprint, theoretical arrival time, when nothing is owed any more
_TIMES = struct.Struct("<dd")
_BUCKET = WAYS * _CELL.size
_EMPTY = bytes(16)


class SharedStore:
    """A table in shared memory, each bucket behind a record lock of its own.

    The table is set-associative, as a processor's cache is: a key's cell is one of the `WAYS` of its bucket, whatever
    happens elsewhere, so nothing is ever moved or searched for. A bucket that is full gives up the cell that will be
    owed nothing soonest. Which bucket it is follows from a keyed hash (BLAKE2b, its key drawn by chance), so that
    nobody can choose keys that meet. All rules of a call have their cells in one bucket: one lock makes the step
    atomic. The system takes a lock back from a process that dies; a cell that it was writing is whole, because its
    times are written before its fingerprint. Times are those of the machine's monotonic clock, the same for all.

    A decision takes two system calls, some microseconds. It waits for another process only while that is in the same
    bucket, which is a few microseconds too, or until it is scheduled again.

    Args:
        arena: The memory.
        clock: What time it is; its monotonic clock must be the machine's.
        max_keys: Cells. The table has twice as many, 32 bytes each, so that few buckets are ever full.
    """

    def __init__(self, arena: Arena, clock: Clock, max_keys: int) -> None:
        self._buckets = -(-2 * max_keys // WAYS)
        self._region: Region = arena.region(REGION, _HEAD + self._buckets * _BUCKET)
        self._memory = self._region.memory
        self._now = clock.monotonic
        self._calendar = Calendar(clock.time)
        self._secret = self._agree_on_secret()

    def take(self, rules: Sequence[Rule], key: str, cost: int) -> tuple[float, ...]:
        """Take from every rule or from none; see `LocalStore.take`.

        Blocks while another process is in the same bucket.
        """
        digests = [self._digest(f"{rule.id}\0{key}") for rule in rules]
        place = _HEAD + int.from_bytes(digests[0][:8], "little") % self._buckets * _BUCKET
        region = self._region
        at = region.offset + place
        fcntl.lockf(region.descriptor, fcntl.LOCK_EX, _BUCKET, at)
        try:
            return self._take(place, rules, digests, cost)
        finally:
            fcntl.lockf(region.descriptor, fcntl.LOCK_UN, _BUCKET, at)

    def forgive(self, rules: Sequence[Rule], key: str) -> None:
        """Make an allowance whole again; see `LocalStore.forgive`. Blocks as `take` does."""
        digests = [self._digest(f"{rule.id}\0{key}") for rule in rules]
        place = _HEAD + int.from_bytes(digests[0][:8], "little") % self._buckets * _BUCKET
        with self._region.locked(place, _BUCKET):
            bucket = self._memory[place : place + _BUCKET]
            for digest in digests:
                offset = _find(bucket, digest)
                if offset is not None:
                    self._memory[place + offset : place + offset + 16] = _EMPTY

    def _take(self, place: int, rules: Sequence[Rule], digests: Sequence[bytes], cost: int) -> tuple[float, ...]:
        bucket = self._memory[place : place + _BUCKET]
        monotonic = self._now()
        lefts: list[float] = []
        moves: list[tuple[int, bytes, float, float]] = []
        for rule, digest in zip(rules, digests, strict=True):
            now = self._calendar.start(rule.window) if rule.window else monotonic
            offset = _find(bucket, digest)
            tat = now
            if offset is not None:
                tat = max(tat, _TIMES.unpack_from(bucket, offset + 16)[0])
            tat += cost * rule.interval
            free = monotonic + self._calendar.remaining(rule.window) if rule.window else tat
            moves.append((-1 if offset is None else offset, digest, tat, free))
            lefts.append(rule.tolerance - (tat - now))
        if min(lefts) >= -SLACK:
            taken = {offset for offset, *_ in moves}
            for offset, digest, tat, free in moves:
                self._write(place, bucket, (offset, digest, tat, free), taken)
        return tuple(lefts)

    def _write(self, place: int, bucket: bytes, move: tuple[int, bytes, float, float], taken: set[int]) -> None:
        offset, digest, tat, free = move
        memory = self._memory
        if offset >= 0:
            _TIMES.pack_into(memory, place + offset + 16, tat, free)
            return
        offset = _victim(bucket, taken)
        taken.add(offset)
        start = place + offset
        memory[start : start + 16] = _EMPTY
        _TIMES.pack_into(memory, start + 16, tat, free)
        memory[start : start + 16] = digest

    def _digest(self, text: str) -> bytes:
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, key=self._secret).digest()

    def _agree_on_secret(self) -> bytes:
        with self._region.locked(0, _HEAD):
            if self._memory[:16] == _EMPTY:
                self._memory[:16] = secrets.token_bytes(16)
            return self._memory[:16]


def _find(bucket: bytes, digest: bytes) -> int | None:
    """Return where in *bucket* the cell of *digest* is."""
    offset = bucket.find(digest)
    while offset > 0 and offset % _CELL.size:  # the same bytes by chance, across two fields
        offset = bucket.find(digest, offset + 1)
    return None if offset < 0 else offset


def _victim(bucket: bytes, taken: set[int]) -> int:
    """Return which cell of *bucket* a new one takes the place of: an empty one, else the one that is owed least."""
    best, soonest = -1, float("inf")
    for offset in range(0, _BUCKET, _CELL.size):
        if offset in taken:
            continue
        fingerprint, _, free = _CELL.unpack_from(bucket, offset)
        if fingerprint == _EMPTY:
            return offset
        if best < 0 or free < soonest:
            best, soonest = offset, free
    return best
