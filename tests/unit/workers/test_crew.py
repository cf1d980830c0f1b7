"""What the crew decides, in virtual time, with processes that only note what is asked of them."""

from __future__ import annotations

import itertools
import logging
import random

import pytest

from seawall.testing.clock import ManualClock, ManualRandom
from seawall.watch import Beat, Ready, Stopped, Stopping
from seawall.workers.channel import Failed
from seawall.workers.crew import HURRIED, LAST_WORDS, OVERTIME, Crew, Phase
from seawall.workers.member import State

READY = Ready(30.0, 60.0)


class FakeProcess:
    def __init__(self, pid):
        self.pid = pid
        self.asked = []

    def stop(self):
        self.asked.append("stop")

    def hurry(self):
        self.asked.append("hurry")

    def abort(self):
        self.asked.append("abort")

    def kill(self):
        self.asked.append("kill")


class Bench:
    """A crew, and the hands that move it."""

    def __init__(self, count=2, start_seconds=100.0, refuse=()):
        self.clock = ManualClock()
        self.pids = itertools.count(1000)
        self.launched = []
        self.refuse = list(refuse)
        self.crew = Crew(count, self.launch, self.clock, ManualRandom(*[0.5] * 1000), start_seconds)
        self.crew.step()

    def launch(self, seat, slot):
        if self.refuse and self.refuse.pop(0):
            raise BlockingIOError(11, "Resource temporarily unavailable")
        self.launched.append((seat, slot))
        return FakeProcess(next(self.pids))

    def workers(self, state=None):
        return [each for each in self.crew.workers.values() if state in (None, each.state)]

    def ready(self, *workers):
        for each in workers or self.workers(State.STARTING):
            self.crew.heard(each, READY)
        self.crew.step()

    def end(self, worker, status=0, stopped=None):
        if stopped is not None:
            self.crew.heard(worker, stopped)
        self.crew.ended(worker, status)
        self.crew.step()

    def later(self, seconds, beating=True):
        """Let time pass, second by second, in which every worker but those named is heard of."""
        left = seconds
        while left > 0:
            self.clock.advance(min(1.0, left))
            left -= 1.0
            if beating:
                for each in self.workers():
                    if each.state is not State.STARTING:
                        self.crew.heard(each, Beat(1, 1))
            self.crew.step()

    def serving(self):
        self.ready()
        self.ready()
        assert self.crew.phase is Phase.SERVING
        return self


def acts(worker):
    return worker.process.asked


class TestTheFirstStart:
    def test_one_starts_alone_and_then_the_others(self):
        bench = Bench(3)
        assert bench.launched == [(0, 0)]
        bench.ready()
        assert bench.launched == [(0, 0), (1, 1), (2, 2)]
        assert bench.crew.phase is Phase.BEGINNING
        bench.ready()
        assert bench.crew.phase is Phase.SERVING

    def test_one_that_cannot_start_ends_it_and_is_the_reason(self):
        bench = Bench(3)
        (first,) = bench.workers()
        bench.crew.heard(first, Failed("no database"))
        bench.end(first, 1)
        assert bench.crew.failure == Failed("no database")
        assert bench.crew.phase is Phase.OVER
        assert bench.launched == [(0, 0)], "the others were not even tried"

    def test_one_that_dies_without_a_word_is_named(self):
        bench = Bench(1)
        bench.end(*bench.workers(), -11)
        assert bench.crew.failure.message == "worker 0 did not start: it ended before it was ready (SIGSEGV)"

    def test_a_later_one_that_cannot_start_ends_those_that_have(self):
        bench = Bench(2)
        (first,) = bench.workers()
        bench.ready()
        second = bench.workers(State.STARTING)[0]
        bench.end(second, 3)
        assert acts(first) == ["stop"]
        assert bench.crew.phase is Phase.STOPPING
        bench.end(first, 0, Stopped(0))
        assert bench.crew.phase is Phase.OVER
        assert "worker 1 did not start" in bench.crew.failure.message

    def test_one_that_is_killed_while_the_others_start_is_started_again(self):
        bench = Bench(2)
        (first,) = bench.workers()
        bench.ready()
        bench.end(first, -9)
        assert bench.crew.failure is None
        assert bench.launched == [(0, 0), (1, 1), (0, 0)]
        bench.ready()
        assert bench.crew.phase is Phase.SERVING

    def test_one_that_never_gets_ready_is_killed_and_named(self):
        bench = Bench(1, start_seconds=20)
        (first,) = bench.workers()
        bench.later(19.5)
        assert acts(first) == []
        bench.later(1)
        assert acts(first) == ["abort"]
        bench.later(LAST_WORDS)
        assert acts(first) == ["abort", "kill"]
        bench.end(first, -9)
        assert "not ready within 20 s (server.worker_start_timeout)" in bench.crew.failure.message

    def test_a_system_that_gives_no_process_ends_it(self):
        bench = Bench(1, refuse=[True])
        assert "Resource temporarily unavailable" in bench.crew.failure.message
        assert bench.crew.phase is Phase.OVER


class TestDeaths:
    def test_the_dead_is_replaced_at_once_in_its_slot(self):
        bench = Bench().serving()
        first = bench.workers()[0]
        bench.end(first, -9)
        assert bench.launched[-1] == (first.seat, first.slot)
        assert bench.crew.phase is Phase.SERVING

    def test_who_dies_again_soon_is_waited_for_longer_each_time(self):
        bench = Bench().serving()
        waits = []
        for _ in range(9):
            victim = next(each for each in bench.workers() if each.seat == 1)
            bench.ready(victim)
            bench.end(victim, 1)
            due = bench.crew.seats[1].due
            waits.append(0.0 if due is None else due - bench.clock.monotonic())
            bench.later(waits[-1] + 0.001)
        assert waits == pytest.approx([0, 0.375, 0.75, 1.5, 3, 6, 12, 22.5, 22.5])

    def test_who_cannot_start_is_waited_for_from_the_beginning(self):
        bench = Bench().serving()
        bench.end(bench.workers()[1], 1)
        starts = len(bench.launched)
        for _ in range(1200):
            for each in bench.workers(State.STARTING):
                bench.end(each, 1)
            bench.later(0.5)
        assert len(bench.launched) - starts < 35, "in ten minutes"

    def test_who_has_served_for_a_while_is_forgiven(self):
        bench = Bench().serving()
        for _ in range(5):
            bench.later(11)
            victim = bench.workers()[0]
            bench.end(victim, -9)
            assert victim.seat in {each.seat for each in bench.workers(State.STARTING)}, "at once"
            bench.ready()

    def test_a_system_that_gives_no_process_is_asked_again(self):
        bench = Bench().serving()
        bench.refuse = [True]
        bench.end(bench.workers()[0], -9)
        assert len(bench.workers()) == 1
        bench.later(1)
        assert len(bench.workers()) == 2

    def test_who_is_told_to_end_by_somebody_else_is_replaced_before_it_has_ended(self):
        bench = Bench().serving()
        first = bench.workers()[0]
        bench.crew.heard(first, Stopping())
        bench.crew.step()
        assert bench.launched[-1] == (0, 2), "its slot is not free yet"
        bench.ready()
        bench.end(first, 0, Stopped(1))
        assert bench.crew.serving == 2
        assert len(bench.launched) == 3


class TestSilence:
    def test_who_is_not_heard_of_is_told_to_say_where_it_hangs_and_is_killed(self, caplog):
        bench = Bench().serving()
        quiet, other = bench.workers()
        for _ in range(60):
            bench.clock.advance(1)
            bench.crew.heard(other, Beat(1, 1))
            bench.crew.step()
        assert acts(quiet) == ["abort"]
        assert acts(other) == []
        assert "its event loop has been blocked for 60 s (server.worker_timeout)" in caplog.text
        bench.later(LAST_WORDS + 0.1, beating=False)
        assert acts(quiet) == ["abort", "kill"]
        bench.end(quiet, -9)
        assert bench.launched[-1] == (quiet.seat, quiet.slot)

    def test_zero_is_for_ever(self):
        bench = Bench(1)
        (only,) = bench.workers()
        bench.crew.heard(only, Ready(30.0, 0.0))
        bench.clock.advance(100_000)
        assert bench.crew.step() is None
        assert acts(only) == []

    def test_step_says_when_to_look_again(self):
        bench = Bench(1)
        bench.ready()
        assert bench.crew.step() == pytest.approx(60)
        bench.clock.advance(59)
        assert bench.crew.step() == pytest.approx(1)


class TestRolls:
    def test_one_after_another_and_the_new_one_first(self):
        bench = Bench(2).serving()
        old = bench.workers()
        bench.crew.ask_roll()
        bench.crew.step()
        assert bench.launched[2:] == [(0, 2)]
        assert acts(old[0]) == []
        bench.ready()
        assert acts(old[0]) == ["stop"]
        assert len(bench.launched) == 3, "the next one waits until the first has gone"
        bench.end(old[0], 0, Stopped(5))
        assert bench.launched[3:] == [(1, 0)], "the slots go round"
        bench.ready()
        bench.end(old[1], 0, Stopped(5))
        assert bench.crew.roll is None
        assert bench.crew.serving == 2
        assert {each.seat for each in bench.workers()} == {0, 1}

    def test_never_more_than_one_too_many_and_never_one_too_few(self):
        rng = random.Random(7)
        bench = Bench(4).serving()
        for _ in range(3):
            bench.crew.ask_roll()
            bench.crew.step()
            while bench.crew.roll is not None:
                assert len(bench.workers()) <= 5
                assert bench.crew.serving == 4
                slots = [each.slot for each in bench.workers()]
                assert len(set(slots)) == len(slots)
                each = rng.choice(bench.workers())
                if each.state is State.STARTING:
                    bench.ready(each)
                elif each.told:
                    bench.end(each, 0, Stopped(1))
        assert len(bench.launched) == 4 + 12

    def test_one_whose_new_worker_does_not_start_is_given_up_with_one_line(self, caplog):
        bench = Bench(2).serving()
        old = bench.workers()
        bench.crew.ask_roll()
        bench.crew.step()
        new = bench.workers(State.STARTING)[0]
        caplog.clear()
        bench.crew.heard(new, Failed("settings are wrong"))
        bench.end(new, 1)
        assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == [
            "gave up replacing workers, 2 of 2 stay as they are: settings are wrong"
        ]
        assert bench.workers() == old
        bench.later(100)
        assert bench.workers() == old
        assert acts(old[0]) == acts(old[1]) == []

    def test_one_that_dies_while_its_successor_starts_is_not_replaced_twice(self):
        bench = Bench(2).serving()
        old = bench.workers()
        bench.crew.ask_roll()
        bench.crew.step()
        bench.end(old[0], -9)
        assert len(bench.workers()) == 2
        bench.ready()
        assert bench.launched[3:] == [(1, 0)], "and the roll goes on"
        assert bench.crew.seats[0].restarts.count == 1

    def test_with_nobody_left_when_the_successor_fails_the_seat_is_filled_later(self):
        bench = Bench(2).serving()
        old = bench.workers()
        bench.crew.ask_roll()
        bench.crew.step()
        new = bench.workers(State.STARTING)[0]
        bench.end(old[0], -9)
        bench.end(new, 1)
        assert bench.crew.roll is None
        assert len(bench.workers()) == 1
        bench.later(2)
        assert {each.seat for each in bench.workers()} == {0, 1}

    def test_a_seat_that_waits_is_filled_at_once(self):
        bench = Bench(2).serving()
        bench.end(bench.workers()[0], -9)
        bench.end(bench.workers(State.STARTING)[0], 1)
        assert len(bench.workers()) == 1
        bench.crew.ask_roll()
        bench.crew.step()
        assert len(bench.workers()) == 2
        bench.ready()
        assert bench.crew.roll.done == 1

    def test_asked_again_while_one_goes_on_there_is_one_more(self):
        bench = Bench(1)
        bench.ready()
        for _ in range(5):
            bench.crew.ask_roll()
        bench.crew.step()
        bench.crew.ask_roll()
        bench.crew.ask_roll()
        for _ in range(10):
            old = [each for each in bench.workers() if each.told]
            bench.ready(*bench.workers(State.STARTING)) if bench.workers(State.STARTING) else None
            for each in old or [each for each in bench.workers() if each.told]:
                bench.end(each, 0, Stopped(0))
        assert len(bench.launched) == 3

    def test_a_worker_that_does_not_leave_is_killed(self, caplog):
        bench = Bench(2).serving()
        old = bench.workers()[0]
        bench.crew.ask_roll()
        bench.crew.step()
        bench.ready()
        bench.later(30 + OVERTIME - 0.5)
        assert acts(old) == ["stop"]
        bench.later(1)
        assert acts(old) == ["stop", "kill"]
        bench.end(old, -9)
        assert "worker 0 was lost (SIGKILL)" in caplog.text
        assert len(bench.launched) == 4, "and the roll goes on"


class TestTheEnd:
    def test_all_are_told_once_and_what_they_cut_is_summed(self):
        bench = Bench(2).serving()
        both = bench.workers()
        bench.crew.stop()
        bench.crew.stop()
        assert [acts(each) for each in both] == [["stop"], ["stop"]]
        bench.end(both[0], 1, Stopped(10, calls=2, tasks=("flush",)))
        bench.end(both[1], 1, Stopped(20, calls=1, resources=("Database",)))
        assert bench.crew.phase is Phase.OVER
        toll = bench.crew.toll
        assert (toll.calls, toll.tasks, toll.resources, toll.workers) == (3, ["flush"], ["Database"], [])
        assert bench.crew.requests == 30

    def test_the_second_time_hurries_and_the_slow_are_killed(self):
        bench = Bench(1)
        bench.ready()
        (only,) = bench.workers()
        bench.crew.stop()
        bench.crew.hurry()
        bench.later(HURRIED - 0.5)
        assert acts(only) == ["stop", "hurry"]
        bench.later(1)
        assert acts(only) == ["stop", "hurry", "kill"]
        bench.end(only, -9)
        assert bench.crew.toll.workers == ["0 (it did not end in time)"]

    def test_one_that_crashes_while_it_ends_is_counted(self):
        bench = Bench(1)
        bench.ready()
        (only,) = bench.workers()
        bench.crew.stop()
        bench.end(only, -11)
        assert bench.crew.toll.workers == ["0 (SIGSEGV)"]

    def test_in_the_middle_of_a_roll_both_end(self):
        bench = Bench(2).serving()
        bench.crew.ask_roll()
        bench.crew.step()
        everybody = bench.workers()
        assert len(everybody) == 3
        bench.crew.stop()
        for each in everybody:
            assert acts(each) == ["stop"]
            bench.end(each, -15 if each.ready is None else 0, None if each.ready is None else Stopped(0))
        assert bench.crew.phase is Phase.OVER
        assert bench.crew.toll.workers == [], "one that had not begun to serve has cut nothing"
        assert len(bench.launched) == 3

    def test_nobody_is_started_any_more(self):
        bench = Bench(2).serving()
        first = bench.workers()[0]
        bench.crew.heard(first, Stopping())
        bench.crew.stop()
        bench.crew.step()
        assert len(bench.launched) == 2
        bench.crew.ask_roll()
        bench.later(5)
        assert len(bench.launched) == 2


def test_the_board_shows_who_waits():
    bench = Bench(2).serving()
    bench.end(bench.workers()[0], -9)
    bench.end(bench.workers(State.STARTING)[0], 1)
    posts = bench.crew.posts()
    assert [(post.worker, post.slot, post.state) for post in posts] == [(0, 0, "waiting"), (1, 1, "ready")]
    assert posts[0].restarts == 2
