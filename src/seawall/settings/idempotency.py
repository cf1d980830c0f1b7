"""The settings of idempotency."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from seawall.settings.table import Seconds, Table

__all__ = ["IdempotencySettings"]

_YEAR = 366 * 86_400


class IdempotencySettings(Table, table="idempotency", env_prefix="SEAWALL_IDEMPOTENCY_"):
    """Where the answers of idempotent operations are kept, and for how long."""

    store: Literal["auto", "memory", "database", "redis"] = Field(
        default="auto",
        description="Where: the `database`, with the operation's own writes; `redis`; or `memory` of the process. auto "
        "takes the database if the service uses one or `database.url` is set, else Redis if `redis.url` is set, else "
        "memory.",
    )
    retention: Seconds = Field(
        default=86_400.0, gt=0, le=_YEAR, description="How long an answer is kept, and its key with it."
    )
    lease: Seconds = Field(
        default=30.0,
        gt=0,
        le=_YEAR,
        description="When a process that has not been heard of is taken for dead, and another call with its key may "
        "run; at least 5 s more than the operation's timeout. Of a call that runs it is renewed.",
    )
    wait: Seconds = Field(
        default=0.0,
        ge=0,
        le=3600,
        description="How long a call waits for another with its key that runs, within the operation's timeout and the "
        "time its caller allows; then it is answered with 409.",
    )
    on_outage: Literal["closed", "open"] = Field(
        default="closed",
        description="What becomes of calls with a key while the store cannot be reached: `closed` answers them with "
        "503, `open` runs them, and they may be done twice.",
    )
    max_keys: int = Field(
        default=100_000,
        ge=1,
        le=10_000_000,
        description="Most keys in memory. Beyond that calls with new ones are answered with 503.",
    )
