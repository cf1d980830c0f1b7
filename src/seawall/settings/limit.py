"""The settings of rate limits."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from seawall.settings.table import Reloadable, Seconds, Table

__all__ = ["LimitSettings"]


class LimitSettings(Table, table="limit", env_prefix="SEAWALL_LIMIT_"):
    """Where calls are counted for rate limits, and what happens when that place is out of order."""

    store: Literal["auto", "memory", "shared", "redis"] = Field(
        default="auto",
        description="Where: `memory` of each process, memory `shared` by the workers of one host, or `redis`. auto "
        "takes Redis if `redis.url` is set, else shared if there are several workers, else memory.",
    )
    on_outage: Reloadable[Literal["open", "closed", "local"]] = Field(
        default="local",
        description="While Redis cannot be reached: `open` lets calls pass uncounted, `closed` answers them with 503, "
        "`local` lets each process count by itself.",
    )
    timeout: Seconds = Field(
        default=0.08, gt=0, le=10, description="How long a decision of Redis may take before it counts as an outage."
    )
    retry: Seconds = Field(
        default=1.0, gt=0, le=3600, description="How long Redis is left alone after an outage before it is tried again."
    )
    max_keys: int = Field(
        default=100_000,
        ge=1,
        le=10_000_000,
        description="Most callers that are counted at a time, all limits together: about 200 bytes each in memory, 64 "
        "in shared memory. Beyond that, those who have used least are forgotten.",
    )
    ipv6_prefix: int = Field(
        default=64,
        ge=16,
        le=128,
        description="Bits of an IPv6 address that make a caller: all addresses within are his.",
    )
    lease: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="Calls that a process takes from Redis at a time, a tenth of a burst at most; 0 asks each time.",
    )
    lease_seconds: Seconds = Field(default=1.0, gt=0, le=60, description="How long such a portion may be held.")
    fields: Reloadable[bool] = Field(
        default=True,
        description="Whether every answer says what is left (`RateLimit`, `RateLimit-Policy`), or refusals only.",
    )
