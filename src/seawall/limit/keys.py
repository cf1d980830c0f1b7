"""Whose allowance a call takes from."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Callable

from seawall.call import Call

__all__ = ["Addresses", "KeyOf", "key_of"]

KeyOf = Callable[[Call], str | None]
"""Returns the key of a call's allowance; None for a call that is not limited."""

_REMEMBERED = 4096
_LONGEST = 128


class Addresses:
    """Addresses as keys: one of IPv4 by itself, one of IPv6 by its network.

    Whoever has one address of IPv6 has 2^64 of them (RFC 6177): counted one by one, no limit would hold. Callers on a
    Unix socket have no address, and are one.

    Args:
        prefix: Bits of an IPv6 address that count.
    """

    def __init__(self, prefix: int) -> None:
        self._prefix = prefix
        self._known: dict[str, str] = {}

    def __call__(self, call: Call) -> str:
        """Return the key of the caller's address; no principal has the same."""
        peer = call.peer
        if peer is None:
            return "\0"
        address = peer[0]
        return f"\0{self._network(address)}" if ":" in address else f"\0{address}"

    def _network(self, address: str) -> str:
        known = self._known.get(address)
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = self._known[address] = _network(address, self._prefix)
        return known


def _network(address: str, prefix: int) -> str:
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed, prefix), strict=False))


def key_of(key: str | Callable[[Call], str | None], addresses: Addresses) -> KeyOf:
    """Return the function that finds the key of a call; see `Rate` for what *key* may be."""
    if callable(key):
        function = key

        def by_function(call: Call) -> str | None:
            found = function(call)
            return _short(found) if found is not None else None

        return by_function
    if key == "address":
        return addresses

    def principal(call: Call) -> str:
        who = call.principal
        return who.subject if who is not None else addresses(call)

    if key == "principal":
        return principal
    claim = key.removeprefix("claim:")

    def by_claim(call: Call) -> str:
        who = call.principal
        value = who.claims.get(claim) if who is not None else None
        return f"\1{_short(str(value))}" if value is not None else principal(call)

    return by_claim


def _short(key: str) -> str:
    """Return *key*, or what stands for one so long that many of them would take more memory than cells should."""
    if len(key) <= _LONGEST:
        return key
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
