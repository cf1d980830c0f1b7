"""The settings of profiling."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from seawall.settings.table import Seconds, Table

__all__ = ["ProfilingSettings"]

SHORTEST_TOKEN = 32


class ProfilingSettings(Table, table="profiling", env_prefix="SEAWALL_PROFILING_"):
    """Whether the running process can be looked into at `/debug/`, and by whom."""

    enabled: bool = Field(
        default=False, description="Whether `/debug/` is served and the event loop is watched for stalls."
    )
    access: Literal["loopback", "token"] = Field(
        default="loopback",
        description="Who may look: callers on this machine, or whoever sends `Authorization: Bearer` with the token.",
    )
    token: SecretStr | None = Field(
        default=None,
        min_length=SHORTEST_TOKEN,
        max_length=512,
        description="The token; at least 32 characters, needed for and used by access `token` only.",
    )
    stall: Seconds = Field(
        default=0.1, ge=0.02, le=60, description="How long the event loop may not run before that is a stall."
    )
    stalls_kept: int = Field(default=100, ge=1, le=1_000, description="Stalls that are kept, the latest.")

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if self.enabled and self.access == "token" and self.token is None:
            raise ValueError('access is "token", but there is none; set SEAWALL_PROFILING_TOKEN')
        return self
