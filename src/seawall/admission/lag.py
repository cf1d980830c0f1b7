"""Notices that calls wait for the event loop: what a process that has too much to compute does to them.

Where calls compute and do not wait, few run at once, however many have arrived: they wait in sockets and in the loop's
own queue, and no count of running calls shows it. But timers wait in the same queue. So a timer is set when a call
arrives and no other is set; until it has run, everything beyond its time is time that calls wait too.

What to do about it is DAGOR's rule (Overload Control for Scaling WeChat Microservices, SoCC 2018): 20 ms of waiting are
enough, and less important calls are refused first. But only in an overload (see `Overload`): once calls have waited for
harmfully long in two rounds of the loop, one after the other. One is a burst. And the process must have computed
meanwhile: one that was not given a processor is late as well, but has not too much to do.
"""

from __future__ import annotations

from collections.abc import Callable

from seawall.admission.overload import Overload, State
from seawall.clock import Clock, Timer

__all__ = ["Lag"]

BEAT = 0.005
"""Seconds after which the timer is due."""
GAP = 0.5
"""Seconds after which a round of the loop does not follow the one before any more."""
CRITICAL = 4.0
"""How many times as long critical calls may have waited before they are refused."""
SHEDDABLE = 0.5
SMOOTHING = 0.1
NEVER = float("inf")


class Lag:
    """Says from when on calls have waited for too long.

    Args:
        clock: What time it is.
        target: Seconds that calls may have waited in an overload. Half of it is for waiting in the process, half for
            waiting in front of it: what comes in a round of the loop has waited in sockets while the round before was
            run.
        harm: Seconds of waiting that make it one.
        least: Calls; fewer that have waited for so long are none, whatever each of them takes.
        changed: Called with the times after which calls of each priority (sheddable, normal, critical) may be too late.
    """

    __slots__ = (
        "_again",
        "_armed",
        "_changed",
        "_clock",
        "_computed",
        "_cpu",
        "_harm",
        "_harmed_at",
        "_late",
        "_least",
        "_target",
        "_timer",
        "latest",
        "mean",
        "overload",
    )

    def __init__(
        self, clock: Clock, target: float, harm: float, least: int, changed: Callable[[float, float, float], None]
    ) -> None:
        self._clock = clock
        self._cpu: Callable[[], float] = getattr(clock, "computing", clock.monotonic)
        self._target = target / 2
        self._harm = harm
        self._least = least
        self._changed = changed
        self._timer: Timer | None = None
        self._armed = 0.0
        self._computed = 0.0
        self._late = 0
        self._harmed_at = -NEVER
        self._again = False
        self.overload = Overload()
        self.latest = 0.0
        """Seconds by which the last timer was late."""
        self.mean = 0.0
        """The same on average, of late."""

    def start(self) -> None:
        """Notice the next call."""
        self._changed(-1.0, -1.0, -1.0)

    @property
    def resting(self) -> bool:
        """Whether no timer is set, so that a call that is 'too late' is only the first for a while."""
        return self._timer is None

    def refuses(self, rank: int, now: float) -> bool:
        """Return whether a call of that priority, which began after its time, is to be refused."""
        waited = self._cpu() - self._computed
        overload = self.overload
        if not overload.shedding:
            if waited <= self._harm:
                return False
            self._late += 1
            if overload.state is State.CALM and not (self._again and self._late > self._least):
                return False
            overload.harmed(now)
            self._allow(self._target)
        if waited <= (SHEDDABLE, 1.0, CRITICAL)[rank] * self._target:
            return False
        overload.refused(now)
        return True

    def arm(self, now: float) -> None:
        """Set the timer."""
        self._armed = now
        self._late = 0
        self._again = now - self._harmed_at < GAP
        self._computed = self._cpu()
        self._timer = self._clock.call_later(BEAT, self._beat)
        self._allow(self._target if self.overload.update(now) is State.SHEDDING else self._harm)

    def stop(self) -> None:
        """Take the timer back, and call nothing too late."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._changed(NEVER, NEVER, NEVER)

    def _allow(self, target: float) -> None:
        at = self._armed
        self._changed(at + SHEDDABLE * target, at + target, at + CRITICAL * target)

    def _beat(self) -> None:
        now = self._clock.monotonic()
        self._timer = None
        self.latest = max(0.0, now - self._armed - BEAT)
        self.mean += SMOOTHING * (self.latest - self.mean)
        if self.latest > self._harm and self._cpu() - self._computed > self._harm:
            self._harmed_at = now
        self.start()
