"""Memory that processes share: named regions, found again, kept apart, and locked against other processes."""

from __future__ import annotations

import os

import pytest

from seawall.host import ARENA_BYTES, Arena, Host


@pytest.fixture
def arena():
    made = Arena.create()
    yield made
    made.close()


def in_child(work):
    """Run *work* in a forked process; return its exit status."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = work() or 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_region_is_zero_in_the_beginning_and_the_same_for_the_same_name(arena):
    region = arena.region("counts", 100)
    assert not any(region.memory[:])
    region.memory[:3] = b"abc"
    assert arena.region("counts", 100).memory[:3] == b"abc"


def test_regions_do_not_overlap(arena):
    first, second = arena.region("first", 5000), arena.region("second", 5000)
    first.memory[:] = b"\1" * len(first.memory)
    assert not any(second.memory[:])
    assert second.offset >= first.offset + len(first.memory)


def test_another_process_sees_what_was_written_and_what_a_killed_one_wrote_stays(arena):
    arena.region("other", 10)
    region = arena.region("counts", 8)

    def work():
        adopted = Arena(os.dup(arena.descriptor))
        adopted.region("counts", 8).memory[:4] = b"gone"
        os.kill(os.getpid(), 9)

    assert in_child(work) == -9
    assert region.memory[:4] == b"gone"


def test_a_lock_keeps_other_processes_out_and_dies_with_its_owner(arena):
    region = arena.region("cells", 4096)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        with region.locked(8):
            os.write(writer, b"x")
            while True:
                os.kill(os.getpid(), 9)
    os.read(reader, 1)
    with region.locked(8):  # would wait for ever if the lock outlived its owner
        os.waitpid(pid, 0)
    os.close(reader)
    os.close(writer)


def test_increments_of_several_processes_are_exact_under_the_lock(arena):
    region = arena.region("counter", 8)

    def work():
        for _ in range(2000):
            with region.locked():
                value = int.from_bytes(region.memory[:8], "little")
                region.memory[:8] = (value + 1).to_bytes(8, "little")

    children = []
    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            work()
            os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    assert int.from_bytes(region.memory[:8], "little") == 6000


@pytest.mark.parametrize("name", ["", "x" * 65])
def test_a_name_that_cannot_be_noted_is_refused(arena, name):
    with pytest.raises(ValueError, match="1 to 64 bytes"):
        arena.region(name, 10)


def test_another_size_for_the_same_name_is_refused(arena):
    arena.region("counts", 10)
    with pytest.raises(ValueError, match="already, not 100000"):
        arena.region("counts", 100_000)


def test_what_does_not_fit_is_refused(arena):
    with pytest.raises(ValueError, match="does not fit"):
        arena.region("huge", ARENA_BYTES)


def test_a_process_alone_makes_its_own_arena_once():
    host = Host()
    assert (host.slot, host.slots) == (0, 1)
    assert host.arena is host.arena
    host.arena.close()
