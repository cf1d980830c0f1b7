"""Whether there is more to do than can be done: what must be true before a gate that nobody gave a number refuses.

That calls take longer is no overload. Eight callers who each wait for their answer before they ask again saturate a
processor, and every call takes eight times as long as one alone; but nothing grows, nobody is harmed, and refusing one
of them only makes him ask again. Callers who do not wait for each other are different: what cannot be done is added to
what waits until everybody has given up. So nothing is refused before calls have waited for so long that it does harm.
Then it is refused early, as if no wait were allowed, because what waits is of no use to anybody (CoDel, RFC 8289, has
the same two numbers: an interval that must have passed, and a small target from then on).

It would not end by itself where refused callers ask again at once. So from time to time, less and less often, what is
refused is let in for a moment: if calls do not come to wait for so long again, it is over.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["Overload", "State"]

PAUSE = 60.0
"""Seconds after which what is refused is let in for a moment; doubled each time that it did harm again."""
LONGEST_PAUSE = 960.0
TRIAL = 2.0
"""Seconds that such a moment has."""
OVER = 3.0
"""Seconds without a call that had to be refused after which it is over."""
NEVER = float("-inf")


class State(Enum):
    """What is done about calls."""

    CALM = "calm"
    """None is refused."""
    SHEDDING = "shedding"
    """What is too much is refused."""
    TRYING = "trying"
    """None is refused, until there is harm again or the moment is over."""


class Overload:
    """One overload after the other. All times are seconds of a monotonic clock."""

    __slots__ = ("_pause", "_refused", "_since", "state")

    def __init__(self) -> None:
        self.state = State.CALM
        self._since = self._refused = NEVER
        self._pause = PAUSE

    @property
    def shedding(self) -> bool:
        """Whether what is too much is refused."""
        return self.state is State.SHEDDING

    def harmed(self, now: float) -> None:
        """Calls have waited for so long that it does harm: begin to refuse."""
        if self.state is State.TRYING:
            self._pause = min(LONGEST_PAUSE, 2 * self._pause)
        elif self.state is State.CALM:
            self._pause = PAUSE
        self.state, self._since, self._refused = State.SHEDDING, now, now

    def refused(self, now: float) -> None:
        """Note that there was a call too many."""
        self._refused = now

    def update(self, now: float) -> State:
        """Return what is done from now on."""
        if self.state is State.SHEDDING:
            if now - self._refused >= OVER:
                self.state = State.CALM
            elif now - self._since >= self._pause:
                self.state, self._since = State.TRYING, now
        elif self.state is State.TRYING and now - self._since >= TRIAL:
            self.state = State.CALM
        return self.state
