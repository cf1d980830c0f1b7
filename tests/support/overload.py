"""A service in front of a backend with few slots, and callers who do not wait for each other: in virtual time.

Everything is drawn from a seed: when calls come, and how long the backend takes for each.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from seawall import DeadlineExceeded, Overloaded, Service
from seawall.clock import SystemRandom
from seawall.settings import AdmissionSettings, ServiceSettings, Settings
from seawall.testing import ManualClock
from support.exchange import exchange

SERVICE_SECONDS = (0.05, 0.15)
MEAN = sum(SERVICE_SECONDS) / 2
PATIENCE = 0.5
"""Seconds after which an answer is of no use to its caller any more."""


class Backend:
    """Serves *slots* calls at a time, the others in the order in which they came."""

    def __init__(self, clock: ManualClock, chance: random.Random, slots: int) -> None:
        self._clock = clock
        self._chance = chance
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._busy = 0
        self.slots = slots

    async def __call__(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._serve()
        try:
            await turn
            await self._clock.sleep(self._chance.uniform(*SERVICE_SECONDS))
        finally:
            if turn.done() and not turn.cancelled():
                self._busy -= 1
                self._serve()

    def _serve(self) -> None:
        while self._waiting and self._busy < self.slots:
            turn = self._waiting.popleft()
            if not turn.done():
                self._busy += 1
                turn.set_result(None)


@dataclass
class Outcome:
    """What callers saw once the service had had time to settle.

    Args:
        sent: Calls, by operation.
        good: Answers that came in time to be of use, by operation.
        latencies: Seconds of all successes.
        refusals: Seconds until a refusal.
        health: Statuses of health probes.
        limits: The limit, ten times a second, with the time.
        seconds: For how long it was watched.
    """

    seconds: float
    sent: Counter[str] = field(default_factory=Counter)
    good: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    refusals: list[float] = field(default_factory=list)
    health: Counter[int] = field(default_factory=Counter)
    limits: list[tuple[float, int]] = field(default_factory=list)

    @property
    def goodput(self) -> float:
        return self.good.total() / self.seconds

    @property
    def p99(self) -> float:
        return sorted(self.latencies)[int(len(self.latencies) * 0.99)]


@dataclass(frozen=True)
class Load:
    """What happens.

    Args:
        seed: Chance.
        slots: Of the backend.
        factor: Calls that come, as a multiple of what the backend can do.
        seconds: For how long.
        settle: Seconds before anything is noted.
        changes: Slots of the backend from a time on.
        shares: Operations and their part of the calls.
        options: Settings of admission.
        callers: Who calls: the number that a call carries as its credential.
    """

    seed: int
    slots: int
    factor: float
    seconds: float
    settle: float = 0.0
    changes: Mapping[float, int] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=lambda: {"normal": 1.0})
    options: Mapping[str, Any] = field(default_factory=dict)


def run(load: Load) -> Outcome:
    """Let it happen."""
    clock = ManualClock(max_jumps=100_000_000)
    with asyncio.Runner(loop_factory=clock.loop_factory) as runner:
        return runner.run(_run(load, clock))


async def _run(load: Load, clock: ManualClock) -> Outcome:
    chance = random.Random(load.seed)
    backend = Backend(clock, chance, load.slots)
    app = _service(load, clock, backend)
    outcome = Outcome(load.seconds - load.settle)
    begin = clock.monotonic()
    tasks: set[asyncio.Task[None]] = set()

    def since() -> float:
        return clock.monotonic() - begin

    def spawn(work: Any) -> None:
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    changes, watched = dict(load.changes), 0.0
    async with app.running():
        while since() < load.seconds:
            await clock.sleep(chance.expovariate(load.factor * load.slots / MEAN))
            for moment in [moment for moment in changes if moment <= since()]:
                backend.slots = changes.pop(moment)
            (name,) = chance.choices(list(load.shares), list(load.shares.values()))
            spawn(_call(app, name, clock, outcome if since() >= load.settle else None))
            if since() >= watched:
                watched += 0.1
                state = app.admission.state().service
                if state is not None and not state.measuring:
                    outcome.limits.append((since(), state.limit))
                spawn(_probe(app, outcome))
        await asyncio.gather(*tasks)
        state = app.admission.state().service
        assert state is None or (state.in_flight, state.waiting) == (0, 0)
    return outcome


def _service(load: Load, clock: ManualClock, backend: Callable[[], Any]) -> Service:
    settings = Settings(
        admission=AdmissionSettings(**{"enabled": True, **load.options}), service=ServiceSettings(docs=False)
    )
    app = Service("overloaded", clock=clock, random=SystemRandom(load.seed), settings=settings)
    for name in ("critical", "normal", "sheddable"):

        async def work() -> None:
            await backend()

        app.operation(name, priority=name, timeout=1)(work)
    return app


async def _call(app: Service, name: str, clock: ManualClock, outcome: Outcome | None) -> None:
    began, good, latency, refusal = clock.monotonic(), False, None, None
    try:
        await app.call(name)
        latency = clock.monotonic() - began
        good = latency <= PATIENCE
    except Overloaded:
        refusal = clock.monotonic() - began
    except DeadlineExceeded:
        pass
    if outcome is None:
        return
    outcome.sent[name] += 1
    outcome.good[name] += good
    if latency is not None:
        outcome.latencies.append(latency)
    if refusal is not None:
        outcome.refusals.append(refusal)


async def _probe(app: Service, outcome: Outcome) -> None:
    outcome.health[(await exchange(app, "GET", "/health/live")).status] += 1
