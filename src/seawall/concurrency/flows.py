"""What flows through channels: given to several, held back, calmed down, put together.

None of these has a task of its own: they run in the task of whoever iterates over them, and end with it. An item that
has been taken from a channel and not been given on when that task is cancelled goes back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Generic, Literal, TypeVar

from seawall.clock import Clock, SystemClock
from seawall.concurrency.channel import Channel, ChannelClosed, select
from seawall.concurrency.checks import choice, duration, whole

__all__ = ["Broadcast", "batch", "debounce", "throttle"]

T = TypeVar("T")


class Broadcast(Generic[T]):
    """Gives each item to every subscriber, each of which has a channel of its own.

    Args:
        when_full: What happens where a subscriber's channel is full: ``wait`` for it, and so for the slowest of them;
            ``drop`` its oldest item; ``close`` its channel.

    Raises:
        DeclarationError: *when_full* is none of them.
    """

    def __init__(self, when_full: Literal["wait", "drop", "close"] = "wait") -> None:
        choice("Broadcast", "when_full", when_full, ("wait", "drop", "close"))
        self.when_full = when_full
        self.dropped = 0
        """Items that were dropped, and subscribers that were closed."""
        self._subscribers: list[Channel[T]] = []

    def subscribe(self, capacity: int = 16) -> Channel[T]:
        """Return a new channel that gets every item from now on; close it to leave."""
        whole("Broadcast", "capacity", capacity)
        channel: Channel[T] = Channel(capacity)
        self._subscribers.append(channel)
        return channel

    async def send(self, item: T) -> None:
        """Give *item* to every subscriber. Cancelled while it waits for one, those after that one do not get it."""
        self._subscribers = [channel for channel in self._subscribers if not channel.closed]
        for channel in list(self._subscribers):
            if channel.closed or channel.try_send(item):
                continue
            if self.when_full == "wait":
                try:
                    await channel.send(item)
                except ChannelClosed:
                    continue  # it left while it was waited for
            elif self.when_full == "drop":
                await channel.receive()
                channel.try_send(item)
                self.dropped += 1
            else:
                channel.close()
                self.dropped += 1

    def close(self) -> None:
        """Close every subscriber's channel."""
        for channel in self._subscribers:
            channel.close()


async def throttle(source: Channel[T], every: float | str, *, clock: Clock | None = None) -> AsyncIterator[T]:
    """Give the items of *source*, at most one *every* so many seconds; what comes faster waits in the channel."""
    time, pause = clock or SystemClock(), duration("throttle", "every", every)
    due = time.monotonic()
    async for item in source:
        now = time.monotonic()
        if now < due:
            try:
                await time.sleep(due - now)
            except asyncio.CancelledError:
                source.put_back(item)
                raise
        due = max(now, due) + pause
        yield item


async def debounce(source: Channel[T], quiet: float | str, *, clock: Clock | None = None) -> AsyncIterator[T]:
    """Give the last item of *source* each time nothing has come for *quiet* seconds; those before it are dropped."""
    pause = duration("debounce", "quiet", quiet)
    async for item in source:
        last = item
        while True:
            try:
                _, last = await select(source, timeout=pause, clock=clock)
            except (TimeoutError, ChannelClosed):
                break
            except asyncio.CancelledError:
                source.put_back(last)
                raise
        yield last


async def batch(
    source: Channel[T], size: int, within: float | str, *, clock: Clock | None = None
) -> AsyncIterator[list[T]]:
    """Give the items of *source* in lists: as soon as there are *size*, or *within* so many seconds of the first.

    Raises:
        DeclarationError: *size* is less than 1, or *within* is no duration of more than 0.
    """
    time, longest = clock or SystemClock(), duration("batch", "within", within)
    whole("batch", "size", size)
    async for first in source:
        items, due = [first], time.monotonic() + longest
        try:
            while len(items) < size and (left := due - time.monotonic()) > 0:
                items.append((await select(source, timeout=left, clock=clock))[1])
        except (TimeoutError, ChannelClosed):
            pass
        except asyncio.CancelledError:
            for item in reversed(items):
                source.put_back(item)
            raise
        yield items
