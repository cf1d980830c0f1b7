"""Notices that calls wait for the event loop: what a process that has too much to compute does to them.

Where calls compute and do not wait, few run at once, however many have arrived: they wait in sockets and in the loop's
own queue, and no count of running calls shows it. But timers wait in the same queue. So a timer is set when a call
arrives and no other is set; until it has run, everything beyond its time is time that calls wait too.

What to do about it is DAGOR's rule (Overload Control for Scaling WeChat Microservices, SoCC 2018): more than 20 ms of
waiting is overload, and less important calls are refused first. As in CoDel (RFC 8289) only waiting that lasts counts,
since a burst is none. And the process must have computed meanwhile: one that was not given a processor is late as well,
but has not too much to do.
"""

from __future__ import annotations

from collections.abc import Callable

from seawall.clock import Clock, Timer

__all__ = ["Lag"]

BEAT = 0.005
"""Seconds after which the timer is due."""
GAP = 0.1
"""Seconds after which lateness that has not come again is over."""
LASTING = 0.5
"""Seconds for which timers must have been late before calls are refused."""
CRITICAL = 4.0
"""How many times as long critical calls may have waited before they are refused."""
SHEDDABLE = 0.5
NEVER = float("inf")


class Lag:
    """Says from when on calls have waited for too long.

    Args:
        clock: What time it is.
        target: Seconds that calls may have waited. Half of it is for waiting in the process, half for waiting in front
            of it: what comes in a round of the loop has waited in sockets while the round before was run.
        changed: Called with the times after which calls of each priority (sheddable, normal, critical) may be too late.
    """

    __slots__ = ("_changed", "_clock", "_computed", "_cpu", "_due", "_late_at", "_since", "_target", "_timer", "latest")

    def __init__(self, clock: Clock, target: float, changed: Callable[[float, float, float], None]) -> None:
        self._clock = clock
        self._cpu: Callable[[], float] = getattr(clock, "computing", clock.monotonic)
        self._target = target / 2
        self._changed = changed
        self._timer: Timer | None = None
        self._due = 0.0
        self._computed = 0.0
        self._since = self._late_at = -NEVER
        self.latest = 0.0
        """Seconds by which the last timer was late."""

    def start(self) -> None:
        """Notice the next call."""
        self._changed(-1.0, -1.0, -1.0)

    @property
    def resting(self) -> bool:
        """Whether no timer is set, so that a call that is 'too late' is only the first for a while."""
        return self._timer is None

    def computed(self, rank: int) -> bool:
        """Return whether as much as a call of that priority may wait went into computing since the timer was set."""
        return self._cpu() - self._computed > (SHEDDABLE, 1.0, CRITICAL)[rank] * self._target

    def arm(self, now: float) -> None:
        """Set the timer."""
        self._due = due = now + BEAT
        self._computed = self._cpu()
        self._timer = self._clock.call_later(BEAT, self._beat)
        lasts = now - self._late_at < GAP and self._late_at - self._since >= LASTING
        target = self._target if lasts else NEVER
        self._changed(due + SHEDDABLE * target, due + target, due + CRITICAL * target)

    def stop(self) -> None:
        """Take the timer back, and call nothing too late."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._changed(NEVER, NEVER, NEVER)

    def _beat(self) -> None:
        now = self._clock.monotonic()
        self._timer = None
        self.latest = max(0.0, now - self._due)
        if self.latest > self._target / 2 and self._cpu() - self._computed > self._target / 2:
            if now - self._late_at >= GAP + BEAT + self.latest:
                self._since = now
            self._late_at = now
        self.start()
