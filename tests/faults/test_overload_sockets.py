"""Scenarios 5 and 6 on a real server, over real sockets; callers are a process of their own.

The bars are asserted in virtual time, in ``test_overload``. Here the machine has a say in every number: what is
asserted leaves room for one that is busy with other things, and is still far from what is seen without admission.
``pytest -s`` prints what was measured.
"""

from pathlib import Path

from support.process import served
from support.storm import Stage, percentile, storm

HERE = Path(__file__).parent
CAPACITY = 100.0
"""Calls a second: 20 slots, 0.2 s each on average."""
PATIENCE = 600.0
"""Milliseconds after which an answer is of no use to its caller any more."""
PROBED = {"/ask": 0.96, "/health/live": 0.04}
CALLERS = (8, 64, 256)
MIXED = {"/ask": 0.6, "/ask/vital": 0.1, "/ask/later": 0.3}


def seen(*stages, **variables):
    with served("overload_app:service", HERE, SEAWALL_LOG_ACCESS="no", **variables) as server:
        result = storm(server.address(), *stages)
        assert server.end() == 0
    for each in result:
        for path, answers in each.answers.items():
            for status, times in answers.items():
                ordered = sorted(times)
                p50, p99 = (f"{percentile(ordered, part):.0f}" for part in (0.5, 0.99))
                print(f"{path} {status}: {len(times) / each.seconds:.0f}/s, p50 {p50} ms, p99 {p99} ms")
        print()
    return result


def test_more_than_a_backend_can_do_is_refused_early_and_the_rest_is_served_as_ever():
    alone, _, five, ten, mixed = seen(
        Stage({"/ask": 1.0}, 2.0, rate=20),
        Stage(PROBED, 9.0, rate=5 * CAPACITY),  # until there is an overload, and what had come before is done
        Stage(PROBED, 3.0, rate=5 * CAPACITY),
        Stage(PROBED, 2.0, rate=10 * CAPACITY),
        Stage(MIXED, 3.0, rate=3 * CAPACITY, settle=0.5),
    )
    assert alone.statuses() == {200}
    usual = percentile(alone.times(200), 0.99)
    for overloaded in (five, ten):
        assert overloaded.statuses() == {200, 503}
        assert overloaded.goodput("/ask", PATIENCE) >= 0.5 * CAPACITY
        assert percentile(overloaded.times(200, "/ask"), 0.9) <= 2 * usual
        assert percentile(overloaded.times(503), 0.5) <= 100
        assert overloaded.passed("/health/live") == 1.0
    assert mixed.passed("/ask/vital") >= 0.995
    assert mixed.passed("/ask/vital") > mixed.passed("/ask") > mixed.passed("/ask/later")


def test_without_admission_nobody_is_served_in_time():
    (five,) = seen(Stage(PROBED, 4.0, rate=5 * CAPACITY, settle=1.5), SEAWALL_ADMISSION_ENABLED="no")
    assert 503 not in five.statuses()
    assert five.goodput("/ask", PATIENCE) < 0.1 * CAPACITY


def test_callers_who_wait_for_their_answers_are_never_refused():
    stages = (Stage({"/light": 1.0}, 1.5, callers=each) for each in CALLERS)
    for callers, all_ in zip(CALLERS, seen(*stages), strict=True):
        assert all_.statuses() == {200}
        assert len(all_.times(200)) > callers


def test_if_every_wait_were_harmful_they_would_be():
    (all_,) = seen(
        Stage({"/light": 1.0}, 2.0, callers=64),
        SEAWALL_ADMISSION_HARMFUL_WAIT="0.001",
        SEAWALL_ADMISSION_MIN_LIMIT="1",
    )
    assert 503 in all_.statuses()


def test_a_server_with_too_much_to_compute_refuses_some_and_keeps_what_is_important():
    shares = {"/work": 0.87, "/vital": 0.1, "/health/live": 0.03}
    # Seen once on a busy machine: 53 of the callers were in, waited for hardly more than the default, and stayed so.
    (all_,) = seen(Stage(shares, 5.0, callers=300, settle=3.0), SEAWALL_ADMISSION_HARMFUL_WAIT="0.2")
    assert all_.statuses() == {200, 503}
    assert all_.passed("/vital") > all_.passed("/work")
    assert all_.passed("/health/live") == 1.0


def test_a_bulkhead():
    (all_,) = seen(Stage({"/slots": 1.0}, 1.5, rate=400))
    assert all_.statuses() == {200, 503}
