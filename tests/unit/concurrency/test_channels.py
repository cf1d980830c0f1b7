"""Channels and what flows through them."""

from __future__ import annotations

import asyncio

import pytest

from seawall.concurrency import Broadcast, Channel, ChannelClosed, batch, debounce, merge, select, throttle
from seawall.problems import DeclarationError
from seawall.testing import ManualClock

pytestmark = pytest.mark.anyio


async def test_items_arrive_in_order_and_senders_wait(manual_clock: ManualClock) -> None:
    for capacity in (0, 1, 5):
        channel: Channel[int] = Channel(capacity)
        most = 0

        async def send(channel: Channel[int] = channel) -> None:
            nonlocal most
            for number in range(50):
                await channel.send(number)
                most = max(most, len(channel))
            channel.close()

        sender = asyncio.create_task(send())
        assert [item async for item in channel] == list(range(50))
        await sender
        assert most <= capacity
        with pytest.raises(ChannelClosed):
            await channel.send(1)
        with pytest.raises(ChannelClosed):
            await channel.receive()


async def test_closing_wakes_all_and_loses_nothing(manual_clock: ManualClock) -> None:
    channel: Channel[int] = Channel(1)
    await channel.send(1)
    senders = [asyncio.create_task(channel.send(number)) for number in (2, 3)]
    await manual_clock.sleep(1)
    channel.close()
    assert all(isinstance(e, ChannelClosed) for e in await asyncio.gather(*senders, return_exceptions=True))
    assert [item async for item in channel] == [1]
    empty: Channel[int] = Channel()
    waiting = [asyncio.create_task(empty.receive()) for _ in range(2)]
    await manual_clock.sleep(1)
    empty.close()
    assert all(isinstance(e, ChannelClosed) for e in await asyncio.gather(*waiting, return_exceptions=True))


async def test_select_takes_from_one_only(manual_clock: ManualClock) -> None:
    one, two, three = Channel[str](1), Channel[str](1), Channel[str](1)
    chosen = asyncio.create_task(select(one, two, three))
    await manual_clock.sleep(1)
    assert two.try_send("b")
    assert one.try_send("a")
    assert await chosen == (two, "b")
    assert await select(three, one) == (one, "a"), "nothing else was taken"
    start = manual_clock.monotonic()
    with pytest.raises(TimeoutError):
        await select(one, two, timeout=3, clock=manual_clock)
    assert manual_clock.monotonic() - start == 3
    waiting = asyncio.create_task(select(one, two, timeout=5, clock=manual_clock))
    await manual_clock.sleep(1)
    one.close()
    with pytest.raises(TimeoutError):
        await waiting
    two.close()
    with pytest.raises(ChannelClosed):
        await select(one, two)


async def test_merge_hears_everybody(manual_clock: ManualClock) -> None:
    one, two = Channel[str](10), Channel[str](10)
    for number in range(3):
        await one.send(f"a{number}")
        await two.send(f"b{number}")
    one.close()
    two.close()
    assert [item async for item in merge(one, two)] == ["a0", "b0", "a1", "b1", "a2", "b2"]


async def test_broadcast(manual_clock: ManualClock) -> None:
    for when_full, slow_gets in (("wait", [0, 1, 2, 3]), ("drop", [2, 3]), ("close", [0, 1])):
        sent: Broadcast[int] = Broadcast(when_full)  # type: ignore[arg-type]
        quick, slow = sent.subscribe(10), sent.subscribe(2)

        async def send(sent: Broadcast[int] = sent) -> None:
            for number in range(4):
                await sent.send(number)
            sent.close()

        sender = asyncio.create_task(send())
        await manual_clock.sleep(1)
        assert [item async for item in slow] == slow_gets
        await sender
        assert [item async for item in quick] == [0, 1, 2, 3]


async def feed(clock: ManualClock, channel: Channel[int], *pauses: float) -> None:
    for number, pause in enumerate(pauses):
        await clock.sleep(pause)
        await channel.send(number)
    channel.close()


async def test_batches_by_size_or_time(manual_clock: ManualClock) -> None:
    channel: Channel[int] = Channel(10)
    feeder = asyncio.create_task(feed(manual_clock, channel, 0, 0, 0, 0, 0, 5, 1, 5))
    found = [items async for items in batch(channel, 3, 2, clock=manual_clock)]
    assert found == [[0, 1, 2], [3, 4], [5, 6], [7]]
    await feeder


async def test_debounce_and_throttle(manual_clock: ManualClock) -> None:
    channel: Channel[int] = Channel(10)
    feeder = asyncio.create_task(feed(manual_clock, channel, 0, 1, 1, 5, 1))
    assert [item async for item in debounce(channel, 2, clock=manual_clock)] == [2, 4]
    await feeder
    channel, start = Channel(10), manual_clock.monotonic()
    feeder = asyncio.create_task(feed(manual_clock, channel, 0, 0, 0, 9))
    times = [manual_clock.monotonic() - start async for _ in throttle(channel, 2, clock=manual_clock)]
    assert times == [0, 2, 4, 9]
    await feeder


async def test_impossible_settings() -> None:
    channel: Channel[int] = Channel()
    for wrong in (-1, True, 1.5):
        with pytest.raises(DeclarationError):
            Channel(wrong)  # type: ignore[arg-type]
    for flow in (batch(channel, 0, 1), batch(channel, 1, 0), debounce(channel, -1), throttle(channel, "x")):
        with pytest.raises(DeclarationError):
            await anext(flow)
    with pytest.raises(DeclarationError):
        Broadcast[int]().subscribe(0)
