"""The settings of a circuit breaker: when it opens, for how long, and how it finds its way back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from seawall.resilience.checks import duration, fraction, number, refuse, whole
from seawall.resilience.outcomes import Outcomes
from seawall.resilience.window import CountWindow, TimeWindow, Window

if TYPE_CHECKING:
    from seawall.resilience.breaker_engine import BreakerEngine  # which imports this module
    from seawall.resilience.environment import Environment

__all__ = ["Breaker"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """Leave a target alone once too many calls to it have failed (Nygard, *Release It!*).

    Closed: calls go out and their ends are counted. Open: none go out, for `open_for`. Half-open: exactly *probes*
    calls go out, and what becomes of them decides. A share is compared as ``>=``.

    Args:
        window: What is counted: the last so many calls (100), or those of the last seconds (``"30s"``).
        minimum_calls: How many calls the window must hold before a share means anything; 20 by default, or the
            whole window where that is smaller.
        failure_rate: Share of failures that opens it; None counts none.
        slow_after: How long a call may take before it is slow; None watches no times.
        slow_rate: Share of slow calls that opens it; a half where `slow_after` is given.
        consecutive: Failures in a row that open it, however few calls there have been; None counts none.
        open_for: How long it stays open the first time.
        growth: How many times longer each time it opens again without having closed.
        longest_open: How long it stays open at most, before jitter.
        jitter: Share of that time, up or down, by which it is changed at random, so that many processes do not all
            probe at once.
        probes: How many calls go out while it is half-open; the same shares decide over them, as soon as they can.
        probe_patience: How long probes may stay without an end before it opens again: one that was lost must not
            keep it half-open for ever.
        counts: Which ends of a call are failures.

    Raises:
        DeclarationError: A setting is impossible, or two contradict each other.
    """

    window: int | str = 100
    minimum_calls: int | None = None
    failure_rate: float | None = 0.5
    slow_after: float | str | None = None
    slow_rate: float | None = None
    consecutive: int | None = None
    open_for: float | str = 30.0
    growth: float = 2.0
    longest_open: float | str = 300.0
    jitter: float = 0.1
    probes: int = 5
    probe_patience: float | str = 60.0
    counts: Outcomes = field(default_factory=Outcomes)

    def __post_init__(self) -> None:
        if isinstance(self.window, str):
            duration("Breaker", "window", self.window)
        else:
            whole("Breaker", "window", self.window, most=1_000_000)
        if self.minimum_calls is not None:
            whole("Breaker", "minimum_calls", self.minimum_calls)
            if isinstance(self.window, int) and self.minimum_calls > self.window:
                raise refuse(
                    "Breaker",
                    "minimum_calls",
                    self.minimum_calls,
                    f"the window holds {self.window} calls, so it would never open; write at most that",
                )
        self._check_shares()
        self._check_times()
        whole("Breaker", "probes", self.probes, most=100_000)

    def _check_shares(self) -> None:
        if self.failure_rate is not None:
            fraction("Breaker", "failure_rate", self.failure_rate)
        if self.consecutive is not None:
            whole("Breaker", "consecutive", self.consecutive)
        if self.slow_after is not None:
            duration("Breaker", "slow_after", self.slow_after)
        if self.slow_rate is not None:
            fraction("Breaker", "slow_rate", self.slow_rate)
            if self.slow_after is None:
                raise refuse("Breaker", "slow_rate", self.slow_rate, "say what is slow too: slow_after=…")
        if self.failure_rate is None and self.slow_after is None and self.consecutive is None:
            raise refuse(
                "Breaker", "failure_rate", None, "nothing would open it; give failure_rate, slow_after or consecutive"
            )

    def _check_times(self) -> None:
        first = duration("Breaker", "open_for", self.open_for)
        longest = duration("Breaker", "longest_open", self.longest_open)
        if longest < first:
            raise refuse("Breaker", "longest_open", self.longest_open, f"it is shorter than open_for={self.open_for!r}")
        number("Breaker", "growth", self.growth, 1, 1000)
        number("Breaker", "jitter", self.jitter, 0, 0.9)
        duration("Breaker", "probe_patience", self.probe_patience)

    def new_window(self) -> Window:
        """Return an empty window."""
        if isinstance(self.window, str):
            return TimeWindow(duration("Breaker", "window", self.window))
        return CountWindow(self.window)

    @property
    def needed_calls(self) -> int:
        """How many calls the window must hold before a share means anything."""
        if self.minimum_calls is not None:
            return self.minimum_calls
        return min(20, self.window) if isinstance(self.window, int) else 20

    @property
    def slow_seconds(self) -> float | None:
        """How long a call may take before it is slow."""
        return None if self.slow_after is None else duration("Breaker", "slow_after", self.slow_after)

    @property
    def slow_share(self) -> float | None:
        """Share of slow calls that opens it."""
        return None if self.slow_after is None else (self.slow_rate or 0.5)

    def trips(self, calls: int, failures: int, slows: int) -> str | None:
        """Return why *failures* and *slows* of *calls* open the breaker, or None."""
        if self.failure_rate is not None and failures / calls >= self.failure_rate:
            return f"{failures} of {calls} calls failed"
        if self.slow_share is not None and slows / calls >= self.slow_share:
            return f"{slows} of {calls} calls were slow"
        return None

    def open_seconds(self, times: int, chance: float) -> float:
        """Return how long it stays open when it opens for the *times*-th time without having closed (from 1).

        Args:
            times: Openings in a row.
            chance: A number in [0, 1) for the jitter.
        """
        longest = duration("Breaker", "longest_open", self.longest_open)
        # The exponent is bounded so that a breaker open for a year does not overflow.
        base = min(longest, duration("Breaker", "open_for", self.open_for) * self.growth ** min(times - 1, 64))
        return base * (1 + self.jitter * (2 * chance - 1))

    def engine(self, name: str, environment: Environment) -> BreakerEngine:
        """Return a closed breaker."""
        from seawall.resilience.breaker_engine import BreakerEngine  # noqa: PLC0415 - see above

        return BreakerEngine(name, self, environment)
