"""Impossible settings are refused where they are written, with the fix."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from seawall.problems import DeclarationError
from seawall.resilience import (
    AdaptiveLimit,
    Backoff,
    Breaker,
    Budget,
    Bulkhead,
    Fallback,
    Hedge,
    Outcomes,
    RateLimit,
    Retry,
    Stale,
    Throttle,
    Timeout,
)

DURATIONS = [
    (Timeout, "seconds"),
    (Breaker, "open_for"),
    (Breaker, "longest_open"),
    (Breaker, "slow_after"),
    (Breaker, "probe_patience"),
    (Retry, "longest_wait"),
    (Throttle, "window"),
    (Stale, "max_age"),
    (Hedge, "after"),
    (Hedge, "until_known"),
]
WHOLE = [
    (Breaker, "window"),
    (Breaker, "minimum_calls"),
    (Breaker, "probes"),
    (Breaker, "consecutive"),
    (Retry, "attempts"),
    (Bulkhead, "limit"),
    (Hedge, "extra"),
    (AdaptiveLimit, "start"),
    (AdaptiveLimit, "least"),
    (AdaptiveLimit, "most"),
]
SHARES = [(Breaker, "failure_rate")]
NUMBERS = [
    (Breaker, "growth"),
    (Breaker, "jitter"),
    (Backoff, "factor"),
    (Budget, "per_success"),
    (Budget, "capacity"),
    (Budget, "share"),
    (Throttle, "factor"),
]
IMPOSSIBLE = [
    *[(kind, name, value) for kind, name in DURATIONS for value in (0, -1, math.nan, math.inf, "soon", "-1s", True)],
    *[(kind, name, value) for kind, name in WHOLE for value in (0, -1, 1.5, math.nan, True, 10**12)],
    *[(kind, name, value) for kind, name in SHARES for value in (0, -0.1, 1.1, math.nan, math.inf, "half", True)],
    *[(kind, name, value) for kind, name in NUMBERS for value in (-1, math.nan, math.inf, "many", True)],
    *[(RateLimit, "rate", rate) for rate in ("10", "0/second", "-1/second", "1.5/second", "10/fortnight", 10, "")],
    *[(Bulkhead, "queue", value) for value in (-1, math.nan)],
]


@pytest.mark.parametrize(("kind", "name", "value"), IMPOSSIBLE)
def test_impossible_values(kind: Callable[..., object], name: str, value: object) -> None:
    needed = {"limit": 1} if kind is Bulkhead and name != "limit" else {}
    with pytest.raises(DeclarationError) as refused:
        kind(**{**needed, name: value})
    assert str(refused.value).startswith(f"{kind.__name__}: {name}={value!r} is not possible: ")
    assert len(str(refused.value)) > len(f"{kind.__name__}: {name}={value!r} is not possible: ") + 10


async def nothing() -> None: ...


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Breaker(window=10, minimum_calls=11), "never open"),
        (lambda: Breaker(open_for=60, longest_open=30), "shorter than open_for"),
        (lambda: Breaker(slow_rate=0.5), "slow_after"),
        (lambda: Breaker(failure_rate=None), "nothing would open it"),
        (lambda: Breaker(failure_rate=50), "for 50 % write 0.5"),
        (lambda: Retry(attempts=1), "retries nothing"),
        (lambda: Retry(counts=Outcomes(failed_result=bool)), "idempotent=True"),
        (lambda: Backoff(first=2, longest=1), "shorter than first"),
        (lambda: Backoff(jitter="some"), "decorrelated"),
        (lambda: Hedge(after="p0"), "from 1 to"),
        (lambda: Hedge(after="px"), "p95"),
        (Fallback, "nothing would be returned"),
        (lambda: Fallback(value=1, function=nothing), "keep one"),
        (lambda: AdaptiveLimit(least=5, most=4, start=4), "more than most"),
        (lambda: AdaptiveLimit(start=5, most=4), "from 2 to 4"),
        (lambda: Outcomes(failures=(OSError,), successes=(OSError,)), "another list"),
        (lambda: Outcomes(failures=OSError), "tuple"),
        (lambda: Outcomes(failures=("OSError",)), "tuple"),
    ],
)
def test_contradictions(make: Callable[[], object], told: str) -> None:
    with pytest.raises(DeclarationError, match=told):
        make()
