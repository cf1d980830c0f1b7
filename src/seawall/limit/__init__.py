"""How often something may be done: rates, quotas, and the stores that count them."""

from seawall.limit.fields import ALMOST, STATE
from seawall.limit.limits import Check, LimitOptions, Limits, QuickCheck, groups
from seawall.limit.rate import Rate, rates
from seawall.limit.rule import SLACK

__all__ = ["ALMOST", "SLACK", "STATE", "Check", "LimitOptions", "Limits", "QuickCheck", "Rate", "groups", "rates"]
