"""Channels: a bounded line of items between tasks, that can be closed and waited for several at a time.

Items go from hand to hand: who has waited longest gets the next one, and one that was handed to a task which was
cancelled at that moment goes back to the front of the line.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Generic, TypeVar

from seawall.clock import Clock, SystemClock
from seawall.concurrency.checks import whole
from seawall.problems import SeawallError

__all__ = ["Channel", "ChannelClosed", "merge", "select"]

T = TypeVar("T")
Turn = asyncio.Future[tuple["Channel[Any]", Any]]


class ChannelClosed(SeawallError):
    """The channel is closed: nothing can be sent, and everything that was sent has been received."""


class _Sending(Generic[T]):
    """An item that waits for room."""

    __slots__ = ("item", "turn")

    def __init__(self, item: T, turn: asyncio.Future[None]) -> None:
        self.item = item
        self.turn = turn


class Channel(Generic[T]):
    """A bounded line of items. It belongs to one event loop.

    Args:
        capacity: Items that may wait in it; 0 hands each one over from sender to receiver.

    Raises:
        DeclarationError: The capacity is less than 0.
    """

    __slots__ = ("_closed", "_items", "_senders", "capacity", "receivers")

    def __init__(self, capacity: int = 0) -> None:
        self.capacity = whole("Channel", "capacity", capacity, least=0)
        self._items: deque[T] = deque()
        self.receivers: deque[Turn] = deque()
        """The turns of those that wait for an item: for `select`, which waits in several channels with one."""
        self._senders: deque[_Sending[T]] = deque()
        self._closed = False

    def __len__(self) -> int:
        """How many items wait in it."""
        return len(self._items)

    @property
    def ready(self) -> bool:
        """Whether an item can be received without waiting."""
        return bool(self._items) or self._sender_waits()

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more; what has been sent can still be received."""
        return self._closed

    async def send(self, item: T) -> None:
        """Send *item*; waits while the channel is full. Cancelled while it waits, nothing has been sent.

        Raises:
            ChannelClosed: It is closed, or was closed before there was room.
        """
        if self.try_send(item):
            return
        sending = _Sending(item, asyncio.get_running_loop().create_future())
        self._senders.append(sending)
        try:
            await sending.turn
        except asyncio.CancelledError:
            if sending in self._senders:
                self._senders.remove(sending)
            elif not sending.turn.cancelled():
                sending.turn.exception()  # it was closed at that moment, and nobody is left to be told
            raise

    def try_send(self, item: T) -> bool:
        """Send *item* if there is room now; return whether there was.

        Raises:
            ChannelClosed: It is closed.
        """
        if self._closed:
            raise ChannelClosed("this channel is closed")
        receivers = self.receivers
        while receivers:
            turn = receivers.popleft()
            if not turn.done():
                turn.set_result((self, item))
                return True
        if len(self._items) < self.capacity and not self._sender_waits():
            self._items.append(item)
            return True
        return False

    async def receive(self) -> T:
        """Return the next item; waits while there is none.

        Raises:
            ChannelClosed: It is closed, and everything has been received.
        """
        if self.ready:
            return self.take()
        if self._closed:
            raise ChannelClosed("this channel is closed")
        received: T = (await _turn(asyncio.get_running_loop().create_future(), [self]))[1]
        return received

    def close(self) -> None:
        """Let nothing more be sent. Senders that wait get `ChannelClosed`; receivers get what is left first."""
        if self._closed:
            return
        self._closed = True
        while self._senders:
            turn = self._senders.popleft().turn
            if not turn.done():
                turn.set_exception(ChannelClosed("this channel was closed before there was room"))
        receivers, self.receivers = self.receivers, deque()
        for waiting in receivers:
            if not waiting.done():
                waiting.set_exception(ChannelClosed("this channel is closed"))

    async def __aiter__(self) -> AsyncIterator[T]:
        """Receive until the channel is closed and empty."""
        while True:
            try:
                item = await self.receive()
            except ChannelClosed:
                return
            yield item

    def take(self) -> T:
        """Return the next item, and let the sender that has waited longest put its own in its place: there is one."""
        if not self._items:
            return self._next_sent()
        item = self._items.popleft()
        if len(self._items) < self.capacity and self._sender_waits():
            self._items.append(self._next_sent())
        return item

    def _next_sent(self) -> T:
        sending = self._senders.popleft()
        sending.turn.set_result(None)
        return sending.item

    def _sender_waits(self) -> bool:
        """Whether a sender waits, past those that have been cancelled and not left yet."""
        while self._senders and self._senders[0].turn.done():
            self._senders.popleft()
        return bool(self._senders)

    def put_back(self, item: T) -> None:
        """Put *item*, which was received and is for somebody else, in front of the line, though it be full."""
        while self.receivers:
            turn = self.receivers.popleft()
            if not turn.done():
                turn.set_result((self, item))
                return
        self._items.appendleft(item)


async def select(
    *channels: Channel[Any],
    timeout: float | None = None,  # noqa: ASYNC109 - one of the cases
    clock: Clock | None = None,
) -> tuple[Channel[Any], Any]:
    """Return the channel from which an item comes first, and the item; no other channel loses one.

    Of those that have an item already, the one listed first gives it. Closed and empty channels are passed over.

    Args:
        channels: Where to receive from.
        timeout: Seconds to wait; None for any time.
        clock: By what they pass.

    Raises:
        ChannelClosed: All of them are closed and empty.
        TimeoutError: Nothing came in time.
    """
    for channel in channels:
        if channel.ready:
            return channel, channel.take()
    waiting = [channel for channel in channels if not channel.closed]
    loop = asyncio.get_running_loop()
    turns: list[Turn] = []
    timer = (clock or SystemClock()).call_later(timeout, lambda: _expire(turns[-1])) if timeout is not None else None
    try:
        while waiting:
            turns.append(loop.create_future())
            try:
                return await _turn(turns[-1], waiting)
            except ChannelClosed:
                waiting = [channel for channel in waiting if not channel.closed]
    finally:
        if timer is not None:
            timer.cancel()
    raise ChannelClosed("every channel is closed")


async def _turn(turn: Turn, channels: list[Channel[Any]]) -> tuple[Channel[Any], Any]:
    """Wait for *turn* in all *channels* at once."""
    for channel in channels:
        channel.receivers.append(turn)
    try:
        return await turn
    except asyncio.CancelledError:
        if turn.done() and not turn.cancelled() and turn.exception() is None:
            source, item = turn.result()
            source.put_back(item)
        raise
    finally:
        for channel in channels:
            if turn in channel.receivers:
                channel.receivers.remove(turn)


async def merge(*channels: Channel[T]) -> AsyncIterator[T]:
    """Give what comes from any of *channels*, until all of them are closed and empty."""
    turn = 0
    while True:
        try:
            # Each comes first in its turn, so that a busy one does not keep the others from being heard.
            source, item = await select(*channels[turn:], *channels[:turn])
        except ChannelClosed:
            return
        turn = (channels.index(source) + 1) % len(channels)
        yield item


def _expire(turn: Turn) -> None:
    if not turn.done():
        turn.set_exception(TimeoutError("nothing came in time"))
