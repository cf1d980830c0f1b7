"""Text from a path, query, header or cookie becomes a typed value."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any, get_args, get_origin

import msgspec

from seawall.operation import bare, union_members

__all__ = ["holds_floats", "holds_moments", "many_reader", "reader", "refuse_not_finite"]

_NUMBERS = (int, float)
_MOMENTS = (datetime, timedelta)


def reader(hint: Any) -> Callable[[str], Any] | None:
    """Return what turns text into a value of type *hint*; None when text is what is wanted.

    The readers raise `msgspec.ValidationError` (or its base, for numbers) on anything else.
    """
    hint = _without_none(hint)
    if hint is str:
        return None
    if bare(hint) in _NUMBERS:
        try:
            return _number_reader(hint)
        except TypeError:  # its metadata holds something that cannot be hashed
            return _number_reader.__wrapped__(hint)
    return _converter(hint)


@lru_cache(maxsize=256)
def _number_reader(hint: Any) -> Callable[[str], Any]:
    """Return one reader for all parameters of one type, so that the plans of many operations have it in common.

    A number's text is its JSON text, and a bound decoder is an order of magnitude faster than convert().
    """
    return msgspec.json.Decoder(hint).decode


def many_reader(hint: Any) -> Callable[[list[str]], Any]:
    """Return what turns every text of one name into a collection of type *hint*."""
    return _converter(_without_none(hint))


def _converter(hint: Any) -> Callable[[Any], Any]:
    # convert() looks a Struct's type up in a cache but analyses any other type at each call.
    wrapper: Any = msgspec.defstruct("Text", [("value", hint)])
    convert = msgspec.convert

    # Where it need not read numbers, it must not: convert() would take 0.5 for a moment of 1970.
    strict = holds_moments(hint) and not _holds(hint, _NUMBERS)

    def read(text: Any) -> Any:
        return convert({"value": text}, wrapper, strict=strict).value

    def read_finite(text: Any) -> Any:
        value = read(text)
        refuse_not_finite(value)
        return value

    return read_finite if holds_floats(hint) else read


def holds_floats(hint: Any) -> bool:
    """Return whether a value of type *hint* is, or may have in it, a float."""
    return _holds(hint, (float,))


def holds_moments(hint: Any) -> bool:
    """Return whether a value of type *hint* is, or may have in it, a date-time or a duration."""
    return _holds(hint, _MOMENTS)


def refuse_not_finite(value: Any) -> None:
    """Refuse ``nan`` and ``inf``, which convert() takes from text although JSON has neither.

    Raises:
        msgspec.ValidationError: *value* is one of them, or has one in it.
    """
    if isinstance(value, float):
        if not math.isfinite(value):
            raise msgspec.ValidationError("Expected a finite number")
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes):
        for part in value:
            refuse_not_finite(part)


def _holds(hint: Any, kinds: tuple[type, ...]) -> bool:
    inner = bare(hint)
    return inner in kinds or any(_holds(part, kinds) for part in get_args(inner) if part is not Ellipsis)


def _without_none(hint: Any) -> Any:
    inner = bare(hint)
    members = tuple(member for member in union_members(inner) if member is not type(None))
    if len(members) == len(union_members(inner)):
        return hint
    rest = members[0]
    for member in members[1:]:
        rest = rest | member
    return Annotated[(rest, *get_args(hint)[1:])] if get_origin(hint) is Annotated else rest
