"""How long to wait before a call is made again."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Literal

from seawall.resilience.checks import duration, number, refuse

__all__ = ["Backoff", "asked_to_wait"]

Jitter = Literal["full", "decorrelated", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Waits that grow, at random (AWS Architecture Blog, "Exponential Backoff And Jitter", 2015).

    Args:
        first: The longest wait before the second attempt.
        factor: How many times longer each further one.
        longest: No wait is longer.
        jitter: ``"full"`` draws each wait between 0 and its longest; ``"decorrelated"`` between *first* and three
            times the wait before; ``"none"`` waits exactly, and every caller that failed together comes back
            together.

    Raises:
        DeclarationError: A setting is impossible.
    """

    first: float | str = 0.1
    factor: float = 2.0
    longest: float | str = 10.0
    jitter: Jitter = "full"

    def __post_init__(self) -> None:
        first = duration("Backoff", "first", self.first, zero=True)
        longest = duration("Backoff", "longest", self.longest, zero=True)
        number("Backoff", "factor", self.factor, 1, 1000)
        if longest < first:
            raise refuse("Backoff", "longest", self.longest, f"it is shorter than first={self.first!r}")
        if self.jitter not in ("full", "decorrelated", "none"):
            raise refuse("Backoff", "jitter", self.jitter, 'write "full", "decorrelated" or "none"')

    def waits(self) -> Callable[[int, float, float], float]:
        """Return the function that gives a wait of (attempts made, wait before, chance in [0, 1)), in seconds."""
        first, longest = duration("", "", self.first, zero=True), duration("", "", self.longest, zero=True)
        factor = self.factor

        def ceiling(attempts: int) -> float:
            return min(longest, first * factor ** min(attempts - 1, 64))

        def full(attempts: int, _before: float, chance: float) -> float:
            return ceiling(attempts) * chance

        def decorrelated(_attempts: int, before: float, chance: float) -> float:
            return min(longest, first + (max(before, first) * 3 - first) * chance)

        def exact(attempts: int, _before: float, _chance: float) -> float:
            return ceiling(attempts)

        return {"full": full, "decorrelated": decorrelated, "none": exact}[self.jitter]


def asked_to_wait(error: BaseException, wall: float) -> float | None:
    """Return the seconds *error* asks to wait: by `retry_after`, or by ``Retry-After`` among its `headers`.

    Args:
        error: What a call raised.
        wall: The time by the wall clock, for dates (RFC 9110 §10.2.3 allows both).
    """
    told: object = getattr(error, "retry_after", None)
    if told is None:
        headers = getattr(error, "headers", None)
        try:
            fields = {str(name).lower(): value for name, value in headers.items()} if headers else {}
        except (AttributeError, TypeError):
            fields = {}
        told = fields.get("retry-after")
    if isinstance(told, bool):
        return None
    if isinstance(told, int | float):
        return max(0.0, float(told)) if math.isfinite(told) else None
    if not isinstance(told, str):
        return None
    text = told.strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - wall)
