"""What a closed breaker remembers of the calls it let out: the last N, or those of the last seconds.

A window lives as long as its breaker stays closed without a break. Whoever was let out keeps the window it was let
out under, so the result of a call that outlived it lands in a window nobody looks at any more.
"""

from __future__ import annotations

from collections import deque

__all__ = ["CountWindow", "TimeWindow", "Window"]

BUCKETS = 10
"""Parts of a time window. It forgets a tenth at a time."""


class CountWindow:
    """The last *size* calls.

    Successes are only counted: what is kept is the ordinal numbers of the others, so a call that goes well costs
    one addition as long as none of the last *size* went otherwise.
    """

    __slots__ = ("ended", "failed", "run", "size", "slow", "troubled")

    def __init__(self, size: int) -> None:
        self.size = size
        self.ended = 0
        self.run = 0
        self.failed: deque[int] = deque()
        self.slow: deque[int] = deque()
        self.troubled = False
        """Whether any call that is still remembered was not a quick success."""

    @property
    def calls(self) -> int:
        """How many calls are remembered."""
        return min(self.ended, self.size)

    @property
    def failures(self) -> int:
        """How many of them failed."""
        return len(self.failed)

    @property
    def slows(self) -> int:
        """How many of them were slow."""
        return len(self.slow)

    def add(self, now: float, *, failed: bool, slow: bool) -> None:  # noqa: ARG002 - the time matters to the other kind
        """Remember one more call."""
        self.ended = ended = self.ended + 1
        oldest = ended - self.size
        for numbers in (self.failed, self.slow):
            while numbers and numbers[0] <= oldest:
                numbers.popleft()
        if failed:
            self.failed.append(ended)
        if slow:
            self.slow.append(ended)
        self.run = self.run + 1 if failed else 0
        self.troubled = bool(self.failed or self.slow)

    def forget(self, now: float) -> None:
        """Forget what is older than the window: nothing, as only calls push out calls."""


class TimeWindow:
    """The calls of the last *seconds*, in ten parts."""

    __slots__ = (
        "_buckets",
        "_width",
        "bucket",
        "calls",
        "clear_until",
        "ended",
        "failures",
        "run",
        "slows",
        "troubled",
    )

    def __init__(self, seconds: float) -> None:
        self._width = seconds / BUCKETS
        self._buckets: deque[list[int]] = deque()  # number of the part, calls, failures, slow ones
        self.calls = 0
        self.failures = 0
        self.slows = 0
        self.run = 0
        self.ended = 0  # not used: only windows without trouble are counted from outside
        self.bucket = [0, 0, 0, 0]
        self.clear_until = 0.0
        """Until when a success is one more in `bucket` and `calls`: to the end of this part, while all is well."""
        self.troubled = True
        """Always: whether the remembered calls are still in the window is to be asked each time."""

    def add(self, now: float, *, failed: bool, slow: bool) -> None:
        """Remember one more call, which ended *now*."""
        self.forget(now)
        number = int(now / self._width)
        if not self._buckets or self._buckets[-1][0] != number:
            self._buckets.append([number, 0, 0, 0])
        bucket = self._buckets[-1]
        bucket[1] += 1
        bucket[2] += failed
        bucket[3] += slow
        self.calls += 1
        self.failures += failed
        self.slows += slow
        self.run = self.run + 1 if failed else 0
        self.bucket = bucket
        self.clear_until = 0.0 if self.failures or self.slows or self.run else (number + 1) * self._width

    def forget(self, now: float) -> None:
        """Forget what is older than the window."""
        oldest = int(now / self._width) - BUCKETS
        while self._buckets and self._buckets[0][0] <= oldest:
            _, calls, failures, slows = self._buckets.popleft()
            self.calls -= calls
            self.failures -= failures
            self.slows -= slows


Window = CountWindow | TimeWindow
