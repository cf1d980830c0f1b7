"""Settings are checked where they are written: a wrong one names itself, its value and the fix."""

from __future__ import annotations

from seawall.problems import DeclarationError

__all__ = ["whole"]


def whole(owner: str, setting: str, value: object, least: int = 1) -> int:
    """Return *value*, a whole number of at least *least*.

    Raises:
        DeclarationError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise DeclarationError(f"{owner}: {setting}={value!r} is not possible: write a whole number from {least}.")
    return value
