"""How long a value is kept, and what happens towards the end of that time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from seawall.clock import Random
from seawall.problems import DeclarationError
from seawall.units import seconds

__all__ = ["LONGEST", "WINDOW", "Keep"]

LONGEST = 30 * 86400.0
"""Seconds a value is kept at the most; tags are remembered for longer."""
WINDOW = 10.0
"""Mean gaps before the end from which early refresh draws lots; before, it would win once in e^10 (22,026) calls."""


@dataclass(frozen=True, slots=True, init=False)
class Keep:
    """How long a value is kept.

    Early refresh is XFetch (Vattani, Chierichetti, Lowenstein: "Optimal Probabilistic Cache Stampede Prevention",
    VLDB 2015): the nearer the end and the longer the load takes, the likelier one call loads again before the end.
    Stale values are RFC 5861's.

    Args:
        ttl: Seconds (or ``"5m"``) it is fresh.
        stale_while_revalidate: Seconds after that in which it is given out while one load replaces it.
        stale_if_error: Seconds after *ttl* in which it is given out if a load fails.
        negative: Seconds None is kept, and errors of *errors*; None for *ttl*.
        errors: Exceptions that are remembered, by this process alone. Others never are.
        jitter: The part of *ttl* by which it is shortened at random, so that what came together does not go together.
        early: The factor of early refresh; 0 switches it off.

    Raises:
        DeclarationError: A value is impossible.
    """

    ttl: float
    stale_while_revalidate: float
    stale_if_error: float
    negative: float
    errors: tuple[type[Exception], ...]
    jitter: float
    early: float
    stale: float = field(repr=False, compare=False)
    """Seconds a value may be of use after it has ceased to be fresh."""

    def __init__(
        self,
        ttl: float | str,
        *,
        stale_while_revalidate: float | str = 0,
        stale_if_error: float | str = 0,
        negative: float | str | None = None,
        errors: tuple[type[Exception], ...] = (),
        jitter: float = 0.1,
        early: float = 1.0,
    ) -> None:
        fresh = _time("ttl", ttl)
        values = {
            "ttl": fresh,
            "stale_while_revalidate": _time("stale_while_revalidate", stale_while_revalidate),
            "stale_if_error": _time("stale_if_error", stale_if_error),
            "negative": fresh if negative is None else _time("negative", negative),
            "errors": tuple(errors),
            "jitter": jitter,
            "early": early,
        }
        if not fresh > 0:
            raise DeclarationError("cache: ttl must be more than 0 seconds.")
        if not 0 <= jitter < 1:
            raise DeclarationError(f"cache: jitter={jitter!r} must be 0 or more and less than 1.")
        if not (early >= 0 and math.isfinite(early)):
            raise DeclarationError(f"cache: early={early!r} must be finite, and 0 or more.")
        for name, value in values.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "stale", max(self.stale_while_revalidate, self.stale_if_error))

    def life(self, random: Random, *, negative: bool) -> float:
        """Return the seconds one value is fresh."""
        return (self.negative if negative else self.ttl) * (1 - self.jitter * random.random())

    def refresh_now(self, left: float, took: float, random: Random) -> bool:
        """Return whether this call is the one to load again, *left* seconds before the end of a value.

        Args:
            left: Seconds.
            took: Seconds the load took.
            random: Decides.
        """
        mean = took * self.early
        # Far from the end, which is where most calls are, there is no lot to draw.
        return left <= WINDOW * mean and -mean * math.log(1.0 - random.random()) >= left


def _time(name: str, value: float | str) -> float:
    try:
        result = seconds(value)
    except ValueError as error:
        raise DeclarationError(f"cache: {name}={value!r} is not possible: {error}.") from None
    if result > LONGEST:
        raise DeclarationError(f"cache: {name}={value!r} is longer than 30 days.")
    return result
