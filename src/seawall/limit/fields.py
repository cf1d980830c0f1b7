"""What callers are told: ``RateLimit-Policy``, ``RateLimit`` and ``Retry-After``.

As of draft-ietf-httpapi-ratelimit-headers-10 (work in progress): structured fields (RFC 9651), lists of policies by
name. ``q`` is the quota, ``w`` its window in seconds, ``r`` what remains, ``t`` the seconds until it is whole again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from seawall.call import Call
from seawall.limit.rule import SLACK, Calendar, Rule
from seawall.problems import TooManyRequests

__all__ = ["ALMOST", "STATE", "Fields", "OneField", "too_many", "whole"]

POLICY = b"ratelimit-policy"
STATE = b"ratelimit"
ALMOST = 0.999
"""Makes whole seconds of those of which a thousandth has begun."""
RETRY_AFTER = "retry-after"
GUARD = "limit"


class Fields:
    """Writes the fields of several rules that are taken from together.

    Args:
        rules: The rules.
        calendar: The present windows.
    """

    def __init__(self, rules: Sequence[Rule], calendar: Calendar) -> None:
        self._rules = tuple(rules)
        self._calendar = calendar
        self._policy = (POLICY, ", ".join(map(_policy, rules)).encode())

    def add(self, call: Call, lefts: Sequence[float]) -> None:
        """Add to the answer of *call* what is left under each rule."""
        calendar = self._calendar
        state = ", ".join(
            f'"{rule.label}";r={rule.remaining(left)};t={rule.reset(left, calendar)}'
            for rule, left in zip(self._rules, lefts, strict=True)
        )
        _append(call, self._policy, (STATE, state.encode()))


class OneField:
    """`Fields` for one rule that flows, in parts that a plan can put together.

    Args:
        rule: The rule.
    """

    def __init__(self, rule: Rule) -> None:
        self.policy = (POLICY, _policy(rule).encode())
        self.form = f'"{rule.label}";r=%d;t=%d'.encode()
        self.rate = 1 / rule.interval
        self._tolerance = rule.tolerance

    def state(self, left: float) -> tuple[bytes, bytes]:
        """Return the field that says what is left, of the seconds that a store has given back."""
        return STATE, self.form % (int((left + SLACK) * self.rate), int(self._tolerance - left + ALMOST))


def _append(call: Call, *fields: tuple[bytes, bytes]) -> None:
    call.fields = [*(call.fields or ()), *fields]


def _policy(rule: Rule) -> str:
    window = "" if rule.window == "month" else f";w={math.ceil(rule.period)}"
    return f'"{rule.label}";q={rule.count}{window}'


def too_many(rules: Sequence[Rule], lefts: Sequence[float], cost: int, calendar: Calendar) -> TooManyRequests:
    """Return the problem for a call that was refused.

    Args:
        rules: What it was to take from.
        lefts: What the store has given back.
        cost: What the call costs.
        calendar: The present windows.
    """
    violated = [(rule, left) for rule, left in zip(rules, lefts, strict=True) if left < -SLACK]
    labels = [rule.label for rule, _ in violated]
    extensions: dict[str, Any] = {"violated-policies": labels}
    impossible = [rule for rule, _ in violated if cost > rule.burst]
    if impossible:
        problem = TooManyRequests(
            f"This call costs {cost}, and {impossible[0].burst} is the most that can be had at once.", **extensions
        )
    else:
        wait = max(1, math.ceil(max(rule.wait(left, calendar) for rule, left in violated)))
        problem = TooManyRequests(
            f"The allowance of {' and '.join(labels)} is used up; there is more in {wait} s.",
            headers={RETRY_AFTER: str(wait)},
            **extensions,
        )
    problem.guard = GUARD
    return problem


def whole(rules: Sequence[Rule], lefts: Sequence[float], cost: int) -> list[float]:
    """Return what is left under each rule after a refusal: nothing was taken."""
    return [left + cost * rule.interval for rule, left in zip(rules, lefts, strict=True)]
