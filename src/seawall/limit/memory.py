"""Allowances in the memory of one process: one float for each caller, in a bounded number."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from seawall.clock import Clock
from seawall.limit.rate import Window
from seawall.limit.rule import SLACK, Calendar, Rule

__all__ = ["MemoryStore"]

SAMPLES = 8
"""Cells looked at for each that has to make room, as Redis does for its approximated eviction."""


class Cells:
    """The cells of the rules of one id."""

    __slots__ = ("now", "tats")

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.tats: dict[str, float] = {}


class MemoryStore:
    """Keeps theoretical arrival times in dictionaries. Exact within the process; gone with it.

    There are never more than *max_keys* cells, all rules together: about 150 bytes each, and the key. Once there
    are, a new one takes the place of one that is owed nothing any more, if one of `SAMPLES` is; else of that which
    owes least, whose caller then has a whole allowance again.

    Args:
        clock: What time it is.
        max_keys: Cells.
    """

    def __init__(self, clock: Clock, max_keys: int) -> None:
        self._clock = clock
        self._calendar = Calendar(clock.time)
        self.max_keys = max_keys
        self.count = 0
        self._spaces: dict[str, Cells] = {}
        self._hand: list[str] = []
        self._at: Cells | None = None
        self._turn = 0

    def take(self, rules: Sequence[Rule], key: str, cost: int) -> tuple[float, ...]:
        """Take from every rule or from none; see `LocalStore.take`."""
        lefts: list[float] = []
        moves: list[tuple[Cells, float]] = []
        for rule in rules:
            cells = self._cells(rule)
            now = cells.now()
            tat = max(cells.tats.get(key, now), now) + cost * rule.interval
            moves.append((cells, tat))
            lefts.append(rule.tolerance - (tat - now))
        if min(lefts) >= -SLACK:
            for cells, tat in moves:
                if key not in cells.tats:
                    self._make_room()
                cells.tats[key] = tat
        return tuple(lefts)

    def forgive(self, rules: Sequence[Rule], key: str) -> None:
        """Make an allowance whole again; see `LocalStore.forgive`."""
        for rule in rules:
            if self._cells(rule).tats.pop(key, None) is not None:
                self.count -= 1

    def taker(self, rule: Rule, cost: int) -> Callable[[str, float], float]:
        """Return `take` for one rule that flows and one cost, as quick as it can be: key and present time in."""
        tats, make_room = self._cells(rule).tats, self._make_room
        find = tats.get
        taken, tolerance, least = cost * rule.interval, rule.tolerance, -SLACK

        def take(key: str, now: float) -> float:
            tat = find(key)
            if tat is None:
                make_room()
                tat = now + taken
            elif tat > now:
                tat += taken
            else:
                tat = now + taken
            left = tolerance - (tat - now)
            if left >= least:
                tats[key] = tat
            return left

        return take

    def _cells(self, rule: Rule) -> Cells:
        cells = self._spaces.get(rule.id)
        if cells is None:
            cells = self._spaces[rule.id] = Cells(self._now_of(rule.window))
        return cells

    def _now_of(self, window: Window) -> Callable[[], float]:
        if not window:
            return self._clock.monotonic
        start = self._calendar.start
        return lambda: start(window)

    def _make_room(self) -> None:
        """Count one cell more, and drop another if there are too many."""
        self.count += 1
        while self.count > self.max_keys:
            self._evict()

    def _evict(self) -> None:
        least: tuple[float, Cells, str] | None = None
        looked = 0
        while looked < SAMPLES:
            cells, key = self._next()
            tat = cells.tats.get(key)
            if tat is None:
                continue  # dropped since the hand was filled
            looked += 1
            owed = tat - cells.now()
            if least is None or owed < least[0]:
                least = owed, cells, key
            if owed <= 0 or len(self._hand) == 0:
                break
        assert least is not None  # noqa: S101 - one was looked at
        del least[1].tats[least[2]]
        self.count -= 1

    def _next(self) -> tuple[Cells, str]:
        """Return the next cell of a round through all of them."""
        while not self._hand:
            spaces = list(self._spaces.values())
            self._turn += 1
            self._at = spaces[self._turn % len(spaces)]
            self._hand = list(self._at.tats)
        assert self._at is not None  # noqa: S101 - set with the hand
        return self._at, self._hand.pop()
