"""A budget of extra calls: what keeps retries and hedges from being the load that a target dies of.

Two limits, and both must allow. Tokens (as in Finagle's and gRPC's retry throttling) bound how many extra calls there
are over time: successes pay in, every extra call takes one out. A share of the calls under way (as in Envoy's retry
budgets) bounds how many there are at once.
"""

from __future__ import annotations

from dataclasses import dataclass

from seawall.resilience.checks import number, whole

__all__ = ["Budget", "BudgetEngine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How many extra calls a target may get.

    Args:
        per_success: Tokens that a success pays in.
        capacity: Tokens there can be; that many there are in the beginning.
        share: Share of the calls under way that may be extra ones.
        least: Extra calls that may be under way however few others there are.

    Raises:
        DeclarationError: A setting is impossible.
    """

    per_success: float = 0.1
    capacity: float = 10.0
    share: float = 0.2
    least: int = 3

    def __post_init__(self) -> None:
        number("Budget", "per_success", self.per_success, 0, 100)
        number("Budget", "capacity", self.capacity, 1, 1_000_000)
        number("Budget", "share", self.share, 0, 1)
        whole("Budget", "least", self.least, least=0)


class BudgetEngine:
    """A budget at work; one for each target, shared by everything that makes extra calls to it.

    Args:
        policy: Its settings.
    """

    __slots__ = ("active", "capacity", "extra", "per_success", "policy", "refused", "spent", "tokens")

    def __init__(self, policy: Budget) -> None:
        self.policy = policy
        self.per_success = policy.per_success
        self.capacity = policy.capacity
        self.tokens = policy.capacity
        self.active = 0
        """Calls under way; one that is made again counts once."""
        self.extra = 0
        """Extra calls under way."""
        self.spent = 0
        """Extra calls there have been."""
        self.refused = 0
        """Extra calls that there was no budget for."""

    def earn(self) -> None:
        """Pay in for a success."""
        self.tokens = min(self.capacity, self.tokens + self.per_success)

    def spend(self) -> bool:
        """Take one extra call, if there is budget for it; `done` ends it."""
        if self.tokens < 1 or self.extra + 1 > max(self.policy.share * self.active, self.policy.least):
            self.refused += 1
            return False
        self.tokens -= 1
        self.extra += 1
        self.spent += 1
        return True

    def done(self) -> None:
        """End an extra call."""
        self.extra -= 1
