"""Starts and stops a service inside the server."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, cast

import uvicorn

__all__ = ["Lifespan"]

_MOST_NAMED = 10

logger = logging.getLogger("seawall")


def _cancel_all(calls: set[asyncio.Task[Any]]) -> Iterable[str]:
    for call in calls:
        call.cancel()
    return ()


def _named(operations: Iterable[str]) -> dict[str, str]:
    """Return which *operations* are cut, the most frequent first, as fields of a log line."""
    names = Counter(operations)
    return {"operations": ", ".join(f"{name} x {count}" for name, count in names.most_common(_MOST_NAMED))}


@dataclass(slots=True)
class Lifespan:
    """Starts and stops the service within the server; remembers what went wrong, for one clear message.

    It stands in the place of uvicorn's own, which logs a traceback for every kind of failure.

    Args:
        config: What holds the application.
        state: What the application shares with its requests.
        should_exit: Whether the server must not start.
        failure: What the application raised.
        message: What it reported instead, or before.
        abandoned: Whether its start was given up.
        running: Tells which calls are running.
        cancel: Cancels calls; returns the operations whose they are, as far as that is known.
        patience: Tells the seconds that cancelled calls have to end.
        cancelled: How many calls were cancelled.
    """

    config: uvicorn.Config
    state: dict[str, Any] = field(default_factory=dict)
    should_exit: bool = False
    failure: BaseException | None = None
    message: str = ""
    abandoned: bool = False
    running: Callable[[], set[asyncio.Task[Any]]] = set
    cancel: Callable[[set[asyncio.Task[Any]]], Iterable[str]] = _cancel_all
    patience: Callable[[], float] = lambda: 1.0
    cancelled: int = 0
    _asked: set[asyncio.Task[Any]] = field(default_factory=set)
    _inbox: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)
    _answered: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Start the service; `should_exit` says whether it failed or was abandoned."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="seawall lifespan")
        # One that is cancelled before its first step never comes to its own `finally`.
        self._task.add_done_callback(lambda _: self._answered.set())
        await self._ask("lifespan.startup")
        if self.message:
            await self._task  # most applications raise what they have just reported
        self.should_exit = self.abandoned or self._task.done() or bool(self.message)

    async def shutdown(self) -> None:
        """Stop the service, after the calls that have not ended in time have been cancelled."""
        await self.cancel_calls()
        if self._task is not None and not self._task.done():
            await self._ask("lifespan.shutdown")
            await self._task

    async def cancel_calls(self) -> None:
        """Cancel the calls that are running, once, and give them time to give back what they hold."""
        calls = self.running() - self._asked
        if calls:
            self._asked |= calls
            self.cancelled += len(calls)
            names = _named(self.cancel(calls))
            logger.warning("cancelling %d calls that have not ended in time", len(calls), extra=names)
            # They give back their resources before those are closed.
            await asyncio.wait(calls, timeout=self.patience())

    def abandon(self) -> None:
        """Give up a start that is still going on."""
        self.abandoned = True
        if self._task is not None:
            self._task.cancel()

    async def _ask(self, kind: str) -> None:
        self._answered.clear()
        await self._inbox.put({"type": kind})
        await self._answered.wait()

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        application = cast("Callable[..., Any]", self.config.loaded_app)
        try:
            await application(scope, self._inbox.get, self._send)
        except asyncio.CancelledError:
            if not self.abandoned:
                raise
        except Exception as error:  # noqa: BLE001 - reported by serve()
            self.failure = error
        finally:
            self._answered.set()

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"].endswith(".failed"):
            self.message = str(message.get("message") or "no reason was given")
        self._answered.set()
