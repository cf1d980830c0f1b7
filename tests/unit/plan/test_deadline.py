"""Deadlines: what is late ends with 504, what is cancelled by others stays cancelled, and nobody is left behind."""

import asyncio

import pytest

from seawall import Call, Conflict, DeadlineExceeded, current_call, fan_out
from support.exchange import JSON, answer_of, exchange, scope_of
from support.settings import service

pytestmark = pytest.mark.anyio


async def test_an_operation_that_takes_too_long_is_a_504(manual_clock):
    app, ended = service(clock=manual_clock), []

    @app.get("/slow", timeout="500ms")
    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(manual_clock.monotonic() - 1000)

    answer = await exchange(app, "GET", "/slow")
    assert (answer.status, answer.json()["type"]) == (504, "urn:problem-type:seawall:deadline-exceeded")
    assert answer.json()["detail"] == "The operation did not finish within 0.5 s."
    assert ended == [pytest.approx(0.5)]


async def test_one_that_is_in_time_is_left_alone(manual_clock):
    app = service(clock=manual_clock)

    @app.get("/x", timeout=1)
    async def read() -> float:
        await asyncio.sleep(0.9)
        return current_call().deadline - manual_clock.monotonic()

    for _ in range(3):
        answer = await exchange(app, "GET", "/x")
        assert (answer.status, answer.json()) == (200, pytest.approx(0.1))


async def test_without_a_limit_there_is_no_deadline(manual_clock):
    app = service(clock=manual_clock)

    @app.get("/x", timeout=None)
    async def read(call: Call) -> bool:
        await asyncio.sleep(3600)
        return call.deadline is None

    @app.post("/x", timeout=None)
    async def write(body: dict[str, int], call: Call) -> bool:
        await asyncio.sleep(3600)
        return call.deadline is None

    assert (await exchange(app, "GET", "/x")).json() is True
    assert (await exchange(app, "POST", "/x", json={"a": 1})).json() is True


async def test_calls_of_one_limit_share_one_timer_and_each_expires_in_its_time(manual_clock):
    app, ended = service(clock=manual_clock), []

    @app.get("/x/{seconds}", timeout=10, on_disconnect="finish")
    async def wait(seconds: float) -> None:
        began = manual_clock.monotonic()
        try:
            await asyncio.sleep(seconds)
        finally:
            ended.append((seconds, round(manual_clock.monotonic() - began, 6)))

    async def later(delay: float, seconds: float) -> int:
        await asyncio.sleep(delay)
        return (await exchange(app, "GET", f"/x/{seconds}")).status

    timers = 0
    schedule = manual_clock.call_later

    def counted(*arguments):
        nonlocal timers
        timers += arguments[0] > 1  # not those by which access lines are flushed
        return schedule(*arguments)

    manual_clock.call_later = counted
    statuses = await asyncio.gather(later(0, 60), later(3, 1), later(5, 61), later(5, 4), later(30, 62))
    assert statuses == [504, 204, 504, 204, 504]
    assert sorted(ended) == [(1, 1), (4, 4), (60, 10), (61, 10), (62, 10)]
    assert timers <= 4


async def test_the_table_is_empty_and_idle_in_the_end(manual_clock):
    app = service(clock=manual_clock)

    @app.get("/x", timeout=1)
    async def read(seconds: float = 0) -> None:
        await asyncio.sleep(seconds)

    await exchange(app, "GET", "/x")
    await exchange(app, "GET", "/x", "seconds=5")
    table = app.build().deadlines.table(1.0)
    await asyncio.sleep(5)
    assert (dict(table.calls), table.idle) == ({}, True)
    assert (await exchange(app, "GET", "/x", "seconds=5")).status == 504


async def test_a_cancellation_from_outside_is_no_504(manual_clock):
    app = service(clock=manual_clock)

    @app.get("/x", timeout=10)
    async def read() -> None:
        await asyncio.sleep(60)

    task = asyncio.create_task(exchange(app, "GET", "/x"))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_a_cancellation_from_outside_in_the_same_moment_is_not_swallowed(manual_clock):
    app = service(clock=manual_clock)

    @app.get("/x", timeout=1)
    async def read() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            task.cancel()
            await asyncio.sleep(0)

    task = asyncio.create_task(exchange(app, "GET", "/x"))
    await asyncio.wait([task])
    assert task.cancelled()


@pytest.mark.parametrize("instead", [None, Conflict("mine"), ValueError("mine")])
async def test_an_operation_that_makes_something_else_of_it_is_late_all_the_same(manual_clock, instead, caplog):
    app = service(clock=manual_clock)

    @app.get("/x", timeout=1)
    async def read() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if instead is not None:
                raise instead from None
        return "swallowed"

    answer = await exchange(app, "GET", "/x")
    task = asyncio.current_task()
    assert (answer.status, task.cancelling()) == (504, 0)
    table = app.build().deadlines.table(1.0)
    assert dict(table.calls) == {}
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:  # the task is as good as new
        group.create_task(asyncio.sleep(1))


async def test_it_reaches_everything_an_operation_runs_side_by_side(manual_clock):
    app, ended = service(clock=manual_clock), []

    async def part(seconds: float) -> float:
        try:
            await asyncio.sleep(seconds)
        finally:
            ended.append(seconds)
        return seconds

    @app.get("/x", timeout=2)
    async def read() -> dict[str, float]:
        return await fan_out(dict, a=part(1), b=part(60), c=part(61))

    assert (await exchange(app, "GET", "/x")).status == 504
    assert sorted(ended) == [1, 60, 61]
    assert asyncio.current_task().cancelling() == 0


async def test_a_task_group_that_failed_before_does_not_count_as_a_cancellation(manual_clock):
    app = service(clock=manual_clock)

    @app.get("/x", timeout=2)
    async def read() -> None:
        async def fail() -> None:
            await asyncio.sleep(1)
            raise ValueError("part")

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
        except ExceptionGroup:
            pass
        await asyncio.sleep(60)

    assert (await exchange(app, "GET", "/x")).status == 504


# -- calls within calls


def nested(clock, outer_limit, inner_limit):
    app = service(clock=clock)

    @app.operation("inner", timeout=inner_limit)
    async def inner(seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "inner"

    @app.get("/outer", timeout=outer_limit)
    async def outer(seconds: float, caught: bool = False) -> str:
        try:
            return await app.call("inner", seconds=seconds)
        except DeadlineExceeded:
            if not caught:
                raise
            await asyncio.sleep(0.1)
            return "caught"

    return app


@pytest.mark.parametrize(
    ("outer", "inner", "seconds", "query", "status", "body"),
    [
        (5, 1, 0.5, "", 200, "inner"),
        (5, 1, 60, "", 504, "within 1 s"),
        (5, 1, 60, "&caught=true", 200, "caught"),
        (1, 5, 60, "", 504, "within 1 s"),
        (1, 5, 60, "&caught=true", 504, "within 1 s"),
        (1, 1, 60, "", 504, "within 1 s"),
        (1, 1, 60, "&caught=true", 504, "within 1 s"),
    ],
)
async def test_each_deadline_ends_its_own_call(manual_clock, outer, inner, seconds, query, status, body):
    app = nested(manual_clock, outer, inner)
    answer = await exchange(app, "GET", "/outer", f"seconds={seconds}{query}")
    assert (answer.status, body in answer.body.decode()) == (status, True)
    assert asyncio.current_task().cancelling() == 0


async def test_a_direct_call_has_its_deadline_too(manual_clock):
    app = nested(manual_clock, 5, 1)
    assert await app.call("inner", seconds=0.5) == "inner"
    with pytest.raises(DeadlineExceeded):
        await app.call("inner", seconds=60)
    assert asyncio.current_task().cancelling() == 0


# -- bodies


async def slow_body(app, *delays, path="/x", headers=JSON, content=b"", send_first=True):
    """Send a body whose pieces come after *delays* and never end."""
    pieces = iter(delays)

    async def receive():
        await asyncio.sleep(next(pieces, 10**6))
        return {"type": "http.request", "body": content, "more_body": True}

    sent = []

    async def send(message):
        sent.append(message)

    await app(scope_of("POST", path, headers=headers), receive, send)
    return answer_of(sent)


@pytest.mark.parametrize("delays", [(), (1,), (1, 1, 1, 1), (3, 3, 3, 3, 3)])
async def test_a_body_that_does_not_arrive_is_a_408(manual_clock, delays):
    app = service(clock=manual_clock, http={"body_timeout": 10})

    @app.post("/x", timeout=2)
    async def write(body: dict[str, int]) -> None: ...

    began = manual_clock.monotonic()
    answer = await slow_body(app, *delays, content=b" ")
    assert (answer.status, answer.json()["type"]) == (408, "urn:problem-type:seawall:request-timeout")
    assert manual_clock.monotonic() - began == pytest.approx(10)
    assert asyncio.current_task().cancelling() == 0


async def test_a_form_that_does_not_arrive_is_a_408(manual_clock):
    from typing import Annotated

    import msgspec

    from seawall import Form

    class Signup(msgspec.Struct):
        email: str

    app = service(clock=manual_clock, http={"body_timeout": 10})

    @app.post("/x")
    async def write(form: Annotated[Signup, Form()]) -> None: ...

    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert (await slow_body(app, headers=headers)).status == 408


async def test_a_body_that_takes_its_time_is_read_and_has_none_of_the_operations(manual_clock):
    app = service(clock=manual_clock, http={"body_timeout": 10})

    @app.post("/x", timeout=1)
    async def write(body: dict[str, int]) -> int:
        await asyncio.sleep(0.5)
        return body["a"]

    pieces = iter([b'{"a"', b":1}"])

    async def receive():
        await asyncio.sleep(4)
        piece = next(pieces)
        return {"type": "http.request", "body": piece, "more_body": piece != b":1}"}

    sent = []

    async def send(message):
        sent.append(message)

    await app(scope_of("POST", "/x", headers=JSON), receive, send)
    assert answer_of(sent).json() == 1


async def test_a_client_that_goes_away_while_sending_gets_no_answer():
    app, ran = service(), []

    @app.post("/x")
    async def write(body: dict[str, int]) -> None:
        ran.append(1)

    answer = await exchange(app, "POST", "/x", body=b"{", headers=JSON, disconnect=True)
    assert (answer.status, ran) == (0, [])
    answer = await exchange(app, "POST", "/x", body=[], headers=JSON, disconnect=True)
    assert (answer.status, ran) == (0, [])


async def test_a_cancellation_while_the_body_arrives_is_no_408(manual_clock):
    app = service(clock=manual_clock)

    @app.post("/x")
    async def write(body: dict[str, int]) -> None: ...

    task = asyncio.create_task(slow_body(app))
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
