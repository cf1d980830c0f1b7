"""Where calls to URLs that somebody else gave may lead: not inside (OWASP, *Server Side Request Forgery Prevention*).

A URL is judged twice: its scheme, port and a literal address before anything is done, and each address its name
resolves to when it has been resolved. The connection goes to an address that was judged, not to what the name resolves
to a moment later (DNS rebinding).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from seawall.client.problems import DestinationRefused
from seawall.problems import DeclarationError

__all__ = ["Destinations"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_DEFAULT_PORTS = {"http": 80, "https": 443}
# Prefixes under which an IPv4 address is reached by IPv6: RFC 6052 (NAT64), RFC 4291 (compatible).
_EMBEDDING = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))
# Not marked as private by every version of Python: RFC 8215, RFC 6890, RFC 3068 (6to4 relays), site-local.
_NEVER = tuple(
    ipaddress.ip_network(network)
    for network in ("64:ff9b:1::/48", "192.0.0.0/24", "192.88.99.0/24", "fec0::/10", "100.64.0.0/10", "2001::/23")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Destinations:
    """Where a client may go, whoever gave it the URL: to public addresses, by the schemes and ports named here.

    Args:
        schemes: Schemes.
        ports: Ports; None for any.
        allow: Networks that are allowed although they are not public, such as ``"10.1.0.0/16"``.

    Raises:
        DeclarationError: A scheme is not HTTP's, a port or a network is none.
    """

    schemes: frozenset[str] = frozenset({"https"})
    ports: frozenset[int] | None = frozenset({443})
    allow: tuple[str, ...] = ()
    _allowed: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = field(
        default=(), init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if not self.schemes or not set(self.schemes) <= set(_DEFAULT_PORTS):
            raise DeclarationError(f"Destinations: schemes={self.schemes!r} is not possible: name http, https or both.")
        if self.ports is not None and not all(0 < port < 65536 for port in self.ports):
            raise DeclarationError(f"Destinations: ports={self.ports!r} is not possible: name ports from 1 to 65535.")
        try:
            networks = tuple(ipaddress.ip_network(network) for network in self.allow)
        except ValueError as error:
            raise DeclarationError(f'Destinations: allow={self.allow!r}: {error}; write "10.1.0.0/16".') from None
        object.__setattr__(self, "_allowed", networks)

    def check(self, scheme: str, host: str | None, port: int | None) -> None:
        """Judge what can be judged of a URL before its host is resolved.

        Args:
            scheme: Its scheme.
            host: Its host as it will be looked up or connected to, after IDNA: what one parser takes for a name
                with wide digits is an address to another.
            port: Its port; None for the scheme's own.

        Raises:
            DestinationRefused: It leads where it must not.
        """
        if scheme not in self.schemes or not host:
            raise DestinationRefused(f"the scheme {scheme!r} is none of {sorted(self.schemes)}, or there is no host")
        port = port or _DEFAULT_PORTS[scheme]
        if self.ports is not None and port not in self.ports:
            raise DestinationRefused(f"port {port} is none of {sorted(self.ports)}")
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return  # a name: what it resolves to is judged when it has been resolved
        self.check_address(host)

    def check_address(self, text: str) -> None:
        """Judge an address that is about to be connected to.

        Raises:
            DestinationRefused: It is not public and not allowed.
        """
        try:
            address: Address = ipaddress.ip_address(text)
        except ValueError:
            raise DestinationRefused(f"{text[:100]!r} is no address") from None
        meant = _meant(address)
        if any(
            one.version == network.version and one in network for network in self._allowed for one in (address, meant)
        ):
            return
        if not _public(address) or not _public(meant):
            raise DestinationRefused(f"{text} is not a public address")


def _meant(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, if it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    inside = address.ipv4_mapped or address.sixtofour
    if inside is None and address.teredo is not None:
        inside = address.teredo[1]
    if inside is None and any(address in network for network in _EMBEDDING):
        inside = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return inside or address


def _public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return True  # the address it stands for is the one that counts
    if any(address.version == network.version and address in network for network in _NEVER):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)
