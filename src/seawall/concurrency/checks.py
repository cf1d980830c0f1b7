"""Settings are checked where they are written: a wrong one names itself, its value and the fix."""

from __future__ import annotations

from seawall.problems import DeclarationError
from seawall.units import seconds

__all__ = ["choice", "duration", "patience", "whole"]


def whole(owner: str, setting: str, value: object, least: int = 1) -> int:
    """Return *value*, a whole number of at least *least*.

    Raises:
        DeclarationError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise DeclarationError(f"{owner}: {setting}={value!r} is not possible: write a whole number from {least}.")
    return value


def duration(owner: str, setting: str, value: object, *, zero: bool = False) -> float:
    """Return *value* in seconds.

    Raises:
        DeclarationError: It is no finite duration, or zero where *zero* is not allowed.
    """
    try:
        result = seconds(value)
    except ValueError as error:
        raise DeclarationError(f"{owner}: {setting}={value!r} is not possible: {error}.") from None
    if result == 0 and not zero:
        raise DeclarationError(f'{owner}: {setting}={value!r} is not possible: write more than 0, as "500ms" or 2.')
    return result


def patience(owner: str, within: object) -> float | None:
    """Return how many seconds to wait at most, None for any time; 0 is a wait that is over at once.

    Raises:
        DeclarationError: It is no finite duration.
    """
    return None if within is None else duration(owner, "within", within, zero=True)


def choice(owner: str, setting: str, value: object, among: tuple[str, ...]) -> None:
    """Check that *value* is one of those *among* which one chooses.

    Raises:
        DeclarationError: It is not.
    """
    if value not in among:
        raise DeclarationError(f"{owner}: {setting}={value!r} is not possible: write {' or '.join(map(repr, among))}.")
