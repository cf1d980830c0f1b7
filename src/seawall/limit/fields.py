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

__all__ = ["Fields", "too_many"]

POLICY = b"ratelimit-policy"
STATE = b"ratelimit"
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
    """`Fields` for one rule that flows, as quick as it can be.

    Args:
        rule: The rule.
    """

    def __init__(self, rule: Rule) -> None:
        self.policy = (POLICY, _policy(rule).encode())
        form = f'"{rule.label}";r=%d;t=%d'.encode()
        rate, tolerance = 1 / rule.interval, rule.tolerance

        def state(left: float) -> tuple[bytes, bytes]:
            return STATE, form % (int((left + SLACK) * rate), int(tolerance - left + 0.999))

        self.state = state
        """Returns the field that says what is left."""


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
