"""Settings of policies are checked where they are written: a wrong one names itself, its value and the fix."""

from __future__ import annotations

import math

from seawall.problems import DeclarationError
from seawall.units import seconds

__all__ = ["duration", "fraction", "number", "refuse", "whole"]


def refuse(owner: str, setting: str, value: object, fix: str) -> DeclarationError:
    """Return the error for *setting* of the policy *owner*."""
    return DeclarationError(f"{owner}: {setting}={value!r} is not possible: {fix}.")


def duration(owner: str, setting: str, value: object, *, zero: bool = False) -> float:
    """Return *value* in seconds.

    Raises:
        DeclarationError: It is no finite duration, or zero where *zero* is not allowed.
    """
    try:
        result = seconds(value)
    except ValueError as error:
        raise refuse(owner, setting, value, str(error)) from None
    if result == 0 and not zero:
        raise refuse(owner, setting, value, 'write more than 0, such as "500ms" or 2')
    return result


def whole(owner: str, setting: str, value: object, least: int = 1, most: int = 10**9) -> int:
    """Return *value*, a whole number between *least* and *most*.

    Raises:
        DeclarationError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise refuse(owner, setting, value, f"write a whole number from {least:,} to {most:,}")
    return value


def number(owner: str, setting: str, value: object, least: float = 0.0, most: float = math.inf) -> float:
    """Return *value*, a finite number between *least* and *most*.

    Raises:
        DeclarationError: It is none.
    """
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not good or not least <= value <= most:  # type: ignore[operator]
        span = f"of {least:g} or more" if math.isinf(most) else f"from {least:g} to {most:g}"
        raise refuse(owner, setting, value, f"write a finite number {span}")
    return float(value)  # type: ignore[arg-type]


def fraction(owner: str, setting: str, value: object) -> float:
    """Return *value*, more than 0 and at most 1.

    Raises:
        DeclarationError: It is not; a percentage is pointed out.
    """
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not good or not 0 < value <= 1:  # type: ignore[operator]
        percent = f"; for {value} % write {value / 100:g}" if good and 1 < value <= 100 else ""  # type: ignore[operator]
        raise refuse(owner, setting, value, f"write a share of more than 0 and at most 1{percent}")
    return float(value)  # type: ignore[arg-type]
