"""Deadlines that callers bring, and those of calls around a call: the soonest counts, and nothing begins after it."""

import asyncio

import pytest

from seawall import Call, DeadlineExceeded, current_call
from support.exchange import exchange
from support.settings import service

pytestmark = pytest.mark.anyio


def waiting(clock, *, http=None, **policy):
    app = service(clock=clock, http=http)
    app.began = []

    @app.get("/x", **policy)
    async def wait(call: Call, seconds: float = 0) -> float | None:
        app.began.append(seconds)
        await asyncio.sleep(seconds)
        return call.remaining(clock)

    return app


async def ask(app, seconds, said, name="grpc-timeout"):
    return await exchange(app, "GET", "/x", f"seconds={seconds}", headers={name: said})


@pytest.mark.parametrize(
    ("limit", "said", "seconds", "after"),
    [
        (10, "500m", 60, 0.5),
        (10, "500m", 0.2, 0.2),
        (0.5, "10S", 60, 0.5),
        (None, "2S", 60, 2),
        (None, "2S", 1, 1),
        (10, "99999999H", 60, 10),
    ],
)
async def test_the_sooner_of_both_counts(manual_clock, limit, said, seconds, after):
    app = waiting(manual_clock, timeout=limit)
    began = manual_clock.monotonic()
    answer = await ask(app, seconds, said)
    assert manual_clock.monotonic() - began == pytest.approx(after, abs=1e-6)
    assert answer.status == (200 if after == seconds else 504)
    if answer.status == 504:
        sooner = limit is None or limit > after
        assert ("the time that the caller gave it" in answer.json()["detail"]) is sooner
    assert asyncio.current_task().cancelling() == 0


@pytest.mark.parametrize("limit", [10, None])
async def test_the_operation_sees_what_is_left(manual_clock, limit):
    answer = await ask(waiting(manual_clock, timeout=limit), 0.25, "1S")
    assert answer.json() == pytest.approx(0.75)


async def test_nothing_begins_once_it_has_passed(manual_clock):
    app = waiting(manual_clock, timeout=10)
    answer = await ask(app, 0, "0m")
    assert (answer.status, app.began) == (504, [])
    assert answer.json()["detail"] == "The caller's deadline passed before the operation had begun."


async def test_time_spent_on_the_way_counts(manual_clock):
    from seawall import Guard

    class Slow(Guard):
        name = "slow"

        async def check(self, call):
            await asyncio.sleep(1)

    app = waiting(manual_clock, timeout=10, guards=[Slow()])
    assert ((await ask(app, 0, "900m")).status, app.began) == (504, [])
    assert ((await ask(app, 0, "1100m")).json(), app.began) == (pytest.approx(0.1), [0])


@pytest.mark.parametrize("limit", [10, None])
async def test_what_cannot_be_read_is_a_400_and_nothing_begins(manual_clock, limit):
    app = waiting(manual_clock, timeout=limit)
    answer = await ask(app, 0, "soon")
    assert (answer.status, answer.json()["type"], app.began) == (400, "urn:problem-type:seawall:bad-request", [])
    fields = [("grpc-timeout", "1S"), ("grpc-timeout", "2S")]
    assert (await exchange(app, "GET", "/x", headers=fields)).status == 400


async def test_another_field_or_none(manual_clock):
    app = waiting(manual_clock, timeout=10, http={"timeout_header": "X-Envoy-Expected-Rq-Timeout-Ms"})
    assert (await ask(app, 60, "300", "x-envoy-expected-rq-timeout-ms")).status == 504
    assert (await ask(app, 1, "300m", "grpc-timeout")).status == 200
    app = waiting(manual_clock, timeout=10, http={"timeout_header": ""})
    assert (await ask(app, 1, "300m")).status == 200


async def test_each_of_many_ends_in_its_time(manual_clock):
    app = waiting(manual_clock, timeout=10, on_disconnect="finish")
    manual_clock.advance(1)

    async def one(delay, seconds, milliseconds):
        await asyncio.sleep(delay)
        began = manual_clock.monotonic()
        status = (await ask(app, seconds, f"{milliseconds}m")).status
        return status, round(manual_clock.monotonic() - began, 6)

    wanted = [(0.1 * (n % 7), 0.3 + 0.05 * (n % 5), 100 * (1 + n * 7 % 11)) for n in range(200)]
    found = await asyncio.gather(*(one(*each) for each in wanted))
    for (_, seconds, milliseconds), (status, took) in zip(wanted, found, strict=True):
        assert took == pytest.approx(min(seconds, milliseconds / 1000))
        if abs(seconds - milliseconds / 1000) > 1e-6:
            assert status == (200 if seconds < milliseconds / 1000 else 504)
    table = app.build().deadlines.table(10)
    assert not table.calls
    assert len(table._early) <= 200


async def test_deadlines_of_calls_that_are_over_do_not_pile_up(manual_clock):
    app = waiting(manual_clock, timeout=10)
    for _ in range(1000):
        assert (await ask(app, 0, "9S")).status == 200
    assert len(app.build().deadlines.table(10)._early) < 100


async def test_a_service_that_stops_leaves_no_timer(manual_clock):
    app = waiting(manual_clock, timeout=10)
    await ask(app, 0, "9S")
    app.build().close()
    assert app.build().deadlines.table(10)._early_timer is None


# -- calls within calls


def nested(clock, *limits):
    """Return a service whose operation 0 calls 1, which calls 2, and so on; each works for half a second first."""
    app = service(clock=clock)
    app.began, app.ended = [], []

    def level(number, limit):
        async def run() -> str:
            app.began.append(number)
            try:
                await asyncio.sleep(0.5)
                return await app.call(f"level{number + 1}") if number + 1 < len(limits) else "deep"
            finally:
                await asyncio.sleep(0.25)
                app.ended.append(number)

        run.__name__ = f"level{number}"
        app.get(f"/{number}", name=f"level{number}", timeout=limit)(run)

    for number, limit in enumerate(limits):
        level(number, limit)
    return app


async def test_a_call_inherits_the_deadline_of_the_call_around_it(manual_clock):
    app = nested(manual_clock, 1.2, 30, None)
    began = manual_clock.monotonic()
    answer = await exchange(app, "GET", "/0")
    # The second and third level had begun; each was cancelled once, and gave back what it held in its own time.
    assert (answer.status, app.began, app.ended) == (504, [0, 1, 2], [2, 1, 0])
    assert manual_clock.monotonic() - began == pytest.approx(1.2 + 3 * 0.25)
    assert asyncio.current_task().cancelling() == 0
    deadlines = app.build().deadlines
    assert [*deadlines.running()] == []
    assert not deadlines.table(30.0).backstops


async def test_nothing_begins_within_a_call_whose_time_is_over(manual_clock):
    app = service(clock=manual_clock)
    began = []

    @app.operation("inner")
    async def inner() -> None:
        began.append(1)

    @app.get("/outer", timeout=1)
    async def outer() -> None:
        manual_clock.advance(2)  # as code does that holds the loop
        await app.call("inner")

    assert ((await exchange(app, "GET", "/outer")).status, began) == (504, [])


async def test_the_callers_deadline_reaches_every_level(manual_clock):
    app = nested(manual_clock, 30, 20, 10)
    answer = await exchange(app, "GET", "/0", headers={"grpc-timeout": "700m"})
    assert (answer.status, app.began, app.ended) == (504, [0, 1], [1, 0])


async def test_a_call_left_behind_by_the_call_around_it_ends_by_its_own_limit(manual_clock):
    app, ended, left = service(clock=manual_clock), [], []

    @app.operation("inner", timeout=5)
    async def inner() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(manual_clock.monotonic())

    @app.get("/outer", timeout=1)
    async def outer() -> None:
        left.append(asyncio.create_task(app.call("inner")))
        await asyncio.sleep(0.1)

    began = manual_clock.monotonic()
    await exchange(app, "GET", "/outer")
    with pytest.raises(DeadlineExceeded):
        await left[0]
    assert ended == [pytest.approx(began + 5)]


async def test_what_is_left_is_told_on(manual_clock):
    app = service(clock=manual_clock)

    @app.get("/x", timeout=2)
    async def read(seconds: float) -> dict[str, str]:
        await asyncio.sleep(seconds)
        return app.deadline_headers()

    @app.get("/unlimited", timeout=None)
    async def unlimited() -> dict[str, str]:
        assert current_call().deadline is None
        return app.deadline_headers()

    assert (await exchange(app, "GET", "/x", "seconds=0.5")).json() == {"grpc-timeout": "1500m"}
    headers = {"grpc-timeout": "800m"}
    assert (await exchange(app, "GET", "/x", "seconds=0.3", headers=headers)).json() == {"grpc-timeout": "500m"}
    answer = await exchange(app, "GET", "/x", "seconds=1.9999")
    assert (answer.status, answer.json()["detail"]) == (504, "No time was left to ask another service.")
    assert (await exchange(app, "GET", "/unlimited")).json() == {}
    assert app.deadline_headers() == {}
