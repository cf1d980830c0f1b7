"""Holds the app-scoped resources of a running service: started in order, closed in reverse, each within its time.

A resource that is an async generator lives in a task of its own, from its first line to its last. So its two halves
run in one task, as cancel scopes and task groups demand; and one that neither starts nor ends, whatever it does with
its cancellation, is left behind with its name in the log, instead of holding up everything else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from seawall.lifecycle.budget import LEAST_PATIENCE, Budget
from seawall.problems import ConfigurationError
from seawall.resources import Kind, Resource, Resources, show

__all__ = ["HeldResources"]

logger = logging.getLogger("seawall")


class _Held:
    """One resource that has an end, and the task it lives in."""

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        self.stop = asyncio.Event()
        self.started: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.task: asyncio.Task[None]

    def launch(self, arguments: Mapping[str, Any]) -> None:
        """Begin to live."""
        self.task = asyncio.get_running_loop().create_task(
            self._live(arguments), name=f"resource {show(self.resource.type)}"
        )

    async def _live(self, arguments: Mapping[str, Any]) -> None:
        async with self.resource.open(arguments) as value:
            self.started.set_result(value)
            await self.stop.wait()

    async def give_up(self, seconds: float) -> bool:
        """Cancel it and wait for *seconds*; return whether it has ended."""
        self.task.cancel()
        await asyncio.wait({self.task}, timeout=seconds)
        return self.task.done()


class HeldResources:
    """The app-scoped resources of one run of a service.

    Args:
        resources: What was declared; their values go into ``resources.values``.
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._held: list[_Held] = []
        self.given_up: list[str] = []
        """Those that did not end in time, by name."""

    async def start(self) -> None:
        """Make every app-scoped resource, each after those it needs, and each within its `start_timeout`.

        Raises:
            ConfigurationError: One could not be made; those made before it are closed again.
        """
        values = self._resources.values
        try:
            for resource in self._resources.order():
                if resource.scope == "app":
                    arguments = {name: values[kind] for name, kind in resource.needs}
                    values[resource.type] = await self._start(resource, arguments)
        except BaseException:
            await self._stop_all(None)
            raise

    async def stop(self, budget: Budget) -> None:
        """Close every resource in reverse, each within its `stop_timeout` and what is left of *budget*.

        One that does not end is given up and named in the log and in `given_up`; the others are closed all the same.

        Raises:
            Exception: What the first one that could not be closed raised, once all have been tried.
        """
        errors = await self._stop_all(budget)
        for other in errors[1:]:
            errors[0].add_note(f"and then: {type(other).__name__}: {other}")
        if errors:
            raise errors[0]

    def lost(self) -> tuple[str, ...]:
        """Return the names of resources that have ended while the service still needs them."""
        return tuple(show(each.resource.type) for each in self._held if each.task.done())

    async def _start(self, resource: Resource, arguments: Mapping[str, Any]) -> Any:
        if resource.kind is Kind.PLAIN:
            try:
                return resource.factory(**arguments)
            except ConfigurationError:
                raise
            except Exception as error:
                raise _not_started(resource, error) from error
        each = _Held(resource)
        each.launch(arguments)
        limit = resource.start_timeout
        try:
            await asyncio.wait({each.task, each.started}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await each.give_up(LEAST_PATIENCE)
            raise
        if each.started.done():
            if resource.kind is Kind.GENERATOR:
                self._held.append(each)
                each.task.add_done_callback(lambda _: self._note_end(each))
            else:
                each.stop.set()  # made, and nothing to give back
            return each.started.result()
        if each.task.done():
            cause = None if each.task.cancelled() else each.task.exception()
            if isinstance(cause, ConfigurationError):
                raise cause
            raise _not_started(resource, cause or asyncio.CancelledError("it was cancelled")) from cause
        await each.give_up(LEAST_PATIENCE)
        raise ConfigurationError(
            f"{resource.where} did not start within {limit:g} s. Look at what it waits for, or give it longer with "
            "@service.resource(start_timeout=…)."
        )

    def _note_end(self, each: _Held) -> None:
        if each.stop.is_set():
            return
        error = None if each.task.cancelled() else each.task.exception()
        logger.error("%s ended while the service needs it", each.resource.where, exc_info=error)

    async def _stop_all(self, budget: Budget | None) -> list[Exception]:
        self._resources.values.clear()
        errors: list[Exception] = []
        while self._held:
            each = self._held.pop()
            each.stop.set()
            error = await self._stop(each, budget)
            if error is not None:
                logger.error("%s could not be closed", each.resource.where, exc_info=error)
                errors.append(error)
        return errors

    async def _stop(self, each: _Held, budget: Budget | None) -> Exception | None:
        limit = each.resource.stop_timeout
        if budget is not None:
            # Half of what is left at the most, so that one which never ends leaves time for the others.
            limit = min(limit, max(budget.left() / 2, LEAST_PATIENCE))
        await asyncio.wait({each.task}, timeout=limit)
        if not each.task.done():
            self.given_up.append(show(each.resource.type))
            ended = await each.give_up(min(limit, LEAST_PATIENCE))
            way = "was cancelled" if ended else "was given up: it does not end when it is cancelled either"
            logger.error("%s did not stop within %g s and %s", each.resource.where, round(limit, 2), way)
            return None
        if each.task.cancelled():
            return None
        error = each.task.exception()
        return error if isinstance(error, Exception) else None


def _not_started(resource: Resource, error: BaseException) -> ConfigurationError:
    return ConfigurationError(f"{resource.where} did not start: {type(error).__name__}: {error}")
