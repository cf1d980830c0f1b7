"""Tests with a clock of their own: an hour passes in a millisecond."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from httpx import AsyncClient

from seawall import Service
from seawall.clock import Clock, SystemRandom
from seawall.testing.client import client
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
async def http(manual_clock: ManualClock) -> AsyncIterator[AsyncClient]:
    """A client of the service, on the clock's own time."""
    async with client(create(manual_clock)) as made:
        yield made


async def test_an_hour_passes_at_once(http: AsyncClient) -> None:
    """The clock stood at midnight."""
    answer = await http.get("/bake/1")

    assert answer.json() == "01:00"


async def test_three_hours_are_too_long(http: AsyncClient) -> None:
    """The deadline is at two hours."""
    answer = await http.get("/bake/3")

    assert answer.status_code == 504


async def test_two_cakes_take_as_long_as_one(http: AsyncClient) -> None:
    """Both wait at the same time."""
    answers = await asyncio.gather(http.get("/bake/1"), http.get("/bake/1"))

    assert [answer.json() for answer in answers] == ["01:00", "01:00"]


# endregion
