"""How long calls have taken lately, as a quantile."""

from __future__ import annotations

import math
from collections import deque

__all__ = ["Latencies"]


class Latencies:
    """The times of the last *size* calls. The quantile is looked for anew once for every 1/20 of them.

    Args:
        quantile: Which one, such as 0.95.
        size: How many times are remembered.
    """

    __slots__ = ("_known", "_quantile", "_since", "_times")

    def __init__(self, quantile: float, size: int = 200) -> None:
        self._quantile = quantile
        self._times: deque[float] = deque(maxlen=size)
        self._since = 0
        self._known: float | None = None

    def __len__(self) -> int:
        return len(self._times)

    def add(self, seconds: float) -> None:
        """Remember one more time."""
        self._times.append(seconds)
        self._since += 1

    def value(self) -> float | None:
        """Return the time that a share of *quantile* of the calls did not exceed; None before there is any."""
        if self._times and (self._known is None or self._since * 20 >= len(self._times)):
            ordered = sorted(self._times)
            self._known = ordered[max(0, math.ceil(self._quantile * len(ordered)) - 1)]
            self._since = 0
        return self._known
