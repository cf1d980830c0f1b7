"""Settings of what is seen of a service."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from seawall.settings.table import Reloadable, Table

__all__ = ["TelemetrySettings"]

_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_ENDPOINT = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")


def _path(text: str) -> str:
    if not _PATH.fullmatch(text):
        raise ValueError(f'{text!r} is no plain path; write "/metrics"')
    return text


def _endpoint(text: str) -> str:
    if not _ENDPOINT.fullmatch(text):
        raise ValueError(
            "it is no address of a collector (OTLP over HTTP); write "
            '"http://localhost:4318", without user and password: those go into OTEL_EXPORTER_OTLP_HEADERS'
        )
    return text


class TelemetrySettings(Table, table="telemetry", env_prefix="SEAWALL_TELEMETRY_"):
    """What is measured of a service, and who may see it."""

    metrics: Literal["never", "loopback", "always"] = Field(
        default="loopback",
        description="Who may read the metrics: nobody (then nothing is counted), callers on this machine, or "
        "everybody.",
    )
    metrics_path: Annotated[str, AfterValidator(_path)] = Field(
        default="/metrics", max_length=200, description="Where they are read."
    )
    otlp_endpoint: Annotated[str, AfterValidator(_endpoint)] | None = Field(
        default=None,
        description="The collector that traces are sent to, by OTLP over HTTP, such as `http://localhost:4318`; "
        "without one, none are recorded. Needs the extra `otel`.",
    )
    trace_ratio: Reloadable[float] = Field(
        default=0.1, ge=0, le=1, description="How many of the calls are recorded that no caller has decided about."
    )
    trace_callers: Reloadable[bool] = Field(
        default=True, description="Whether callers decide for their own calls (`traceparent`)."
    )
    trace_queue: int = Field(
        default=2048, ge=1, le=1_000_000, description="Spans that may wait to be sent; further ones are dropped."
    )
