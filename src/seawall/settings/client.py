"""Settings of calls that go out."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import Annotated

from pydantic import AfterValidator, Field

from seawall.settings.table import Seconds, Size, Table

__all__ = ["ClientSettings", "split_target"]

_DAY = 86_400
_LABEL = r"[0-9A-Za-z_](?:[0-9A-Za-z_-]{0,61}[0-9A-Za-z_])?"
_TARGET = re.compile(rf"(?:(\*\.)?({_LABEL}(?:\.{_LABEL})*)|\[([0-9A-Fa-f:.]{{2,45}})\])(?::([0-9]{{1,5}}))?")


def split_target(pattern: str) -> tuple[bool, str, int | None]:
    """Split ``*.internal:8443`` into whether it means hosts below a name, the name or address, and the port.

    Raises:
        ValueError: It is malformed, or means everybody.
    """
    match = _TARGET.fullmatch(pattern)
    try:
        if match is None:
            raise ValueError
        below, name, address, digits = match.groups()
        host = name.lower() if name is not None else IPv6Address(address).compressed
        port = int(digits) if digits is not None else None
        if port is not None and not 0 < port < 65536:
            raise ValueError
    except ValueError:
        raise ValueError(
            f'{pattern!r} is no host; write "payments.internal", "*.internal", "payments.internal:8443", "10.0.0.7" or '
            '"[::1]", without scheme and path (everybody cannot be trusted)'
        ) from None
    return below is not None, host, port


def _target(pattern: str) -> str:
    split_target(pattern)
    return pattern


Target = Annotated[str, AfterValidator(_target)]


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
    trusted: tuple[Target, ...] = Field(
        default=("localhost", "127.0.0.1", "[::1]"),
        description="Hosts that calls tell about the call they are made for (its id, its trace, the time it has left), "
        "such as `payments.internal`, `*.internal` or `payments.internal:8443`. Others are told nothing.",
    )
