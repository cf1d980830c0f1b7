"""A gate: lets as many calls through at once as there may be, lets some wait, and refuses the rest."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from seawall.admission.baseline import Baseline
from seawall.admission.gradient import Gradient, GradientOptions, Phase, Reading
from seawall.admission.lag import Lag
from seawall.admission.overload import Overload, State
from seawall.admission.queue import FairQueue, Waiter
from seawall.admission.state import GateState
from seawall.call import Call
from seawall.clock import Clock, Random, Timer
from seawall.problems import Overloaded

__all__ = ["PRIORITIES", "Gate", "GateOptions"]

PRIORITIES = ("sheddable", "normal", "critical")
"""By rank, the first to be refused first."""
SHEDDABLE, NORMAL, CRITICAL = range(3)
RESERVE = 4
"""Critical calls may exceed a limit that was found out by one part in this many, and one call: then they need not wait
until one of the others has ended."""
WINDOW = 0.1
"""Seconds a window has at the least: and as long as a call takes, so that it shows what the last change has done."""
ENOUGH = 20
"""Calls a window has, unless it takes `LONG` to see so many; and one that measures has `MEASURED`."""
MEASURED = 60
LONG = 1.0
SLOWER = 2.0
"""How many times as long as without load calls take, besides the seconds, where waiting is harmful."""
HARMFUL = 2
"""Windows in a row that must show it."""
SPARE = 4
"""Places in the queue besides twice those of the calls that will end in time, on average."""
TURNS = 10.0
"""How many times a call waits for the event loop, at a guess: so much of its latency is the loop's, which has `Lag`."""
RETRY_SECONDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class GateOptions:
    """How a gate works.

    Args:
        name: The guard's name.
        limit: Calls at once; 0 to find it out.
        gradient: How it is found out.
        queue: Calls that may wait.
        wait: Seconds they may wait.
        harm: Seconds by which calls must be slower than without load before a limit that is found out is kept.
    """

    name: str
    limit: int = 0
    gradient: GradientOptions = field(default_factory=GradientOptions)
    queue: int = 256
    wait: float = 0.015
    harm: float = 0.5


class Gate:
    """Counts the calls that run, and decides about those that are too many.

    A plan compares and counts by itself while there is room: see `seawall.plan.admission`. The rest is here.

    Args:
        clock: What time it is.
        random: Spreads the times at which refused callers come back.
        options: How it works.
        priority: Returns the name of a call's priority, or None for what its policy says.
        caller: Returns what stands for a call's caller.
    """

    __slots__ = (
        "_caller",
        "_clock",
        "_gradient",
        "_harmful",
        "_hit",
        "_latency",
        "_lifted",
        "_opened",
        "_overload",
        "_priority",
        "_queue",
        "_random",
        "_timer",
        "baselines",
        "in_flight",
        "lag",
        "late_critical",
        "late_normal",
        "late_sheddable",
        "look_at",
        "most_critical",
        "most_normal",
        "most_sheddable",
        "options",
        "shed",
        "waiting",
    )

    def __init__(
        self,
        clock: Clock,
        random: Random,
        options: GateOptions,
        *,
        priority: Callable[[Call], str | None],
        caller: Callable[[Call], object],
    ) -> None:
        self._clock = clock
        self._random = random
        self._priority = priority
        self._caller = caller
        self.in_flight = 0
        """Calls that run."""
        self.waiting = 0
        """Calls that wait."""
        self.shed: Counter[tuple[str, str]] = Counter()
        self.baselines: list[Baseline] = []
        self.lag: Lag | None = None
        self.late_sheddable = self.late_normal = self.late_critical = float("inf")
        self._queue = FairQueue(options.queue)
        self._timer: Timer | None = None
        self._latency = 0.0
        self._hit = False
        self._opened = clock.monotonic()
        self.look_at = float("inf")
        """When the plan that ends a call is to call `look`."""
        self._gradient: Gradient | None = None
        self._overload = Overload()
        self._harmful = 0
        self._lifted = 0
        self.configure(options)

    def configure(self, options: GateOptions) -> None:
        """Work by *options* from now on; what was found out stays."""
        self.options = options
        self._queue.size = options.queue
        if options.limit:
            self._gradient = None
            self.look_at = float("inf")
        elif self._gradient is None:
            self._gradient = Gradient(options.gradient)
            self._open(self._clock.monotonic())
        else:
            self._gradient.options = options.gradient
        self._apply()

    @property
    def limit(self) -> int:
        """Calls that may run at once; the most there may be while none is refused."""
        return self.most_normal

    @property
    def state(self) -> GateState:
        """What it is doing."""
        return GateState(
            limit=self.limit,
            in_flight=self.in_flight,
            waiting=self.waiting,
            shed=dict(self.shed),
            latency=self._latency,
            measuring=self._gradient is not None and self._gradient.phase is not Phase.FOLLOWING,
            overloaded=any(each.state is not State.CALM for each in self._overloads()),
        )

    def watch_lag(self, target: float) -> None:
        """Refuse calls that have waited for the event loop for too long, until `close`."""
        options = self.options
        self.lag = Lag(self._clock, target, options.harm, options.gradient.least, self._late_from)
        self.lag.start()

    def close(self) -> None:
        """Take timers back."""
        if self.lag is not None:
            self.lag.stop()
            self.lag = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def enter(self, call: Call, rank: int, now: float) -> float:
        """Count *call* in, at once or when its turn has come.

        Args:
            call: The call, which a plan found too late or one too many.
            rank: The priority its policy gives it.
            now: The time.

        Returns:
            When it began to run.

        Raises:
            Overloaded: It may not run.
        """
        rank = self.pass_by(call, rank, now)
        if self.in_flight < self._most(rank):
            self.in_flight += 1
            return now
        if self._overload.state is State.TRYING and self._gradient is not None:
            self._overload.harmed(now)
            self._gradient.resume(now)
            self._apply()
        self._hit = True
        if rank == SHEDDABLE:
            raise self._refuse(rank, "full")
        waiter = Waiter(rank, self._caller(call), now + self.options.wait, asyncio.get_running_loop().create_future())
        displaced = self._queue.push(waiter)
        if displaced is waiter:
            raise self._refuse(rank, "full")
        if displaced is not None:
            displaced.turn.set_result(False)
        self.waiting = len(self._queue)
        if self._timer is None:
            self._timer = self._clock.call_later(self.options.wait, self._expire)
        await self._turn(waiter)
        return self._clock.monotonic()

    def pass_by(self, call: Call, rank: int, now: float) -> int:
        """Let *call* pass if it has not waited for too long; it is not counted. Return its rank.

        Raises:
            Overloaded: It has.
        """
        named = self._priority(call)
        if named is not None:
            rank = PRIORITIES.index(named)
        lag = self.lag
        if lag is not None:
            if lag.resting:
                lag.arm(now)
            elif now > (self.late_sheddable, self.late_normal, self.late_critical)[rank] and lag.refuses(rank, now):
                raise self._refuse(rank, "lag")
        return rank

    def wake(self) -> None:
        """Give what is free to those who wait; called by the plan when a call has ended."""
        queue = self._queue
        while len(queue) and self.in_flight < self._most(queue.highest):
            waiter = queue.pop()
            self.in_flight += 1
            waiter.turn.set_result(True)
        self.waiting = len(queue)

    def cut(self, baseline: Baseline, began: float) -> None:
        """Note a call that did not end well: a queue in which every call's time runs out must not pass unseen."""
        now = self._clock.monotonic()
        baseline.cut(now - began)
        if now > self.look_at:
            self.look(now)

    def look(self, now: float) -> None:
        """Close the window and adjust the limit, when it is time."""
        gradient = self._gradient
        if gradient is None:
            return
        if gradient.phase is Phase.DRAINING:
            if gradient.drained(now, self.in_flight):
                self._open(now)
            else:
                self.look_at = now + WINDOW / 10
            return
        count = sum(each.count for each in self.baselines)
        spent = sum(each.spent for each in self.baselines)
        lasted = now - self._opened
        enough = MEASURED if gradient.phase is Phase.MEASURING else ENOUGH
        if count < enough and lasted < LONG:
            self.look_at = now + WINDOW / 10
            return
        if count:
            self._read(gradient, now, count, spent, lasted)
        self._open(now)
        self._apply()

    def _read(self, gradient: Gradient, now: float, count: int, spent: float, lasted: float) -> None:
        seen = [each for each in self.baselines if each.count]
        if gradient.phase is Phase.MEASURING:
            before = sum(each.mean * each.count for each in seen)
            for each in seen:
                each.measured()
            gradient.measured(now, before, sum(each.mean * each.count for each in seen))
            return
        known = [(each.expected(), each) for each in seen]
        expected = sum(seconds for seconds, _ in known)
        taken = sum(each.spent for seconds, each in known if seconds)
        if not expected or not taken:
            return
        self._latency = taken / expected
        latency = spent / count
        least = latency / self._latency
        if self.lag is not None:  # what the loop has to answer for is not held against what is behind it
            latency = max(min(latency, least), latency - TURNS * self.lag.mean)
        served = sum(each.mean * (each.count - each.cuts) for each in seen) / lasted
        reading = Reading(now, latency, least, spent / lasted, served, self._hit)
        overload = self._overload
        if overload.state is State.CALM:
            self._watch(gradient, reading, seen)
        elif overload.state is State.SHEDDING:
            gradient.follow(reading)
            if self._hit:
                overload.refused(now)
            # More than come to an end meanwhile would wait in vain.
            turns = SPARE + int(2 * self.options.wait * (count - sum(each.cuts for each in seen)) / lasted)
            self._queue.size = min(self.options.queue, turns)
            if gradient.phase is Phase.FOLLOWING and overload.update(now) is State.TRYING:
                self._lifted = int(gradient.level + self.options.harm * count / lasted)
        else:
            overload.update(now)

    def _watch(self, gradient: Gradient, reading: Reading, seen: list[Baseline]) -> None:
        """See whether calls wait harmfully long."""
        slower = reading.latency > SLOWER * reading.expected
        harmful = slower and reading.latency - reading.expected > self.options.harm
        self._harmful = self._harmful + 1 if harmful and reading.running > gradient.options.least else 0
        if self._harmful >= HARMFUL:
            self._harmful = 0
            gradient.start(reading)
            self._overload.harmed(reading.now)
        elif not slower:
            for each in seen:
                each.drift()

    def _open(self, now: float) -> None:
        """Begin a window."""
        spent, count = 0.0, 0
        for each in self.baselines:
            spent, count = spent + each.spent, count + each.count
            each.forget()
        self._opened = now
        self._hit = False
        usual = spent / count if count and self._overload.shedding else 0.0
        self.look_at = now + max(WINDOW, min(LONG, usual))

    def _apply(self) -> None:
        gradient, state = self._gradient, self._overload.state
        if gradient is None:
            self._allow(self.options.limit, self.options.limit)
        elif state is State.SHEDDING:
            # Not lowered for a measurement: critical calls are few, and are not what it is about.
            level = int(gradient.level)
            self._allow(gradient.limit, level + 1 + level // RESERVE)
        else:
            self._queue.size = self.options.queue
            most = gradient.options.most if state is State.CALM else min(self._lifted, gradient.options.most)
            self.most_sheddable = self.most_normal = self.most_critical = most
        self.wake()

    def _allow(self, most: int, critical: int) -> None:
        self.most_sheddable, self.most_normal, self.most_critical = max(1, most * 3 // 4), most, critical

    def _overloads(self) -> list[Overload]:
        return [self._overload, self.lag.overload] if self.lag is not None else [self._overload]

    def _most(self, rank: int) -> int:
        return (self.most_sheddable, self.most_normal, self.most_critical)[rank]

    def _late_from(self, sheddable: float, normal: float, critical: float) -> None:
        self.late_sheddable, self.late_normal, self.late_critical = sheddable, normal, critical

    async def _turn(self, waiter: Waiter) -> None:
        try:
            granted = await waiter.turn
        except asyncio.CancelledError:
            if not waiter.turn.cancelled() and waiter.turn.done() and waiter.turn.result():
                self.in_flight -= 1
                self.wake()
            self._queue.remove(waiter)
            self.waiting = len(self._queue)
            raise
        if not granted:
            raise self._refuse(waiter.priority, "wait")

    def _expire(self) -> None:
        """Refuse those who have waited for too long, and come back for the next."""
        now = self._clock.monotonic()
        self._timer = None
        while (waiter := self._queue.oldest) is not None:
            if waiter.until > now:
                self._timer = self._clock.call_later(waiter.until - now, self._expire)
                break
            self._queue.remove(waiter)
            if not waiter.turn.done():
                waiter.turn.set_result(False)
        self.waiting = len(self._queue)

    def _refuse(self, rank: int, reason: str) -> Overloaded:
        self.shed[PRIORITIES[rank], reason] += 1
        after = 1 + int(self._random.random() * RETRY_SECONDS)
        problem = Overloaded("There is too much to do at the moment.", headers={"retry-after": str(after)})
        problem.guard = self.options.name
        return problem
