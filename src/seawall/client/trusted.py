"""Which targets are told about the call that is being served."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv6Address
from urllib.parse import urlsplit

from seawall.settings.client import split_target

__all__ = ["Trusted"]

_PORTS = {"http": 80, "https": 443}


class Trusted:
    """Hosts of the same house.

    Args:
        patterns: As in the setting ``client.trusted``.

    Raises:
        ValueError: One is malformed.
    """

    __slots__ = ("_below", "_exact")

    def __init__(self, patterns: Iterable[str]) -> None:
        self._exact: set[tuple[str, int | None]] = set()
        self._below: list[tuple[str, int | None]] = []
        for pattern in patterns:
            below, host, port = split_target(pattern)
            if below:
                self._below.append((f".{host}", port))
            else:
                self._exact.add((host, port))

    def includes(self, url: str) -> bool:
        """Whether *url* leads to one of them. Of a name what is written counts, not what it resolves to."""
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port or _PORTS.get(parts.scheme)
        if ":" in host:
            host = IPv6Address(host).compressed
        if (host, None) in self._exact or (host, port) in self._exact:
            return True
        return any(host.endswith(below) and wanted in {None, port} for below, wanted in self._below)
