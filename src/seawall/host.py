"""What the processes of one service on one machine share: a number for each, and memory that outlives any of them.

The process that starts the workers makes an `Arena` and hands its descriptor down; a service without workers makes one
for itself when it is first asked for. The memory is a file without a name: nothing is left behind when the last process
has gone, and what one that was killed has written stays there for the others.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import struct
import tempfile
import weakref
from collections.abc import Generator
from dataclasses import dataclass

__all__ = ["Arena", "Host", "Region"]

ARENA_BYTES = 1 << 30
"""Bytes an arena can hold. They are taken from the machine page by page, as they are written to."""
_PAGE = max(mmap.PAGESIZE, mmap.ALLOCATIONGRANULARITY)
_DIRECTORY = 64 * 1024
_ENTRY = struct.Struct("<64sQQ")  # name, offset, size
_COUNT = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Region:
    """A named part of an arena.

    Args:
        memory: Its bytes, zero in the beginning, shared by every process that asks for the same name.
        descriptor: The arena's file.
        offset: Where in that file it begins.
        arena: Kept as long as its parts are.
    """

    memory: mmap.mmap
    descriptor: int
    offset: int
    arena: Arena

    @contextlib.contextmanager
    def locked(self, start: int = 0, length: int = 1) -> Generator[None]:
        """Keep the other processes out of *length* bytes from *start*; those of this process are not kept out.

        A record lock (POSIX ``fcntl``): the system takes it back from a process that dies. It blocks the event loop
        while another process holds it, so hold it for a few instructions only and never across an ``await``.
        """
        place = self.offset + start
        fcntl.lockf(self.descriptor, fcntl.LOCK_EX, length, place)
        try:
            yield
        finally:
            fcntl.lockf(self.descriptor, fcntl.LOCK_UN, length, place)


class Arena:
    """Memory shared by processes, handed out by name.

    Args:
        descriptor: The file that holds it; `create` makes one. The arena owns it from now on: record locks are lost
            when *any* descriptor of the file is closed, so no other may be opened in this process.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._close = weakref.finalize(self, os.close, descriptor)
        self._directory = mmap.mmap(descriptor, _DIRECTORY)
        self._regions: dict[str, Region] = {}

    @classmethod
    def create(cls) -> Arena:
        """Make a new one, all zero."""
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("seawall", os.MFD_CLOEXEC)
        else:
            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        os.ftruncate(descriptor, ARENA_BYTES)
        return cls(descriptor)

    def region(self, name: str, size: int) -> Region:
        """Return the region *name* of at least *size* bytes, made if no process has asked for it yet.

        Raises:
            ValueError: It exists with another size, its name is longer than 64 bytes, or the arena is full.
        """
        known = self._regions.get(name)
        if known is not None:
            if len(known.memory) != _whole_pages(size):
                raise ValueError(f"shared region {name!r} has {len(known.memory)} bytes already, not {size}")
            return known
        fcntl.lockf(self.descriptor, fcntl.LOCK_EX, _DIRECTORY, 0)
        try:
            offset, length = self._place(name.encode(), _whole_pages(size))
        finally:
            fcntl.lockf(self.descriptor, fcntl.LOCK_UN, _DIRECTORY, 0)
        region = Region(mmap.mmap(self.descriptor, length, offset=offset), self.descriptor, offset, self)
        self._regions[name] = region
        return region

    def close(self) -> None:
        """Give the memory back; regions that were handed out become unusable."""
        for region in self._regions.values():
            region.memory.close()
        self._regions.clear()
        self._directory.close()
        self._close()

    def _place(self, name: bytes, size: int) -> tuple[int, int]:
        """Return where the region *name* lies, noting it in the directory if it is new. Under the directory's lock."""
        if not 0 < len(name) <= 64:
            raise ValueError(f"the name of a shared region has 1 to 64 bytes, {name!r} has {len(name)}")
        (count,) = _COUNT.unpack_from(self._directory, 0)
        end = _DIRECTORY
        for index in range(count):
            other, offset, length = _ENTRY.unpack_from(self._directory, _COUNT.size + index * _ENTRY.size)
            if other.rstrip(b"\0") == name:
                if length != size:
                    raise ValueError(f"shared region {name.decode()!r} has {length} bytes already, not {size}")
                return offset, length
            end = offset + length
        place = _COUNT.size + count * _ENTRY.size
        if end + size > ARENA_BYTES or place + _ENTRY.size > _DIRECTORY:
            raise ValueError(f"shared region {name.decode()!r} of {size} bytes does not fit into the arena any more")
        _ENTRY.pack_into(self._directory, place, name, end, size)
        _COUNT.pack_into(self._directory, 0, count + 1)
        return end, size


def _whole_pages(size: int) -> int:
    return -(-size // _PAGE) * _PAGE


class Host:
    """The place of this process among those that serve one service on one machine.

    Args:
        slot: This process's number, from 0; a worker that takes the place of another takes its number too.
        slots: How many there can be.
        arena: What they share; made for this process alone if there is none.
    """

    def __init__(self, slot: int = 0, slots: int = 1, arena: Arena | None = None) -> None:
        self.slot = slot
        self.slots = slots
        self._arena = arena

    @property
    def arena(self) -> Arena:
        """The memory the processes share."""
        if self._arena is None:
            self._arena = Arena.create()
        return self._arena
