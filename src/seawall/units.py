"""Sizes and durations as people write them: ``"1 MiB"`` and ``"500ms"``, or plain numbers.

The units of sizes are those of IEC 80000-13 (KiB = 1,024 bytes) and of the SI (kB = 1,000 bytes).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["duration_text", "seconds", "size", "size_text"]

# The lengths are bounded so that no text, however long, costs more than a glance.
_QUANTITY = re.compile(r"\s*([0-9]{1,18})(?:\.([0-9]{1,18}))?\s*([A-Za-zµ]{0,8})\s*")

_MICROSECONDS: Mapping[str, int] = MappingProxyType(
    {
        "": 10**6,
        "us": 1,
        "µs": 1,
        "ms": 1000,
        "s": 10**6,
        "m": 60 * 10**6,
        "min": 60 * 10**6,
        "h": 3600 * 10**6,
        "d": 86400 * 10**6,
    }
)
_BYTES: Mapping[str, int] = MappingProxyType(
    {
        "": 1,
        "B": 1,
        "kB": 1000,
        "KB": 1000,
        "MB": 1000**2,
        "GB": 1000**3,
        "TB": 1000**4,
        "KiB": 1024,
        "MiB": 1024**2,
        "GiB": 1024**3,
        "TiB": 1024**4,
    }
)
_A_DURATION = 'a duration: write a number of seconds, or "500ms", "30s", "2m"'
_A_SIZE = 'a size: write a whole number of bytes, or "512 KiB", "10 MB"'


def seconds(value: object) -> float:
    """Return a duration in seconds.

    Args:
        value: A number of seconds, or a text of a number and a unit: us, ms, s (or none), m (or min), h, d.

    Raises:
        ValueError: It is neither, negative, or not finite.
    """
    if isinstance(value, str):
        number, scale = _quantity(value, _MICROSECONDS, _A_DURATION)
        return number / (scale * 10**6)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is not {_A_DURATION}")  # noqa: TRY004 - a wrong value of whatever type
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{value!r} is not a duration: it must be finite, and 0 or more")
    return float(value)


def size(value: object) -> int:
    """Return a size in bytes.

    Args:
        value: A whole number of bytes, or a text of a number and a unit: B (or none), kB, MB, GB, TB (powers
            of 1,000), KiB, MiB, GiB, TiB (powers of 1,024).

    Raises:
        ValueError: It is neither, negative, or not a whole number of bytes.
    """
    if isinstance(value, str):
        number, scale = _quantity(value, _BYTES, _A_SIZE)
        result, rest = divmod(number, scale)
        if rest:
            raise ValueError(f"{value!r} is not a size: it is not a whole number of bytes")
        return result
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{value!r} is not {_A_SIZE}")  # noqa: TRY004 - a wrong value of whatever type
    if value < 0:
        raise ValueError(f"{value!r} is not a size: it must be 0 or more")
    return value


def size_text(value: int) -> str:
    """Return *value* bytes as `size` reads it, in the largest unit that divides it: ``"1 MiB"``, ``"1000 B"``."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        count, rest = divmod(value, _BYTES[unit])
        if count and not rest:
            return f"{count} {unit}"
    return f"{value} B"


def duration_text(value: float) -> str:
    """Return *value* seconds as `seconds` reads it: ``"500ms"``, ``"30s"``, ``"2m"``."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        count, rest = divmod(value, length)
        if count and not rest:
            return f"{count:.0f}{unit}"
    number, unit = (value * 1000, "ms") if 0 < value < 1 else (value, "s")
    return f"{number:.6f}".rstrip("0").rstrip(".") + unit


def _quantity(text: str, units: Mapping[str, int], expected: str) -> tuple[int, int]:
    """Return the quantity in the smallest of *units* as an exact fraction: numerator and denominator."""
    shown = text if len(text) <= 40 else f"{text[:40]}…"
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{shown!r} is not {expected}")
    whole, decimals, unit = match.group(1), match.group(2) or "", match.group(3)
    if unit not in units:
        # "mb" may be megabits or a slip of the shift key: which of the two is for the writer to say.
        close = [known for known in units if known and known.lower() == unit.lower()]
        known_units = ", ".join(name for name in units if name)
        hint = f"did you mean {close[0]!r}?" if close else f"the units are {known_units}"
        raise ValueError(f"{shown!r} is not {expected}; unknown unit {unit!r}, {hint}")
    return int(whole + decimals) * units[unit], 10 ** len(decimals)
