"""How often something may be done: rates, quotas, and the stores that count them."""

from seawall.limit.limits import Check, LimitOptions, Limits, groups
from seawall.limit.rate import Rate, rates

__all__ = ["Check", "LimitOptions", "Limits", "Rate", "groups", "rates"]
