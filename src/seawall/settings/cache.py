"""The settings of the cache."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from seawall.settings.table import Seconds, Size, Table

__all__ = ["CacheSettings"]


class CacheSettings(Table, table="cache", env_prefix="SEAWALL_CACHE_"):
    """What a process keeps in memory, and the tier it shares with others."""

    store: Literal["auto", "memory", "redis"] = Field(
        default="auto",
        description="Whether values are shared: in `memory` of each process alone, or over `redis` too. auto takes "
        "Redis if `redis.url` is set. Answers of operations are kept in memory.",
    )
    max_entries: int = Field(
        default=10_000, ge=1, le=10_000_000, description="Most values, and most answers, in memory of one process."
    )
    max_bytes: Size = Field(
        default=64 * 1024 * 1024,
        ge=1024,
        le=1024**4,
        description="Most bytes of values, and of answers, in memory of one process.",
    )
    max_value: Size = Field(
        default=1024 * 1024,
        ge=1,
        le=1024**3,
        description="The largest value or answer that is kept; larger ones are not an error.",
    )
    compress_from: Size = Field(
        default=1024,
        ge=0,
        le=1024**3,
        description="From how many bytes on a value is compressed (zstd) in Redis; 0 for never.",
    )
    local_ttl: Seconds = Field(
        default=1.0,
        gt=0,
        le=3600,
        description="How long a process goes by its copy of a shared value before it looks again: how late it learns "
        "of an invalidation whose message was lost.",
    )
    lease: Seconds = Field(
        default=10.0,
        gt=0,
        le=600,
        description="How long one process may load a shared value before another one does it as well.",
    )
    load_timeout: Seconds = Field(default=30.0, gt=0, le=3600, description="How long one load may take.")
    on_outage: Literal["load", "fail"] = Field(
        default="load",
        description="While Redis cannot be reached, or is full: each process loads for itself what it does not have "
        "(`load`), or calls that need such a value are answered with 503 (`fail`).",
    )
    timeout: Seconds = Field(
        default=0.25,
        gt=0,
        le=60,
        description="How long waiting for a connection to Redis, connecting, and each answer may take, each for "
        "itself, before it is an outage.",
    )
    retry: Seconds = Field(
        default=1.0, gt=0, le=3600, description="How long Redis is left alone after an outage before it is tried again."
    )
