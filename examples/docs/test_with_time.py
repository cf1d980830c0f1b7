"""Tests with a clock of their own: an hour passes in a millisecond."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest

from seawall import Service
from seawall.clock import Clock, SystemRandom
from seawall.testing.clock import ManualClock
from seawall.testing.fixtures import anyio_backend, manual_clock

__all__ = ["anyio_backend", "manual_clock"]

pytestmark = pytest.mark.anyio


# region: service
def create(clock: Clock) -> Service:
    """Make a service that takes its time from outside."""
    service = Service("oven", timeout="2h", clock=clock, random=SystemRandom(seed=7))

    @service.get("/bake/{hours}")
    async def bake(hours: int) -> str:
        """Take hours."""
        await clock.sleep(hours * 3600)
        return f"{datetime.fromtimestamp(clock.time(), UTC):%H:%M}"

    return service


# endregion


# region: test
@pytest.fixture
async def client(manual_clock: ManualClock) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the service, on the clock's own time."""
    service = create(manual_clock)
    transport = httpx.ASGITransport(service)
    async with service.running(), httpx.AsyncClient(transport=transport, base_url="http://oven") as client:
        yield client


async def test_an_hour_passes_at_once(client: httpx.AsyncClient) -> None:
    """The clock stood at midnight."""
    answer = await client.get("/bake/1")

    assert answer.json() == "01:00"


async def test_three_hours_are_too_long(client: httpx.AsyncClient) -> None:
    """The deadline is at two hours."""
    answer = await client.get("/bake/3")

    assert answer.status_code == 504


async def test_two_cakes_take_as_long_as_one(client: httpx.AsyncClient) -> None:
    """Both wait at the same time."""
    answers = await asyncio.gather(client.get("/bake/1"), client.get("/bake/1"))

    assert [answer.json() for answer in answers] == ["01:00", "01:00"]


# endregion
