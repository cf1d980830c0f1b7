"""Attempts to log in, counted where the service counts calls: among workers and machines if its limits are."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from seawall.limit.limits import Limits
from seawall.limit.rate import rates
from seawall.limit.rule import refused, rule_of

__all__ = ["Attempts"]


class Attempts:
    """A `seawall.auth.passwords.Throttle` on the limits of a service.

    Keys are kept as digests: names of accounts do not stand in a store. While a distant store cannot be reached, what
    ``limit.on_outage`` says is done: each process counts by itself, or attempts pass uncounted, or are refused.

    Args:
        limits: Returns the limits.
        rate: How many attempts there may be, like ``"5/minute"``.
        name: Those of one name are counted together.
    """

    def __init__(self, limits: Callable[[], Limits], rate: str, name: str) -> None:
        self._limits = limits
        self._rules = tuple(rule_of(each, name, index) for index, each in enumerate(rates(rate)))

    async def take(self, key: str) -> float:
        """Count one attempt under *key*; return 0, or the seconds to wait because there were too many.

        Raises:
            Unavailable: They cannot be counted, and ``limit.on_outage`` is ``closed``.
        """
        limits, key = self._limits(), _digest(key)
        if limits.remote is not None:
            lefts = await limits.remote.take(self._rules, key, 1)
        else:
            lefts = limits.local.take(self._rules, key, 1) if limits.local is not None else None
        if lefts is None or not refused(lefts):
            return 0.0
        waits = zip(self._rules, lefts, strict=True)
        return max(rule.wait(left, limits.calendar) for rule, left in waits if left < 0)

    async def forgive(self, key: str) -> None:
        """Forget the attempts under *key*: one succeeded."""
        limits, key = self._limits(), _digest(key)
        if limits.remote is not None:
            await limits.remote.forgive(self._rules, key)
        elif limits.local is not None:
            limits.local.forgive(self._rules, key)


def _digest(key: str) -> str:
    return "\2" + hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
