"""Rates as they are declared: ``"100/minute"``, ``"10/second burst 20"``, ``"10000 each day"``, or a `Rate`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from seawall.call import Call

__all__ = ["Rate", "Window", "rates"]

Window = Literal["", "day", "month"]
"""The calendar window (UTC) a quota is counted in; empty for a rate, which flows."""

_UNITS = {
    **dict.fromkeys(("second", "seconds", "sec", "s"), 1),
    **dict.fromkeys(("minute", "minutes", "min", "m"), 60),
    **dict.fromkeys(("hour", "hours", "h"), 3600),
    **dict.fromkeys(("day", "days", "d"), 86_400),
}
_RATE = re.compile(r"\s*([0-9]{1,12})\s*/\s*(?:([0-9]{1,6})\s*)?([a-z]{1,16})(?:\s+burst\s+([0-9]{1,12}))?\s*")
_QUOTA = re.compile(r"\s*([0-9]{1,12})\s+each\s+(day|month)\s*")
_NAME = re.compile(r"[A-Za-z0-9._/-]{1,64}")
_HOW = (
    'write "100/minute", "10/second burst 20", "500/15 minutes" or, by the calendar, "10000 each day" or "… each month"'
)
_MOST_PER_SECOND = 1_000_000
_MOST_SECONDS = 366 * 86_400
_MOST = 10**9


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something may be done, by whom, and what it costs.

    ::

        @service.post("/reports", rate=Rate("1000 each day", key="claim:tenant", cost=report_cost))

    A rate flows (GCRA): *count* calls per *period* in the long run, and at most *burst* at once, which is *count*
    unless the text says otherwise. So no span of t seconds sees more than ``burst + t * count / period`` calls,
    wherever it begins: there is no boundary at which two allowances meet. A quota (``each day``, ``each month``) is
    counted in calendar windows of UTC, whole again when the next one begins.

    Args:
        text: The rate.
        key: Who has an allowance of his own: ``"address"``; ``"principal"``, by address for those who have not said
            who they are; ``"claim:NAME"``, those of one value of a claim (a tenant, an API key), else as
            ``"principal"``; or a function of the `Call`, whose None means that the call is not limited.
        cost: How much of the allowance a call takes: a number, or a function of the `Call`; 0 is free.
        name: Operations whose rates have the same name share one allowance; each has its own unless there is one.

    Raises:
        ValueError: It is no rate, or one that cannot work.
    """

    text: str
    key: str | Callable[[Call], str | None] = "principal"
    cost: int | Callable[[Call], int] = 1
    name: str = ""
    count: int = field(init=False, compare=False, repr=False)
    period: float = field(init=False, compare=False, repr=False)
    burst: int = field(init=False, compare=False, repr=False)
    window: Window = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Read the text and refuse what cannot work."""
        count, period, burst, window = _read(self.text)
        for name, value in (("count", count), ("period", period), ("burst", burst), ("window", window)):
            object.__setattr__(self, name, value)
        if isinstance(self.key, str):
            if self.key not in ("address", "principal") and not re.fullmatch(r"claim:.+", self.key):
                raise ValueError(
                    f'key={self.key!r} names nobody; write "address", "principal", "claim:NAME" or a function of Call'
                )
        elif not callable(self.key):
            raise ValueError(  # noqa: TRY004 - a wrong value of whatever type
                f"key={self.key!r} is neither a text nor a function of Call"
            )
        if not callable(self.cost):
            if type(self.cost) is not int or self.cost < 1:
                raise ValueError(f"cost={self.cost!r} must be a whole number of 1 or more, or a function of Call")
            if self.cost > burst:
                raise ValueError(
                    f"cost={self.cost} is more than the {burst} that are there at most, so that no call would ever "
                    f"pass; raise the burst to {self.cost} or more"
                )
        if self.name and not _NAME.fullmatch(self.name):
            raise ValueError(f"name={self.name!r} must be 1 to 64 letters, digits, '.', '_', '/' or '-'")

    @property
    def label(self) -> str:
        """What it is called in header fields and problems."""
        return self.name or " ".join(self.text.split())


def rates(value: object) -> tuple[Rate, ...]:
    """Return the rates that the policy option ``rate`` stands for.

    Args:
        value: One rate or several, as texts or `Rate` values; None for none.

    Raises:
        TypeError: It is something else.
        ValueError: A rate cannot work, or two of them are the same.
    """
    if value is None:
        return ()
    several: Iterable[Any] = (value,) if isinstance(value, str | Rate) else _iterable(value)
    found = tuple(item if isinstance(item, Rate) else Rate(_text(item)) for item in several)
    seen: set[object] = set()
    for rate in found:
        same = rate.label, rate.key
        if same in seen:
            raise ValueError(f"{rate.label!r} stands there twice for the same key; leave one out")
        seen.add(same)
    return found


def _iterable(value: object) -> Iterable[Any]:
    if isinstance(value, Iterable):
        return value
    raise TypeError(f"it must be a rate, or a list of them; {_HOW}")


def _text(item: object) -> str:
    if isinstance(item, str):
        return item
    raise TypeError(f"{item!r} is neither a text nor a Rate; {_HOW}")


def _read(text: object) -> tuple[int, float, int, Window]:
    if not isinstance(text, str):
        raise TypeError(f"{text!r} is not a rate; {_HOW}")
    shown = text if len(text) <= 40 else f"{text[:40]}…"
    quota = _QUOTA.fullmatch(text.lower())
    if quota is not None:
        count = int(quota[1])
        _check_count(shown, count)
        return (count, 86_400.0, count, "day") if quota[2] == "day" else (count, 31 * 86_400.0, count, "month")
    match = _RATE.fullmatch(text.lower())
    if match is None:
        raise ValueError(f"{shown!r} is not a rate; {_HOW}")
    count, number, unit = int(match[1]), int(match[2] or 1), match[3]
    if unit not in _UNITS:
        if unit in ("month", "months"):
            raise ValueError(
                f'{shown!r}: months differ in length; write "{count} each month" for a quota by the calendar'
            )
        raise ValueError(f"{shown!r}: {unit!r} is no unit of a rate; it may be second, minute, hour or day")
    period = float(number * _UNITS[unit])
    burst = int(match[4]) if match[4] is not None else count
    _check_count(shown, count)
    if not 0 < period <= _MOST_SECONDS:
        raise ValueError(f"{shown!r}: the time must be more than nothing and no more than 366 days")
    if burst < 1:
        raise ValueError(f"{shown!r}: a burst of 0 lets no call pass; write 1 or more, or leave it out")
    _check_count(shown, burst)
    if count / period > _MOST_PER_SECOND:
        raise ValueError(f"{shown!r}: more than {_MOST_PER_SECOND:,} a second is no limit; leave it out")
    return count, period, burst, ""


def _check_count(shown: str, count: int) -> None:
    if count < 1:
        raise ValueError(
            f"{shown!r} lets no call pass; to close an operation, take it out or give it a guard that refuses"
        )
    if count > _MOST:
        raise ValueError(f"{shown!r}: more than {_MOST:,} is no limit; leave it out")
