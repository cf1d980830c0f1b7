"""What stands around a call to somebody else: breaker, retry, timeout, bulkhead, hedge, fallback, rate, limits.

Each policy is a small frozen value (`Breaker`, `Retry`, …); `Resilience` makes the engine that works by it, once for
each name. Nothing here knows a transport.

::

    resilience = Resilience()
    payments = resilience.pipeline("payments", Retry(idempotent=True), Breaker(), Timeout("2s"), Bulkhead(limit=20))

    @payments
    async def charge(order: Order) -> Receipt: ...
"""

from __future__ import annotations

from seawall.resilience.adaptive import AdaptiveLimit, AdaptiveLimitEngine, AdaptivePermit
from seawall.resilience.attempts import ATTEMPT_HEADER, RETRIED_HEADER, attempt, is_retried, mark_retried, repeatable
from seawall.resilience.backoff import Backoff
from seawall.resilience.breaker import Breaker
from seawall.resilience.breaker_engine import BreakerEngine, BreakerPermit, BreakerSnapshot
from seawall.resilience.budget import Budget, BudgetEngine
from seawall.resilience.bulkhead import Bulkhead, BulkheadEngine, BulkheadPermit
from seawall.resilience.engine import Engine, NestedRetryWarning, Policy
from seawall.resilience.environment import Environment
from seawall.resilience.events import (
    CallRefused,
    Event,
    FellBack,
    GaveUp,
    Hedged,
    Hook,
    LimitChanged,
    Retrying,
    StateChanged,
    StoreLost,
    TookTooLong,
    log_events,
)
from seawall.resilience.fallback import Fallback, FallbackEngine, Stale
from seawall.resilience.hedge import Hedge, HedgeEngine
from seawall.resilience.outcomes import Outcome, Outcomes
from seawall.resilience.pipeline import Pipeline
from seawall.resilience.problems import (
    BreakerOpen,
    BulkheadFull,
    LimitReached,
    RateLimited,
    Rejected,
    Throttled,
    TimedOut,
)
from seawall.resilience.rate import RateLimit, RateLimitEngine
from seawall.resilience.registry import Resilience
from seawall.resilience.retry import Attempt, Attempts, Retry, RetryEngine
from seawall.resilience.throttle import Throttle, ThrottleEngine, ThrottlePermit
from seawall.resilience.timeout import Timeout, TimeoutEngine

__all__ = [
    "ATTEMPT_HEADER",
    "RETRIED_HEADER",
    "AdaptiveLimit",
    "AdaptiveLimitEngine",
    "AdaptivePermit",
    "Attempt",
    "Attempts",
    "Backoff",
    "Breaker",
    "BreakerEngine",
    "BreakerOpen",
    "BreakerPermit",
    "BreakerSnapshot",
    "Budget",
    "BudgetEngine",
    "Bulkhead",
    "BulkheadEngine",
    "BulkheadFull",
    "BulkheadPermit",
    "CallRefused",
    "Engine",
    "Environment",
    "Event",
    "Fallback",
    "FallbackEngine",
    "FellBack",
    "GaveUp",
    "Hedge",
    "HedgeEngine",
    "Hedged",
    "Hook",
    "LimitChanged",
    "LimitReached",
    "NestedRetryWarning",
    "Outcome",
    "Outcomes",
    "Pipeline",
    "Policy",
    "RateLimit",
    "RateLimitEngine",
    "RateLimited",
    "Rejected",
    "Resilience",
    "Retry",
    "RetryEngine",
    "Retrying",
    "Stale",
    "StateChanged",
    "StoreLost",
    "Throttle",
    "ThrottleEngine",
    "ThrottlePermit",
    "Throttled",
    "TimedOut",
    "Timeout",
    "TimeoutEngine",
    "TookTooLong",
    "attempt",
    "is_retried",
    "log_events",
    "mark_retried",
    "repeatable",
]
