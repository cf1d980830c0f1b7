"""Trusted hosts: which `Host` a service answers to (RFC 9110 §7.2).

A service that builds links, or a cache in front of it, must not take its own name from whoever calls.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv6Address

from seawall.problems import ConfigurationError

__all__ = ["TrustedHosts", "split_host"]

MAX_CACHED = 256
"""How many hosts are remembered."""

_LABEL = r"[0-9A-Za-z_](?:[0-9A-Za-z_-]{0,61}[0-9A-Za-z_])?"
_HOST = re.compile(rf"(?:({_LABEL}(?:\.{_LABEL})*)\.?|\[([0-9A-Fa-f:.]{{2,45}})\])(?::([0-9]{{1,5}}))?")


def split_host(host: str) -> tuple[str, int | None] | None:
    """Split ``host[:port]`` into the name and the port.

    Returns:
        The name in lower case without a final dot (an IPv6 address in brackets, in its shortest form) and the
        port or None; or None when it is malformed. User information, paths and percent escapes are malformed.
    """
    if len(host) > 262:  # 255 octets of name (RFC 1035), a dot, a colon, five digits
        return None
    match = _HOST.fullmatch(host)
    if match is None:
        return None
    name, address, digits = match.groups()
    if address is not None:
        try:
            name = f"[{IPv6Address(address).compressed}]"
        except ValueError:
            return None
    port = int(digits) if digits is not None else None
    if port is not None and port > 65535:
        return None
    return name.lower(), port


class TrustedHosts:
    """The hosts a service answers to.

    Args:
        patterns: ``"example.com"`` (any port), ``"example.com:8443"`` (that port only), ``"*.example.com"``
            (every host below it, not itself), ``"[::1]"``, or ``"*"`` (any well-formed host, and requests
            without one).

    Raises:
        ConfigurationError: A pattern is malformed, or there is none.

    Asking costs one look-up in the set `known` for a host seen before. Only hosts that are allowed are
    remembered, 256 of them at most: strangers cannot use up their room.
    """

    __slots__ = ("_any", "_below", "_exact", "known")

    def __init__(self, patterns: Iterable[str]) -> None:
        self._any = False
        self._exact: set[tuple[str, int | None]] = set()
        self._below: set[tuple[str, int | None]] = set()
        self.known: set[bytes | None] = set()
        for pattern in patterns:
            self._add(pattern)
        if not (self._any or self._exact or self._below):
            raise ConfigurationError("trusted hosts is empty: name the hosts, or '*' to answer to any")
        if self._any:
            self.known |= {None, b""}

    def allows(self, host: bytes | None) -> bool:
        """Whether the service answers to this `Host` (None when the request has none); never raises."""
        return host in self.known or self._decide(host)

    def _decide(self, host: bytes | None) -> bool:
        if not host:
            return False  # with "*" both spellings of "no host" are known
        parts = split_host(host.decode("latin-1"))
        if parts is None or not (self._any or self._matches(*parts)):
            return False
        if len(self.known) < MAX_CACHED:
            self.known.add(host)
        return True

    def _matches(self, name: str, port: int | None) -> bool:
        if (name, None) in self._exact or (name, port) in self._exact:
            return True
        if not self._below:
            return False
        # At most 127 dots fit into a name.
        dot = name.find(".")
        while dot != -1:
            below = name[dot + 1 :]
            if (below, None) in self._below or (below, port) in self._below:
                return True
            dot = name.find(".", dot + 1)
        return False

    def _add(self, pattern: str) -> None:
        if pattern == "*":
            self._any = True
            return
        parts = split_host(pattern.removeprefix("*."))
        if parts is None or (pattern.startswith("*.") and parts[0].startswith("[")):
            raise ConfigurationError(
                f"trusted host {pattern!r} is not a host: write 'example.com', '*.example.com', "
                "'example.com:8443', '[::1]' or '*', without a scheme or path"
            )
        (self._below if pattern.startswith("*.") else self._exact).add(parts)
