"""How a cache works."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["CacheOptions", "OnOutage"]

OnOutage = Literal["load", "fail"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheOptions:
    """How a cache works; see `seawall.settings.CacheSettings` for what each option means."""

    store: Literal["auto", "memory", "redis"] = "auto"
    max_entries: int = 10_000
    max_bytes: int = 64 * 1024 * 1024
    max_value: int = 1024 * 1024
    compress_from: int = 1024
    local_ttl: float = 1.0
    lease: float = 10.0
    load_timeout: float = 30.0
    on_outage: OnOutage = "load"
    timeout: float = 0.25
    retry: float = 1.0
