"""Lets a running server come to its end without losing a request.

The order: no longer ready → still accepting, while answers end their connections → no longer accepting, and what had
connected by then is answered → streams end → running calls are waited for. What comes after that, background tasks and
resources, is the lifecycle's.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from uvicorn.server import ServerState

from seawall.clock import Clock
from seawall.lifecycle import Budget, Lifecycle
from seawall.lifecycle.budget import CALLS_UNTIL
from seawall.protocol import BoundedProtocol

__all__ = ["Drain", "Listeners"]

NEWCOMER_SECONDS = 1.0
"""How long a connection on which nothing has come yet is waited for, once nothing more is accepted."""
_LOOK_AGAIN, _LOOK_AGAIN_MOST = 0.01, 0.1

logger = logging.getLogger("seawall")


@dataclass(frozen=True, slots=True)
class Listeners:
    """What accepts connections.

    Args:
        sockets: The sockets that listen.
        servers: The event loop's servers on them.
        protocol: Makes the protocol of one connection.
        backlog: Connections that may be waiting to be accepted.
        options: How connections begin: what their TLS handshakes need.
    """

    sockets: Sequence[socket.socket]
    servers: Sequence[asyncio.AbstractServer]
    protocol: Callable[[], asyncio.Protocol]
    backlog: int
    options: Mapping[str, Any] = field(default_factory=dict)

    async def close(self, clock: Clock) -> None:
        """Accept no more, after everything that waits to be accepted has been.

        Closing a socket resets the connections in its queue, whose clients have connected and may have sent their
        request. So the queue is kept open by a second descriptor while the event loop lets go of the first, and is
        emptied before it is closed.
        """
        kept = [each.dup() for each in self.sockets]
        for server in self.servers:
            server.close()
        for each in self.sockets:
            each.close()
        await clock.sleep(0)  # the event loop closes its own handle in its next round
        await clock.sleep(0)
        for each in kept:
            with each:
                await self._empty(each)

    async def _empty(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        listening.settimeout(0)
        beginning: list[asyncio.Task[Any]] = []
        for _ in range(self.backlog):
            try:
                connection, _address = listening.accept()
            except (BlockingIOError, ConnectionAbortedError, InterruptedError):
                break
            except OSError as error:  # too many open files, most likely: those that wait cannot be helped
                logger.warning("connections that wait could not be accepted: %s", error)
                break
            connection.settimeout(0)
            begun = loop.connect_accepted_socket(self.protocol, connection, **self.options)
            beginning.append(asyncio.ensure_future(begun))
        if beginning:
            # With TLS each of them waits for its handshake, which none of the others shall wait for.
            await asyncio.wait(beginning, timeout=NEWCOMER_SECONDS)
        for each in beginning:
            if each.done() and not each.cancelled():
                each.exception()  # its client has gone, or never spoke TLS
            else:
                each.cancel()


class Drain:
    """The drain of one server.

    Args:
        state: Its connections and tasks.
        lifecycle: The service's.
        protocol: The class of its connections.
        clock: What time it is.
        grace: Seconds for which connections are still accepted.
        running: Tells which calls are running.
        arriving: Tells whether a connection is accepted and not among the state's yet: in its TLS handshake.
    """

    def __init__(
        self,
        state: ServerState,
        lifecycle: Lifecycle,
        protocol: type[BoundedProtocol],
        clock: Clock,
        grace: float,
        running: Callable[[], set[asyncio.Task[Any]]],
        arriving: Callable[[], bool] = bool,
    ) -> None:
        self._state = state
        self._lifecycle = lifecycle
        self._protocol = protocol
        self._clock = clock
        self._grace = grace
        self._running = running
        self._arriving = arriving

    def begin(self, seconds: float) -> Budget:
        """Be no longer ready, and let answers end their connections; return the budget. Does so once."""
        budget = self._lifecycle.budget
        if budget is not None:
            return budget
        budget = self._lifecycle.begin_drain(seconds)
        self._protocol.begin_drain()
        for connection in self._connections():
            connection.farewell()
        logger.info("stopping", extra={"open_connections": len(self._state.connections)})
        return budget

    async def run(self, seconds: float, listeners: Listeners) -> None:
        """Accept for the grace period, then no more; end streams; wait until calls and connections have ended."""
        budget = self.begin(seconds)
        await budget.pause(self._grace)
        await listeners.close(self._clock)
        await self._lifecycle.end_streams()
        for each in list(self._state.connections):
            if not isinstance(each, BoundedProtocol):
                each.shutdown()  # a WebSocket that no hook has ended: 1012
        await self._wait(budget)
        for connection in self._connections():
            if not self._task_of(connection):
                # Half a request, or an answer that nobody reads.
                self._lifecycle.cut.connections += 1
                connection.transport.abort()

    async def _wait(self, budget: Budget) -> None:
        pause = _LOOK_AGAIN
        newcomers_until = budget.spent + NEWCOMER_SECONDS
        while True:
            is_late = budget.hurried or budget.spent >= newcomers_until
            for connection in self._connections():
                if connection.resting or (is_late and connection.untouched):
                    connection.transport.close()
            await self._clock.sleep(0)  # those that were closed are gone after one round
            coming = not is_late and self._arriving()
            if not (self._state.connections or self._running() or coming) or budget.left(CALLS_UNTIL) <= 0:
                return
            await budget.pause(min(pause, budget.left(CALLS_UNTIL)))
            pause = min(pause * 1.5, _LOOK_AGAIN_MOST)

    def _connections(self) -> list[BoundedProtocol]:
        return [each for each in self._state.connections if isinstance(each, BoundedProtocol)]

    def _task_of(self, connection: BoundedProtocol) -> bool:
        """Return whether a call is running for *connection*: then the call is what is cut."""
        cycle: Any = connection.cycle
        return cycle is not None and not cycle.response_complete and not cycle.more_body
