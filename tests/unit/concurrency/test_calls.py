"""Several calls for one answer: races, quorums, limits, parts that may be missing, single flight."""

from __future__ import annotations

import asyncio

import pytest

from seawall import concurrency
from seawall.call import Call, enter, leave
from seawall.concurrency import QuorumFailed, SingleFlight, first_success, gather, optional, partial, quorum, required
from seawall.problems import DeclarationError, NotFound
from seawall.resilience import TimedOut
from seawall.testing import ManualClock

pytestmark = pytest.mark.anyio


class Calls:
    """Calls that take a time and end well or not; knows which were cancelled."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.cancelled: list[object] = []
        self.running = self.most = 0

    async def __call__(self, result: object, seconds: float = 0.0) -> object:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.clock.sleep(seconds)
            if isinstance(result, Exception):
                raise result
            return result
        except asyncio.CancelledError:
            self.cancelled.append(result)
            raise
        finally:
            self.running -= 1


async def test_the_first_success_wins(manual_clock: ManualClock) -> None:
    calls = Calls(manual_clock)
    assert await first_success(calls(NotFound(), 1), calls("b", 3), calls("a", 2)) == "a"
    assert (calls.cancelled, calls.running) == (["b"], 0)
    with pytest.raises(QuorumFailed) as failed:
        await first_success(calls(NotFound(), 1), calls(OSError(), 2))
    assert [type(error) for error in failed.value.exceptions] == [NotFound, OSError]
    with pytest.raises(ValueError, match="needed"):
        await first_success()


async def test_a_quorum_ends_as_soon_as_it_is_decided(manual_clock: ManualClock) -> None:
    calls, start = Calls(manual_clock), manual_clock.monotonic()
    assert await quorum(2, calls("a", 3), calls("b", 1), calls("c", 2), calls("d", 9)) == ["b", "c"]
    assert manual_clock.monotonic() - start == 2
    with pytest.raises(QuorumFailed):
        await quorum(2, calls("a", 9), calls(OSError(), 1), calls(OSError(), 2))
    assert manual_clock.monotonic() - start == 4, "the rest could not make it good"
    assert calls.running == 0
    with pytest.raises(ValueError, match="3"):
        await quorum(3, calls("a"), calls("b"))


async def test_gather_has_a_limit_and_an_order(manual_clock: ManualClock) -> None:
    calls = Calls(manual_clock)
    taken: list[int] = []

    def items():
        for number in range(20):
            taken.append(number)
            yield number

    async def work(number: int) -> object:
        assert len(taken) <= calls.running + 4 + number
        return await calls(number, 20 - number)

    assert await gather(work, items(), limit=4) == list(range(20))
    assert calls.most == 4
    with pytest.raises(NotFound):
        await gather(lambda number: calls(NotFound() if number == 3 else number, 1), range(10), limit=4)
    assert calls.running == 0
    assert await gather(calls, [], limit=1) == []
    for limit in (0, -1, True, 1.5):
        with pytest.raises(DeclarationError):
            await gather(calls, [1], limit=limit)  # type: ignore[arg-type]


async def test_parts_that_may_be_missing(manual_clock: ManualClock) -> None:
    calls = Calls(manual_clock)
    page = await partial(
        dict,
        clock=manual_clock,
        orders=required(calls("orders", 1)),
        ads=optional(calls("ads", 9), default="none", within=2),
        news=optional(calls(OSError("down")), default=()),
    )
    assert page.value == {"orders": "orders", "ads": "none", "news": ()}
    assert {name: type(error) for name, error in page.errors.items()} == {"ads": TimedOut, "news": OSError}
    assert not page.complete
    with pytest.raises(TimedOut):
        await partial(dict, clock=manual_clock, a=required(calls("a", 9), within=1), b=optional(calls("b", 9)))
    with pytest.raises(NotFound):
        await partial(dict, a=required(calls(NotFound())), b=optional(calls("b", 9)))
    assert calls.running == 0
    assert (await partial(dict, a=optional(calls("a")))).complete


async def test_one_flight_for_all_who_ask(manual_clock: ManualClock) -> None:
    calls, flights = Calls(manual_clock), SingleFlight[str, object]()
    made = 0

    async def fetch() -> object:
        nonlocal made
        made += 1
        return await calls(made, 1)

    assert await asyncio.gather(*[flights.run("k", fetch) for _ in range(50)]) == [1] * 50
    assert await flights.run("k", fetch) == 2, "nothing is kept"
    results = await asyncio.gather(
        *[flights.run("e", lambda: calls(OSError(), 1)) for _ in range(3)], return_exceptions=True
    )
    assert {type(result) for result in results} == {OSError}
    assert len(flights) == 0


async def test_a_flight_is_nobody_s_and_ends_with_its_last_passenger(manual_clock: ManualClock) -> None:
    calls, flights = Calls(manual_clock), SingleFlight[str, object]()
    token = enter(Call(b"1", "op"))
    first = asyncio.create_task(flights.run("k", lambda: calls("a", 5)))
    second = asyncio.create_task(flights.run("k", lambda: calls("b", 5)))
    leave(token)
    await manual_clock.sleep(1)
    first.cancel()
    await manual_clock.sleep(1)
    assert calls.cancelled == [], "the first one's end is not the others'"
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    assert (calls.cancelled, len(flights), calls.running) == (["a"], 0, 0)


def test_every_public_name_is_there() -> None:
    for name in concurrency.__all__:
        assert getattr(concurrency, name).__module__.startswith("seawall.concurrency.")
    assert (
        sorted([*(name for names in concurrency._HOMES.values() for name in names), "fan_out"]) == concurrency.__all__
    )
    with pytest.raises(AttributeError):
        concurrency.nothing  # noqa: B018 - asking is the test
