"""The pool behind SQLAlchemy's engines, and for those who want the driver alone."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sqlalchemy.engine import URL
from sqlalchemy.pool import ConnectionPoolEntry, Pool
from sqlalchemy.pool.impl import AsyncAdaptedQueuePool
from sqlalchemy.util.concurrency import await_, greenlet_spawn

from seawall.clock import Clock
from seawall.data.backend import Backend, shown_url
from seawall.data.problems import DatabaseUnavailable
from seawall.data.slots import Holder, PoolStats, Slots

__all__ = ["SlotPool", "Target", "Targets"]

logger = logging.getLogger("seawall.data")


@dataclass(slots=True)
class Target:
    """One server a pool may connect to.

    Args:
        url: Where it is.
        fallback: Whether it is used only while none of the others answers.
        arguments: What the driver connects with.
        down_until: Until when it is left alone, on the clock's `monotonic`.
    """

    url: URL
    fallback: bool = False
    arguments: dict[str, Any] = field(default_factory=dict)
    down_until: float = 0.0


class Targets:
    """The servers of one pool: tried in turn, those that did not answer a moment ago last.

    Args:
        targets: The servers.
        retry: Seconds for which one that did not answer is left alone.
        clock: What time it is.
    """

    def __init__(self, targets: Sequence[Target], retry: float, clock: Clock) -> None:
        self._targets = tuple(targets)
        self._retry = retry
        self._clock = clock
        self._turn = 0

    def connect(self, dialect: Any, record: ConnectionPoolEntry, arguments: dict[str, Any]) -> Any:
        """Connect to the first that answers; runs where SQLAlchemy may await.

        Raises:
            DatabaseUnavailable: None of them answers; the cause says why.
        """
        last: Exception | None = None
        for target in self._order():
            places, own = dialect.create_connect_args(target.url)
            target.arguments = {**own, **arguments}
            try:
                connection = dialect.connect(*places, **target.arguments)
            except (dialect.loaded_dbapi.Error, OSError) as error:  # TimeoutError is one of the second
                last = error
                if target.down_until <= self._clock.monotonic():
                    logger.warning("database %s cannot be reached: %s", shown_url(target.url), type(error).__name__)
                target.down_until = self._clock.monotonic() + self._retry
                continue
            target.down_until = 0.0
            record.info["seawall_target"] = target
            # A connection that stands in for another is renewed soon, so that the other gets its work back.
            record.info["seawall_until"] = self._clock.monotonic() + self._retry if target.fallback else None
            return connection
        raise DatabaseUnavailable from last

    def _order(self) -> list[Target]:
        now = self._clock.monotonic()
        self._turn += 1
        first = [target for target in self._targets if not target.fallback]
        turn = self._turn % len(first) if first else 0
        rotated = [*first[turn:], *first[:turn], *(target for target in self._targets if target.fallback)]
        return sorted(rotated, key=lambda target: target.down_until > now)


class SlotPool(AsyncAdaptedQueuePool):
    """A pool whose waits end in time, and that knows who holds what.

    SQLAlchemy makes pools by their class; so each engine has a subclass with what belongs to it.
    """

    slots: ClassVar[Slots]
    backend: ClassVar[Backend]
    clock: ClassVar[Clock]

    def __init__(self, creator: Any, **options: Any) -> None:
        Pool.__init__(self, creator, **options)
        self._idle: list[ConnectionPoolEntry] = []
        self._held: dict[ConnectionPoolEntry, Holder] = {}

    @classmethod
    def of(cls, slots: Slots, backend: Backend, clock: Clock) -> type[SlotPool]:
        """Return the class for one engine."""
        return type("SlotPool", (cls,), {"slots": slots, "backend": backend, "clock": clock})

    @asynccontextmanager
    async def driver(
        self, watched: Callable[[Any], AbstractContextManager[None] | None] = lambda _: None
    ) -> AsyncIterator[Any]:
        """Lend the driver's own connection, outside of any transaction.

        It goes back as it came: one that is left within a transaction, broken or cancelled, is closed.

        Args:
            watched: Returns what the connection of a pool's entry is lent within; None for nothing.

        Raises:
            PoolExhausted: None became free in time.
            DatabaseUnavailable: The database cannot be reached.
        """
        holder = self.slots.take_now() or await self.slots.take()
        record: Any = None
        try:
            record = self._next_alive() or await greenlet_spawn(self._connected)
            watch = watched(record)
            if watch is None:
                yield record.driver_connection
            else:
                with watch:
                    yield record.driver_connection
        except BaseException as error:
            # After an error of a statement the connection is as good as before; after a cancellation it is not.
            if record is not None and not (isinstance(error, Exception) and self._is_good(record)):
                await greenlet_spawn(record.invalidate, error)
            raise
        else:
            if not self._is_good(record):
                await greenlet_spawn(record.invalidate)
        finally:
            if record is not None:
                self._idle.append(record)
            self.slots.give(holder)

    def stats(self) -> PoolStats:
        """Return its numbers."""
        return self.slots.stats(sum(record.dbapi_connection is not None for record in self._idle))

    def _do_get(self) -> ConnectionPoolEntry:
        holder = self.slots.take_now() or await_(self.slots.take())
        try:
            record = self._next_alive() or self._connected()
        except BaseException:
            self.slots.give(holder)
            raise
        self._held[record] = holder
        return record

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        self._idle.append(record)
        self.slots.give(self._held.pop(record))

    def _next_alive(self) -> ConnectionPoolEntry | None:
        """Return the connection that was given back last, if it can be used as it is: the fastest way."""
        if self._idle and self._is_usable(self._idle[-1]):
            return self._idle.pop()
        return None

    def _connected(self) -> ConnectionPoolEntry:
        """Return a connection, opened anew if need be; runs where SQLAlchemy may await."""
        if not self._idle:
            return self._create_connection()
        record: Any = self._idle.pop()
        try:
            if record.dbapi_connection is not None and not self._is_usable(record):
                record.invalidate()
            record.get_connection()
        except BaseException:
            self._idle.append(record)
            raise
        return record  # type: ignore[no-any-return]

    def _is_usable(self, record: Any) -> bool:
        if record.dbapi_connection is None or record._is_hard_or_soft_invalidated():  # noqa: SLF001 - as SQLAlchemy's own
            return False
        until = record.info.get("seawall_until")
        if until is not None and until < self.clock.monotonic():
            return False
        return self.backend.is_alive(record.driver_connection)

    def _is_good(self, record: Any) -> bool:
        connection = record.driver_connection
        return connection is not None and self.backend.is_alive(connection) and self.backend.is_clean(connection)

    def recreate(self) -> SlotPool:
        """Return an empty one."""
        return type(self)(
            self._creator,
            pre_ping=self._pre_ping,
            recycle=self._recycle,
            echo=self.echo,
            logging_name=self._orig_logging_name,
            reset_on_return=self._reset_on_return,
            _dispatch=self.dispatch,
            dialect=self._dialect,
        )

    def dispose(self) -> None:
        """Close what is free."""
        while self._idle:
            self._idle.pop().close()

    def status(self) -> str:
        """Return its numbers for people."""
        return str(self.stats())

    def size(self) -> int:
        """Return how many connections there may be."""
        return self.slots.size

    def checkedin(self) -> int:
        """Return how many connections are free."""
        return self.stats().idle

    def checkedout(self) -> int:
        """Return how many connections are held."""
        return self.stats().in_use

    def overflow(self) -> int:
        """Return how many there are above the size: none."""
        return 0
