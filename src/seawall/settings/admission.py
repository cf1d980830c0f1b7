"""The settings of admission."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from seawall.settings.own import _token  # the names HTTP knows
from seawall.settings.table import Reloadable, Seconds, Table

__all__ = ["AdmissionSettings"]


class AdmissionSettings(Table, table="admission", env_prefix="SEAWALL_ADMISSION_"):
    """How much work the service takes on at once, and what it refuses when that is too much."""

    enabled: Reloadable[bool] = Field(
        default=True, description="Whether calls are refused when the service has more to do than it can."
    )
    limit: Reloadable[int] = Field(
        default=0, ge=0, le=1_000_000, description="Calls that run at once; 0 finds out how many there can be."
    )
    min_limit: Reloadable[int] = Field(
        default=16,
        ge=1,
        le=100_000,
        description="Least that can be found out. So few calls are no overload, however long they take.",
    )
    max_limit: Reloadable[int] = Field(
        default=1000, ge=1, le=1_000_000, description="Most calls that run at once, also while there is no overload."
    )
    tolerance: Reloadable[float] = Field(
        default=1.05,
        ge=1.0,
        le=10.0,
        description="How many times as long as without load calls may take before there are too many.",
    )
    remeasure: Reloadable[Seconds] = Field(
        default=10.0,
        ge=0.1,
        le=3600,
        description="How often the latency without load is measured anew, under a lower limit; only while the limit is "
        "reached.",
    )
    queue: Reloadable[int] = Field(
        default=256, ge=0, le=100_000, description="Calls that wait for their turn when as many run as there can be."
    )
    queue_wait: Reloadable[Seconds] = Field(
        default=0.02,
        gt=0,
        le=60,
        description="How long calls may have waited in an overload, in that queue or for the event loop, before more "
        "are refused.",
    )
    harmful_wait: Reloadable[Seconds] = Field(
        default=0.5,
        gt=0,
        le=60,
        description="How long calls must have waited before it is an overload; before that none is refused, unless "
        "`limit` or `max_limit` is reached.",
    )
    priority_header: Annotated[str, AfterValidator(lambda name: _token(name) if name else name)] = Field(
        default="",
        max_length=64,
        description="Header field whose value (`critical`, `normal`, `sheddable`) is the priority of a call. Whoever "
        "can send it is believed: name one only where a gateway sets it and drops what callers send.",
    )
    priority_claim: str = Field(
        default="", max_length=64, description="Claim of a principal that is the priority of his calls in bulkheads."
    )
    fair_by: Literal["credential", "address"] = Field(
        default="credential",
        description="Among whom a full service shares its turns: those of one `Authorization`, else of one address; or "
        "addresses only.",
    )
