"""Settings of calls that go out."""

from __future__ import annotations

from pydantic import Field

from seawall.settings.table import Seconds, Size, Table

__all__ = ["ClientSettings"]

_DAY = 86_400


class ClientSettings(Table, table="client", env_prefix="SEAWALL_CLIENT_"):
    """What calls to other services may take. Every limit is finite."""

    timeout: Seconds = Field(
        default=30.0, gt=0, le=_DAY, description="How long one attempt of a call may take, its answer included."
    )
    connect_timeout: Seconds = Field(
        default=5.0, gt=0, le=_DAY, description="How long a connection may take to be made, TLS included."
    )
    idle_timeout: Seconds = Field(
        default=30.0, gt=0, le=_DAY, description="How long a stream may send nothing before it is given up."
    )
    max_response: Size = Field(
        default=10 * 1024**2, ge=0, le=1024**4, description="Largest answer, after decompression."
    )
    max_connections: int = Field(
        default=100, ge=1, le=100_000, description="Most connections of one client; further calls wait for one."
    )
    max_connections_per_host: int = Field(
        default=100, ge=1, le=100_000, description="Most connections of one client to one host and port."
    )
    keep_alive: Seconds = Field(default=15.0, ge=0, le=_DAY, description="How long an idle connection is kept.")
    dns_cache: Seconds = Field(
        default=10.0, ge=0, le=_DAY, description="How long the addresses of a host are remembered."
    )
    max_redirects: int = Field(
        default=5,
        ge=0,
        le=20,
        description="Most redirects that a GET or HEAD follows: on the same origin, or to wherever the client's "
        "destinations allow.",
    )
