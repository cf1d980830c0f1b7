"""What policies raise.

::

    Unavailable                    503
    └── Rejected                   503  the call was not made; every one carries Retry-After
        ├── BreakerOpen                 the target has failed too often
        ├── BulkheadFull                too many calls to the target at once
        ├── RateLimited                 too many calls to the target in this time
        ├── LimitReached                more calls at once than the target keeps up with
        └── Throttled                   the target turns most calls away already
    DeadlineExceeded               504
    └── TimedOut                   504  the call was made, and cancelled

`str` of one names the policy, for logs; what the caller is told does not.
"""

from __future__ import annotations

import math

from seawall.problems import DeadlineExceeded, Unavailable

__all__ = ["BreakerOpen", "BulkheadFull", "LimitReached", "RateLimited", "Rejected", "Throttled", "TimedOut"]


class Rejected(Unavailable):
    """503: a policy did not let the call out; it has had no effect anywhere.

    Args:
        target: The policy's name: whom the call was for.
        reason: Why, for logs.
        retry_after: Seconds after which it may be let out; None where nobody can tell.
    """

    type = "urn:problem-type:seawall:rejected"
    title = "Not available now"

    def __init__(self, target: str, reason: str, retry_after: float | None = None) -> None:
        wait = 1 if retry_after is None else max(1, math.ceil(retry_after))
        super().__init__(headers={"retry-after": str(wait)})
        self.args = (f"{self.guard} {target!r}: {reason}",)
        self.target = target
        self.retry_after = retry_after


class BreakerOpen(Rejected):
    """503: what the call needs has failed too often and is left alone for a while."""

    type = "urn:problem-type:seawall:breaker-open"
    title = "Not available until it has recovered"
    guard = "breaker"


class BulkheadFull(Rejected):
    """503: as many calls as may run at once run already, and the queue is full or took too long."""

    type = "urn:problem-type:seawall:bulkhead-full"
    title = "Too many calls at once"
    guard = "bulkhead"


class RateLimited(Rejected):
    """503: as many calls as may be made in this time have been made already."""

    type = "urn:problem-type:seawall:outgoing-rate"
    title = "Too many calls in this time"
    guard = "rate_limit"


class LimitReached(Rejected):
    """503: the target does not keep up with more calls at once."""

    type = "urn:problem-type:seawall:limit-reached"
    title = "As busy as it can be"
    guard = "adaptive_limit"


class Throttled(Rejected):
    """503: the target turns so many calls away that some are not sent to it at all."""

    type = "urn:problem-type:seawall:throttled"
    title = "Turned away while it is overloaded"
    guard = "throttle"


class TimedOut(DeadlineExceeded):
    """504: the call was made and took too long; it may have had an effect.

    Args:
        target: The policy's name.
        limit: The seconds it had.
    """

    type = "urn:problem-type:seawall:timed-out"
    title = "Took too long"
    guard = "timeout"

    def __init__(self, target: str, limit: float) -> None:
        super().__init__()
        self.args = (f"timeout {target!r}: not done within {limit:.4g} s",)
        self.target = target
        self.limit = limit
