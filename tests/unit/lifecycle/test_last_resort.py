"""The last resort, without a process to end."""

from __future__ import annotations

import threading

import pytest

from seawall import last_resort
from seawall.last_resort import LastResort


class Ended:
    def __init__(self):
        self.status = None
        self.happened = threading.Event()

    def __call__(self, status):
        self.status = status
        self.happened.set()


@pytest.fixture
def ended():
    return Ended()


def test_it_ends_the_process_once_the_time_is_over_and_says_where_the_loop_is(ended, caplog):
    each = LastResort(0.0, ended)
    each.arm()
    assert ended.happened.wait(5)
    assert ended.status == 1
    (said,) = caplog.records
    assert "event loop is blocked" in said.message
    assert " in " in said.line
    each.disarm()


def test_an_orderly_end_needs_none(ended):
    each = LastResort(60.0, ended)
    each.arm()
    each.disarm()
    assert not ended.happened.is_set()


def test_one_that_was_never_armed_is_no_thread(ended):
    before = threading.active_count()
    each = LastResort(0.0, ended)
    each.disarm()
    assert threading.active_count() == before
    assert not ended.happened.is_set()


def test_a_second_signal_shortens_the_wait(ended, monkeypatch):
    monkeypatch.setattr(last_resort, "HURRY_SECONDS", 0.0)
    each = LastResort(60.0, ended)
    each.arm()
    each.arm()
    assert ended.happened.wait(5)
    each.disarm()
