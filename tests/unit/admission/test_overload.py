"""When an overload begins, when it is over, and when that is found out."""

from seawall.admission.overload import LONGEST_PAUSE, OVER, PAUSE, TRIAL, Overload, State


def shed(overload, since, until):
    """Refuse a call every second; return what is done in the end."""
    now = since
    while now < until and overload.shedding:
        overload.refused(now)
        overload.update(now)
        now += 1.0
    return overload.state


def test_it_is_over_when_no_call_had_to_be_refused_for_a_while():
    overload = Overload()
    assert overload.update(100.0) is State.CALM
    overload.harmed(100.0)
    assert overload.update(100.0 + OVER - 0.1) is State.SHEDDING
    overload.refused(102.0)
    assert overload.update(102.0 + OVER - 0.1) is State.SHEDDING
    assert overload.update(102.0 + OVER) is State.CALM


def test_what_is_refused_is_let_in_from_time_to_time_and_less_often_if_it_does_harm():
    overload, now, pause = Overload(), 0.0, PAUSE
    overload.harmed(now)
    while pause < 4 * LONGEST_PAUSE:
        expected = min(pause, LONGEST_PAUSE)
        assert shed(overload, now, now + expected) is State.SHEDDING
        assert shed(overload, now + expected, now + expected + 2) is State.TRYING
        now += expected + 1
        overload.harmed(now)
        assert overload.shedding
        pause *= 2


def test_if_it_does_no_harm_it_is_over_and_the_next_one_begins_anew():
    overload = Overload()
    overload.harmed(0.0)
    shed(overload, 0.0, PAUSE)
    assert overload.update(PAUSE + 1) is State.TRYING
    assert overload.update(PAUSE + 1 + TRIAL) is State.CALM
    overload.harmed(500.0)
    assert shed(overload, 500.0, 500.0 + PAUSE) is State.SHEDDING
    assert shed(overload, 500.0 + PAUSE, 502.0 + PAUSE) is State.TRYING
