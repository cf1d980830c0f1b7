"""Faults that can be switched on in a running service: it is slow, fails, refuses, or breaks off in the middle."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from seawall import Call, Guard, Place, Problem, Service, Unavailable
from seawall.clock import Clock, Random

__all__ = ["Broken", "Faults", "Faulty", "faulty"]

Share = Annotated[float, Meta(ge=0, le=1)]
App = Callable[[Any, Any, Any], Awaitable[None]]


class Faults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What goes wrong with requests, each of which meets at most one of the last three.

    Args:
        latency: Seconds before anything else happens.
        errors: Share of requests that get 500.
        refusals: Share that get 503 with ``Retry-After``.
        cuts: Share whose work is done, and whose answer ends in its middle.
    """

    latency: Annotated[float, Meta(ge=0, le=60)] = 0.0
    errors: Share = 0.0
    refusals: Share = 0.0
    cuts: Share = 0.0

    def __post_init__(self) -> None:
        if self.errors + self.refusals + self.cuts > 1:
            raise ValueError("errors, refusals and cuts are shares of the requests; together they are at most 1")


class Broken(Problem):
    """500: something is switched to fail."""

    status = 500
    type = "urn:problem-type:providers:broken"
    title = "Broken on purpose"


class Faulty(Guard):
    """Lets the present faults happen to calls; what is to be cut is marked for `_Cutting`."""

    name = "faults"
    place = Place.ARRIVE
    problems: ClassVar[tuple[type[Problem], ...]] = (Broken, Unavailable)

    def __init__(self, clock: Clock, random: Random) -> None:
        self.now = Faults()
        self._clock = clock
        self._random = random

    async def check(self, call: Call) -> None:
        """Let it happen."""
        faults = self.now
        if faults.latency:
            await self._clock.sleep(faults.latency)
        chance = self._random.random()
        if chance < faults.errors:
            raise Broken
        if chance < faults.errors + faults.refusals:
            raise Unavailable("Refused on purpose.", headers={"Retry-After": "1"})
        if chance < faults.errors + faults.refusals + faults.cuts:
            call.add_header(_CUT.decode(), "yes")


_CUT = b"x-fault-cut"


class _Cutting:
    """Sends half of an answer that is marked, and no more: the server then closes the connection."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        cut = False

        async def pass_on(message: Any) -> None:
            nonlocal cut
            if message["type"] == "http.response.start":
                cut = any(name == _CUT for name, _ in message["headers"])
            elif cut:
                body = message.get("body", b"")
                message = {"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True}
            await send(message)

        await self._app(scope, receive, pass_on)


def faulty(service: Service) -> Faulty:
    """Give *service* the operations that switch faults; return the guard that lets them happen to others."""
    guard = Faulty(service.clock, service.random)
    service.middleware(_Cutting)

    @service.get("/faults", tags=["Faults"])
    async def read_faults() -> Faults:
        """Return what goes wrong now."""
        return guard.now

    @service.put("/faults", tags=["Faults"])
    async def switch_faults(faults: Faults) -> Faults:
        """Let something else go wrong from now on; `{}` for nothing."""
        guard.now = faults
        return faults

    return guard
