"""The order in which a service starts, tells how it is, and ends."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar, overload

from seawall.clock import Clock, Random
from seawall.lifecycle.budget import CALLS_UNTIL, LEAST_PATIENCE, Budget
from seawall.lifecycle.health import Health, check_document
from seawall.lifecycle.held import HeldResources
from seawall.lifecycle.injected import Injected, injected
from seawall.lifecycle.tasks import Backoff, Restart, Tasks
from seawall.problems import DeclarationError
from seawall.resources import Resources

__all__ = ["Cut", "Lifecycle", "Phase"]

Hook = Callable[[], Awaitable[Any]]
H = TypeVar("H", bound=Hook)

logger = logging.getLogger("seawall")


class Phase(StrEnum):
    """Where a service stands in its life."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"


@dataclass(slots=True)
class Cut:
    """What could not end in time when a service stopped.

    Args:
        calls: Calls that were cancelled.
        connections: Connections that were closed with something still to come on them.
        streams: Drain hooks that were cancelled, by name.
        tasks: Background tasks that were cancelled, by name.
        resources: Resources that did not close, by name.
    """

    calls: int = 0
    connections: int = 0
    streams: list[str] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)
    resources: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.calls or self.connections or self.streams or self.tasks or self.resources)

    def __str__(self) -> str:
        counted = [f"{n} {name}{'s' * (n != 1)}" for name in ("call", "connection") if (n := getattr(self, f"{name}s"))]
        named = [
            f"{name}: {', '.join(members)}"
            for name in ("streams", "tasks", "resources")
            if (members := getattr(self, name))
        ]
        return "; ".join([*counted, *named]) or "nothing"


class Lifecycle:
    """The life of one service.

    Args:
        clock: What time it is.
        random: Chance.
    """

    def __init__(self, clock: Clock, random: Random) -> None:
        self._clock = clock
        self.phase = Phase.STOPPED
        self.tasks = Tasks(clock, random)
        self.health = Health(clock)
        self.cut = Cut()
        self.budget: Budget | None = None
        self.colleagues: Callable[[], list[dict[str, Any]]] | None = None
        """Tells how every process that serves this service is, where there are several."""
        self._resources: Resources | None = None
        self._held: HeldResources | None = None
        self._injected: list[Injected] = []
        self._background: list[tuple[Injected, str, Restart, Backoff]] = []
        self._hooks: list[tuple[int, Hook]] = []
        self._hooks_ran = False

    # -- what is declared

    @overload
    def on_drain(self, hook: H, /) -> H: ...

    @overload
    def on_drain(self, /, *, order: int = ...) -> Callable[[H], H]: ...

    def on_drain(self, hook: Any = None, /, *, order: int = 0) -> Any:
        """Call the async function *hook* when the service stops, to end streams in the way of their protocol.

        Hooks run one after another, once no new connection is accepted and before running calls are waited for: those
        with the lowest *order* first, those of one order as they were added. All of them together have 70 % of the
        time there is to stop; one that is late is cancelled, one that raises is logged, and the next one runs.
        """

        def register(function: H) -> H:
            self._hooks.append((order, function))
            return function

        return register if hook is None else register(hook)

    def add_check(self, function: Hook, name: str, timeout: float, cache: float) -> None:
        """Add a check; see `Service.check`.

        Raises:
            DeclarationError: The function cannot be called, the name is taken, or a time impossible.
        """
        made = injected(function, "check")
        if not timeout > 0 or not cache >= 0:
            raise DeclarationError(
                f"{made.where}: timeout={timeout!r} must be more than 0 s, cache={cache!r} 0 or more."
            )
        try:
            self.health.add(name, functools.partial(self._call, made), timeout, cache)
        except KeyError:
            raise DeclarationError(f"{made.where}: there is a check {name!r} already; give one name='…'.") from None
        self._injected.append(made)

    def add_background(self, function: Hook, name: str | None, restart: Restart, backoff: Backoff) -> None:
        """Add work for as long as the service runs; see `Service.background`.

        Raises:
            DeclarationError: The function cannot be called.
        """
        made = injected(function, "background task")
        name = name or str(getattr(function, "__qualname__", type(function).__name__))
        self._background.append((made, name, restart, backoff))
        self._injected.append(made)

    def verify(self, resources: Resources) -> None:
        """Make sure that checks and background work can get what they take.

        Raises:
            DeclarationError: Something is not provided.
        """
        for each in self._injected:
            each.verify(resources)

    # -- how it is

    async def health_of(self, probe: str, *, detail: bool) -> tuple[bool, dict[str, Any]]:
        """Return whether the probe ``live``, ``ready`` or ``startup`` passes, and its document.

        Args:
            probe: Which.
            detail: Whether the document tells what was looked at.
        """
        started = self.phase in (Phase.RUNNING, Phase.DRAINING)
        if probe != "ready":
            passed = probe == "live" or started
            return passed, _health_document(passed, [] if passed or not detail else [str(self.phase)])
        if self.phase is not Phase.RUNNING:
            return False, _health_document(passed=False, notes=[str(self.phase)] if detail else [])
        lost = self._held.lost() if self._held else ()
        results = await self.health.results()
        passed = not lost and all(result.passed for result in results)
        document = _health_document(passed, [f"resource {name} has ended" for name in lost] if detail else [])
        if detail and results:
            document["checks"] = check_document(results)
        if detail and self.colleagues is not None:
            document["workers"] = self.colleagues()
        return passed, document

    # -- how it lives

    @contextlib.asynccontextmanager
    async def holding(self, resources: Resources, seconds: float) -> AsyncIterator[None]:
        """Start the app-scoped resources before the block and close them after it.

        Args:
            resources: What was declared.
            seconds: How long ending may take, where no server has begun it with a budget of its own.

        Raises:
            RuntimeError: The service runs already.
            ConfigurationError: A resource did not start.
        """
        if self.phase is not Phase.STOPPED:
            raise RuntimeError(f"the service is {self.phase} already; it can run once at a time")
        self.phase = Phase.STARTING
        self.cut, self.budget, self._hooks_ran = Cut(), None, False
        self._resources = resources
        held = self._held = HeldResources(resources)
        self.tasks.open()
        try:
            await held.start()
            try:
                yield
            finally:
                try:
                    await held.stop(self.begin_drain(seconds))
                finally:
                    self.cut.resources += held.given_up
        finally:
            self.tasks.close()
            self.phase = Phase.STOPPED
            self._held = None

    @contextlib.asynccontextmanager
    async def running(self, seconds: float) -> AsyncIterator[None]:
        """Be ready for the time of the block; after it, end streams and background work. Within `holding`.

        Args:
            seconds: As for `holding`.
        """
        self.phase = Phase.RUNNING
        self.tasks.begin()
        for made, name, restart, backoff in self._background:
            self.tasks.start(functools.partial(self._call, made), name=name, restart=restart, backoff=backoff)
        try:
            yield
        finally:
            budget = self.begin_drain(seconds)
            await self.end_streams()
            self.cut.tasks += await self.tasks.drain(budget)
            await self.health.close(LEAST_PATIENCE)

    def begin_drain(self, seconds: float) -> Budget:
        """Be no longer ready, and begin to count the time; return the budget. Does so once.

        Args:
            seconds: How long all of it may take.
        """
        self.phase = Phase.DRAINING
        if self.budget is None:
            self.budget = Budget(seconds, self._clock)
        return self.budget

    async def end_streams(self) -> None:
        """Run the hooks of `on_drain`, once."""
        budget = self.budget
        if budget is None or self._hooks_ran:
            return
        self._hooks_ran = True
        for _, hook in sorted(self._hooks, key=lambda item: item[0]):
            await self._run_hook(hook, budget)

    async def _run_hook(self, hook: Hook, budget: Budget) -> None:
        name = str(getattr(hook, "__qualname__", type(hook).__name__))
        task: asyncio.Task[Any] = asyncio.ensure_future(_awaited(hook))
        if await budget.wait({task}, budget.left(CALLS_UNTIL)):
            self.cut.streams.append(name)
            task.cancel()
            await asyncio.wait({task}, timeout=budget.patience)
            logger.warning("drain hook %s has not ended in time", name)
        elif not task.cancelled() and task.exception() is not None:
            logger.error("drain hook %s failed", name, exc_info=task.exception())

    def _call(self, made: Injected) -> Awaitable[Any]:
        return made(self._resources.values if self._resources else {})


async def _awaited(hook: Hook) -> Any:
    return await hook()


def _health_document(passed: bool, notes: list[str]) -> dict[str, Any]:  # noqa: FBT001 - what it is about
    return {"status": "pass" if passed else "fail", **({"notes": notes} if notes else {})}
