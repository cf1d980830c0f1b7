"""The gate: what passes, what waits, what is refused; in virtual time."""

import asyncio

import pytest

from seawall import Call, Guard, Overloaded, Place, Principal
from seawall.admission import Admission, AdmissionOptions
from seawall.admission.gate import NORMAL
from seawall.admission.queue import FairQueue, Waiter
from seawall.clock import SystemRandom
from seawall.settings import AdmissionSettings, LogSettings, OperationsSettings, ServiceSettings, Settings
from support.exchange import exchange
from support.settings import service

pytestmark = pytest.mark.anyio


def guarded(clock, *, operations=None, policy=None, guards=(), **admission):
    settings = Settings(
        admission=AdmissionSettings(**{"enabled": True, **admission}),
        log=LogSettings(access=False),  # access lines are written by a timer of their own
        service=ServiceSettings(docs=False),
        operations=OperationsSettings(overrides=operations or {}),
    )
    app = service(clock=clock, settings=settings, random=SystemRandom(1))
    app.ended = []

    @app.get("/work", guards=guards, **(policy or {}))
    async def work(call: Call, seconds: float = 1.0) -> str:
        try:
            await asyncio.sleep(seconds)
        finally:
            app.ended.append(call.header("x-name"))
        return "done"

    return app


def start(app, query="", **fields):
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    return asyncio.create_task(exchange(app, "GET", "/work", query, headers=headers))


async def settled(*tasks):
    return [answer.status for answer in await asyncio.gather(*tasks)]


def state(app):
    return app.admission.state().service


def idle(app):
    gates = [state(app), *app.admission.state().operations.values()]
    return all((gate.in_flight, gate.waiting) == (0, 0) for gate in gates if gate is not None)


async def test_calls_beyond_a_limit_wait_a_moment_and_are_refused(manual_clock):
    app = guarded(manual_clock, limit=2)
    tasks = [start(app) for _ in range(5)]
    await asyncio.sleep(0.01)
    assert (state(app).in_flight, state(app).waiting, state(app).limit) == (2, 3, 2)
    await asyncio.sleep(0.006)
    assert state(app).waiting == 0
    assert await settled(*tasks) == [200, 200, 503, 503, 503]
    assert state(app).shed == {("normal", "wait"): 3}
    answer = tasks[4].result()
    assert answer.json()["type"] == "urn:problem-type:seawall:overloaded"
    assert answer.headers["retry-after"] in "123"
    assert idle(app)


async def test_a_place_that_becomes_free_goes_to_who_waits(manual_clock):
    app = guarded(manual_clock, limit=1)
    tasks = [start(app, "seconds=0.01"), start(app, "seconds=0.01")]
    assert await settled(*tasks) == [200, 200]
    assert idle(app)


async def test_a_queue_is_bounded(manual_clock):
    app = guarded(manual_clock, limit=1, queue=2)
    tasks = [start(app) for _ in range(5)]
    await asyncio.sleep(0)
    await asyncio.sleep(0.001)
    assert state(app).waiting == 2
    assert await settled(*tasks) == [200, 503, 503, 503, 503]
    assert state(app).shed == {("normal", "full"): 2, ("normal", "wait"): 2}
    assert await settled(start(app)) == [200]
    none = guarded(manual_clock, limit=1, queue=0)
    assert sorted(await settled(*(start(none) for _ in range(3)))) == [200, 503, 503]


async def test_who_waits_and_goes_away_leaves_nothing(manual_clock):
    app = guarded(manual_clock, limit=1)
    first, second, third = (start(app, "seconds=0.005", x_name=name) for name in "abc")
    await asyncio.sleep(0.001)
    second.cancel()
    assert await settled(first, third) == [200, 200]
    assert app.ended == ["a", "c"]
    assert idle(app)


async def test_a_turn_that_comes_with_the_cancellation_is_passed_on(manual_clock):
    app = guarded(manual_clock, limit=1)
    gate = app.admission.gate
    call = Call(b"x", "work")
    gate.in_flight = 1
    one = asyncio.create_task(gate.enter(call, NORMAL, manual_clock.monotonic()))
    two = asyncio.create_task(gate.enter(call, NORMAL, manual_clock.monotonic()))
    await asyncio.sleep(0)
    gate.in_flight -= 1
    gate.wake()  # one has its turn, and does not know it yet
    one.cancel()
    assert await two > 0
    assert (gate.in_flight, gate.waiting) == (1, 0)
    gate.in_flight -= 1
    assert one.cancelled()


async def test_a_call_that_fails_is_counted_out(manual_clock):
    app = guarded(manual_clock, limit=1, policy={"timeout": 0.5})
    assert await settled(start(app)) == [504]
    assert await settled(start(app, "seconds=x")) == [422]
    task = start(app)
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.wait({task})
    assert idle(app)


async def test_the_more_important_go_first(manual_clock):
    app = guarded(manual_clock, limit=1, queue=2, priority_header="x-priority")
    tasks = [start(app, "seconds=0.005", x_name="running")]
    await asyncio.sleep(0.001)
    names = ("normal", "normal", "critical", "sheddable")
    tasks += [start(app, "seconds=0.005", x_name=name, x_priority=name) for name in names]
    tasks.append(start(app, "seconds=0.005", x_name="odd", x_priority="very"))
    statuses = await settled(*tasks)
    assert app.ended == ["running", "critical", "normal"]
    assert statuses == [200, 200, 503, 200, 503, 503]
    assert state(app).shed[("sheddable", "full")] == 1


async def test_priority_of_the_policy_and_health(manual_clock):
    app = guarded(manual_clock, limit=4, policy={"priority": "sheddable"})
    tasks = [start(app) for _ in range(5)]
    await asyncio.sleep(0.001)
    assert state(app).in_flight == 3  # three quarters
    assert (await exchange(app, "GET", "/health/live")).status == 200
    assert await settled(*tasks) == [200, 200, 200, 503, 503]
    exempt = guarded(manual_clock, limit=1, policy={"priority": "health"})
    assert await settled(*(start(exempt) for _ in range(5))) == [200] * 5
    assert "gate" not in exempt.build().plans[0].source


async def test_callers_take_turns(manual_clock):
    app = guarded(manual_clock, limit=1, queue_wait=10.0)
    tasks = [start(app, "seconds=0.1", authorization="greedy", x_name=f"greedy {number}") for number in range(6)]
    await asyncio.sleep(0.01)
    tasks += [start(app, "seconds=0.1", authorization="modest", x_name=f"modest {number}") for number in range(2)]
    await settled(*tasks)
    assert app.ended[:5] == ["greedy 0", "greedy 1", "modest 0", "greedy 2", "modest 1"]


def test_a_full_queue_takes_from_who_has_most():
    loop = asyncio.new_event_loop()
    queue = FairQueue(3)
    waiters = [Waiter(1, "greedy", 0.0, loop.create_future()) for _ in range(3)]
    assert [queue.push(waiter) for waiter in waiters] == [None] * 3
    another = Waiter(1, "greedy", 0.0, loop.create_future())
    assert queue.push(another) is another
    modest = Waiter(1, "modest", 0.0, loop.create_future())
    assert queue.push(modest) is waiters[2]
    low = Waiter(0, "low", 0.0, loop.create_future())
    assert queue.push(low) is low
    high = Waiter(2, "greedy", 0.0, loop.create_future())
    assert queue.push(high) is waiters[1]
    assert queue.oldest is waiters[0]
    assert [queue.pop() for _ in range(3)] == [high, waiters[0], modest]
    assert (len(queue), queue.oldest) == (0, None)
    queue.remove(high)
    loop.close()


async def test_a_bulkhead(manual_clock):
    app = guarded(manual_clock, policy={"concurrency": 2})

    @app.get("/other")
    async def other() -> str:
        return "free"

    tasks = [start(app) for _ in range(4)]
    await asyncio.sleep(0.001)
    assert (await exchange(app, "GET", "/other")).status == 200
    gate = app.admission.state().operations["work"]
    assert (gate.limit, gate.in_flight, gate.waiting) == (2, 2, 2)
    app.rebuild()  # calls that run are still counted
    assert app.admission.state().operations["work"].in_flight == 2
    assert await settled(*tasks) == [200, 200, 503, 503]
    assert idle(app)
    names = [step.name for step in app.build().plans[0].steps]
    assert names.index("admission") < names.index("deadline") < names.index("bulkhead")


async def test_in_a_bulkhead_principals_take_turns_and_a_claim_is_a_priority(manual_clock):
    class Who(Guard):
        name = "who"
        place = Place.AUTHENTICATE

        async def check(self, call: Call) -> None:
            name = call.header("x-name") or ""
            call.principal = Principal(name, claims={"tier": "critical"} if name == "gold" else {})

    app = guarded(manual_clock, policy={"concurrency": 1}, guards=[Who()], priority_claim="tier", queue_wait=10.0)
    tasks = [start(app, "seconds=0.1", x_name=name) for name in ("a", "a", "a", "b", "gold")]
    assert await settled(*tasks) == [200] * 5
    assert app.ended == ["a", "gold", "a", "b", "a"]


async def test_settings_change_while_it_runs(manual_clock):
    app = guarded(manual_clock, limit=1)
    tasks = [start(app, "seconds=5")]
    await asyncio.sleep(0.001)

    def change(**options):
        app._settings = Settings(
            admission=AdmissionSettings(**{"enabled": True, **options}), service=ServiceSettings(docs=False)
        )
        app.rebuild()

    change(limit=3)
    tasks += [start(app), start(app)]
    await asyncio.sleep(0.1)
    assert (state(app).in_flight, state(app).limit) == (3, 3)
    change(enabled=False)
    assert state(app) is None
    tasks += [start(app) for _ in range(5)]
    assert await settled(*tasks) == [200] * 8
    assert "gate" not in app.build().plans[0].source
    change()
    assert state(app).limit == 1000
    assert (state(app).in_flight, state(app).waiting) == (0, 0)


async def test_calls_without_a_time_limit_are_not_counted(manual_clock):
    app = guarded(manual_clock, limit=1, policy={"timeout": None})
    tasks = [start(app) for _ in range(3)]
    await asyncio.sleep(0.1)
    assert state(app).in_flight == 0
    assert await settled(*tasks) == [200] * 3


async def test_what_an_operation_calls_inside_is_admitted_with_it(manual_clock):
    app = guarded(manual_clock, limit=1)

    @app.operation("inner")
    async def inner() -> str:
        assert app.admission.gate.in_flight == 1
        return "inner"

    @app.get("/outer")
    async def outer() -> str:
        return await app.call("inner")

    assert (await exchange(app, "GET", "/outer")).json() == "inner"
    assert await app.call("inner") == "inner"
    assert idle(app)


async def test_without_running_no_timer_is_set_and_with_it_none_is_left(manual_clock):
    timers = 0
    schedule = manual_clock.call_later

    def counted(*arguments):
        nonlocal timers
        timers += 1
        return schedule(*arguments)

    manual_clock.call_later = counted
    app = guarded(manual_clock, policy={"timeout": None, "on_disconnect": "finish"})
    await settled(start(app))
    assert timers == 0
    async with app.running():
        await settled(*(start(app, "seconds=100") for _ in range(10)))
        assert timers == 1
    assert app.admission.gate.lag is None


async def test_calls_that_waited_for_the_loop_are_refused_the_less_important_first(manual_clock):
    admission = Admission(manual_clock, SystemRandom(1), AdmissionOptions(enabled=True))
    gate = admission.gate
    admission.start()
    call = Call(b"x", "work")

    async def begins(rank: int) -> str:
        now = manual_clock.monotonic()
        late = (gate.late_sheddable, gate.late_normal, gate.late_critical)[rank]
        if now > late:
            try:
                await gate.enter(call, rank, now)
            except Overloaded:
                return "refused"
            gate.in_flight -= 1
        return "passes"

    assert await begins(1) == "passes"  # the first sets the timer
    manual_clock.advance(0.8)
    for _ in range(20):
        assert [await begins(rank) for rank in range(3)] == ["passes"] * 3  # one late round is a burst
    await asyncio.sleep(0.001)  # the timer runs, late
    assert admission.state().lag == pytest.approx(0.795, abs=0.002)
    await begins(1)
    manual_clock.advance(0.4)
    assert [await begins(rank) for rank in range(3)] == ["passes"] * 3  # not long enough
    manual_clock.advance(0.2)
    assert [await begins(1) for _ in range(16)] == ["passes"] * 16  # so few are no overload
    assert not admission.state().service.overloaded
    assert [await begins(rank) for rank in (1, 2)] == ["refused", "refused"]
    assert admission.state().service.overloaded
    await asyncio.sleep(0.001)
    await begins(1)
    manual_clock.advance(0.006)
    assert [await begins(rank) for rank in range(3)] == ["refused", "passes", "passes"]
    manual_clock.advance(0.005)
    assert [await begins(rank) for rank in range(3)] == ["refused", "refused", "passes"]
    manual_clock.advance(0.03)
    assert await begins(2) == "refused"
    assert gate.shed == {("sheddable", "lag"): 2, ("normal", "lag"): 2, ("critical", "lag"): 2}
    gate.lag._cpu = lambda: gate.lag._computed  # the process was not given a processor
    assert await begins(0) == "passes"
    gate.lag._cpu = manual_clock.monotonic
    await asyncio.sleep(3.1)
    assert await begins(1) == "passes"
    manual_clock.advance(0.05)
    assert await begins(0) == "passes"  # no call had to be refused for a while
    assert not admission.state().service.overloaded
    admission.stop()
    manual_clock.advance(10)
    assert await begins(1) == "passes"
    assert gate.in_flight == 0


async def test_few_calls_that_compute_for_long_are_no_overload(manual_clock):
    admission = Admission(manual_clock, SystemRandom(1), AdmissionOptions())
    gate = admission.gate
    admission.start()
    call = Call(b"x", "work")
    for _ in range(10):  # rounds of eight calls, a second each
        for _ in range(8):
            now = manual_clock.monotonic()
            if now > gate.late_normal:
                await gate.enter(call, NORMAL, now)
                gate.in_flight -= 1
            manual_clock.advance(1.0)
        await asyncio.sleep(0.001)
    assert gate.shed == {}
    admission.stop()


@pytest.mark.parametrize(("callers", "refused"), [(8, False), (64, False), (256, True)])
async def test_callers_who_ask_again_and_again_are_refused_only_where_they_wait_harmfully_long(
    manual_clock, callers, refused
):
    """A backend serves 20 at a time, 0.1 s each: for 64 callers a call takes 0.3 s, for 256 it takes 1.3 s."""
    app = guarded(manual_clock)
    backend = asyncio.Semaphore(20)

    @app.get("/ask")
    async def ask() -> None:
        async with backend:
            await asyncio.sleep(0.1)

    async def ask_again() -> None:
        while manual_clock.monotonic() < end:
            if (await exchange(app, "GET", "/ask")).status != 204:
                await asyncio.sleep(1.0)

    for _ in range(20):  # how long it takes is known
        await exchange(app, "GET", "/ask")
    end = manual_clock.monotonic() + 5
    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(ask_again())
    assert bool(state(app).shed) is refused


async def test_an_operation_all_of_whose_calls_run_out_of_time_is_seen(manual_clock):
    app = guarded(manual_clock, policy={"timeout": 1.0})
    for _ in range(20):
        await exchange(app, "GET", "/work", "seconds=0.05")
    for _ in range(5):
        await settled(*(start(app, "seconds=5") for _ in range(30)))
    assert state(app).overloaded
