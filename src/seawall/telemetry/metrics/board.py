"""Counts in memory that every worker of a service shares, so that one of them can answer for all.

Each worker writes to a part of its own, which its slot names: nothing is ever locked, nothing is left behind as a
file, and what a worker has counted stays there when it is killed. The one that takes its slot finds the series by
their keys and goes on from their counts. A key says all about a series (operation, route, method, status), so workers
of different releases of a service can share one host: what one of them does not know, it passes on as it is.

A part holds, in this order: a head (how many series there are; whose the snapshot is), one snapshot (what is true at
the moment: gauges), and the series, each with its key, 15 buckets, a sum, and for each bucket an exemplar. Words are
eight bytes and aligned, so that one which is being written is seen as it was or as it will be (on every machine
CPython's shared memory is used on). What takes more than one word is guarded by a number that is odd while it is
written (a seqlock, after Lameter's "Effective Synchronization on Linux/NUMA Systems").
"""

from __future__ import annotations

import mmap
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from seawall.host import Region

__all__ = ["BOUNDS", "BUCKETS", "Board", "Exemplar", "Key", "Reading", "Snapshot", "part_bytes"]

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Upper bounds of the buckets in seconds: those OpenTelemetry advises for ``http.server.request.duration``."""
BUCKETS = len(BOUNDS) + 1
SUM = BUCKETS
SERIES = 4096
"""Series one worker can have; what goes beyond is counted in one more, which says so."""

_WORD = 8
_KEY_BYTES = 480
_VALUES = 64  # the word of a series at which its values begin
_EXEMPLARS = _VALUES + BUCKETS + 1
_EXEMPLAR = struct.Struct("<16s8sdd")
_EXEMPLAR_WORDS = 1 + _EXEMPLAR.size // _WORD
_SERIES_WORDS = _EXEMPLARS + BUCKETS * _EXEMPLAR_WORDS + 1
_HEAD_BYTES = 64
_SNAPSHOT_BYTES = 256 * 1024 - _HEAD_BYTES
_FIRST = (_HEAD_BYTES + _SNAPSHOT_BYTES) // _WORD
_COUNT, _SEQUENCE, _LENGTH, _OWNER = range(4)
_WRITTEN = 4

Key = tuple[str, ...]
"""What a series is: its family, and the values of its labels in their order."""
OVERFLOW: Key = ("overflow",)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[str, ...]).decode


def part_bytes() -> int:
    """Return the size of the part of one worker; pages that are not written to take no memory."""
    return (_FIRST + (SERIES + 1) * _SERIES_WORDS) * _WORD


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One sampled call that fell into a bucket: its trace, how long it took, and when it ended (Unix time)."""

    trace_id: str
    span_id: str
    value: float
    timestamp: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What stood in one series when it was read.

    Args:
        key: What it is.
        buckets: Calls by bucket; of a counter, the first is its count.
        sum: Seconds of all of them together.
        exemplars: By bucket.
    """

    key: Key
    buckets: Sequence[int]
    sum: float
    exemplars: Sequence[Exemplar | None]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a worker last said of itself: when (on the machine's monotonic clock), its process id, and what."""

    written: float
    owner: int
    content: bytes


class Board:
    """The part of one worker. One process writes to it, any may read.

    Args:
        region: Its memory.
    """

    def __init__(self, region: Region) -> None:
        # A mapping of its own: the arena may be closed while plans still hold on to the counts.
        size = part_bytes()
        self._memory = mmap.mmap(region.descriptor, size, offset=region.offset)
        view = memoryview(self._memory)
        self.counts = view.cast("Q")
        self.sums = view.cast("d")
        self._places: dict[Key, int] | None = None
        self._claiming = threading.Lock()

    def claim(self, key: Key) -> int:
        """Return the word at which the values of the series *key* begin, made if it is not there yet.

        Beyond `SERIES` the place is that of `OVERFLOW`, the first there is.
        """
        with self._claiming:  # counters may be added to from any thread
            if self._places is None:
                self._places = dict(self._known())
                if not self._places:
                    self._add(OVERFLOW)
            place = self._places.get(key)
            return self._add(key) if place is None else place

    def mark(self, place: int, bucket: int, exemplar: Exemplar) -> None:
        """Keep *exemplar* for a bucket of the series at *place*."""
        at = place - _VALUES + _EXEMPLARS + bucket * _EXEMPLAR_WORDS
        packed = _EXEMPLAR.pack(
            bytes.fromhex(exemplar.trace_id), bytes.fromhex(exemplar.span_id), exemplar.value, exemplar.timestamp
        )
        self.counts[at] |= 1
        self._memory[(at + 1) * _WORD : (at + 1) * _WORD + len(packed)] = packed
        self.counts[at] += 1

    def publish(self, snapshot: Snapshot) -> bool:
        """Say how things are at the moment; return whether there was room for it."""
        if len(snapshot.content) > _SNAPSHOT_BYTES:
            return False
        counts = self.counts
        counts[_SEQUENCE] |= 1
        counts[_LENGTH], counts[_OWNER] = len(snapshot.content), snapshot.owner
        self.sums[_WRITTEN] = snapshot.written
        self._memory[_HEAD_BYTES : _HEAD_BYTES + len(snapshot.content)] = snapshot.content
        counts[_SEQUENCE] += 1
        return True

    def snapshot(self) -> Snapshot | None:
        """Return what was last published; None if nothing was, or it is being written each time it is looked at."""
        counts = self.counts
        for _ in range(16):
            before = counts[_SEQUENCE]
            found = Snapshot(
                self.sums[_WRITTEN], counts[_OWNER], self._memory[_HEAD_BYTES : _HEAD_BYTES + counts[_LENGTH]]
            )
            if before == counts[_SEQUENCE] and not before & 1:
                return found if before else None
        return None

    def read(self) -> Iterator[Reading]:
        """Return what stands in every series."""
        for key, place in self._known():
            yield Reading(
                key,
                self.counts[place : place + BUCKETS].tolist(),
                self.sums[place + SUM],
                [self._exemplar(place, bucket) for bucket in range(BUCKETS)],
            )

    def _add(self, key: Key) -> int:
        assert self._places is not None  # noqa: S101 - `claim` has filled it
        index = self.counts[_COUNT]
        if index > SERIES:
            return self._places[OVERFLOW]
        start = _FIRST + index * _SERIES_WORDS
        encoded = _fitting(key)
        at = (start + 1) * _WORD
        self._memory[at : at + len(encoded)] = encoded
        self.counts[start] = len(encoded)
        self.counts[_COUNT] = index + 1  # last: from now on it is seen
        place = self._places[key] = start + _VALUES
        return place

    def _known(self) -> Iterator[tuple[Key, int]]:
        for index in range(self.counts[_COUNT]):
            start = _FIRST + index * _SERIES_WORDS
            at = (start + 1) * _WORD
            yield _decode(self._memory[at : at + self.counts[start]]), start + _VALUES

    def _exemplar(self, place: int, bucket: int) -> Exemplar | None:
        at = place - _VALUES + _EXEMPLARS + bucket * _EXEMPLAR_WORDS
        before = self.counts[at]
        packed = self._memory[(at + 1) * _WORD : (at + 1) * _WORD + _EXEMPLAR.size]
        if not before or before & 1 or before != self.counts[at]:
            return None
        trace, span, value, timestamp = _EXEMPLAR.unpack(packed)
        return Exemplar(trace.hex(), span.hex(), value, timestamp)


def _fitting(key: Key) -> bytes:
    """Return *key* as it is stored; names too long for it are cut and told apart by a checksum."""
    encoded = _encode(key)
    if len(encoded) <= _KEY_BYTES:
        return encoded
    most = (_KEY_BYTES // len(key) - 16) // 6  # a character takes six bytes at the most, escaped
    return _encode([word if len(word) <= most else f"{word[:most]}~{zlib.crc32(word.encode()):08x}" for word in key])
