"""Callers as parts of a key: everything about one that can make his answer another."""

from __future__ import annotations

import msgspec

from seawall.call import Principal

__all__ = ["Callers", "caller"]

_FOR_A_WHILE = frozenset({"exp", "iat", "nbf", "jti"})
"""Claims that differ between two tokens of one caller and say nothing about what he may see."""


def caller(principal: Principal) -> bytes:
    """Return everything about a caller that can make his answer another: subject, roles, scopes, claims."""
    claims = {name: value for name, value in principal.claims.items() if name not in _FOR_A_WHILE}
    return msgspec.msgpack.encode(
        [principal.subject, principal.roles, principal.scopes, claims], order="deterministic", enc_hook=repr
    )


class Callers:
    """Remembers what `caller` returns of principals that come again, as those of verified tokens do.

    They are told apart as objects: to compare them would cost as much as to encode one. A principal is frozen, and so
    are its claims; to know more of a caller, a guard makes another one.

    Args:
        most: How many are remembered; they are kept alive for that time.
    """

    __slots__ = ("_known", "_most")

    def __init__(self, most: int = 4096) -> None:
        self._known: dict[int, tuple[Principal, bytes]] = {}
        self._most = most

    def __call__(self, principal: Principal) -> bytes:
        """Return what `caller` returns."""
        known = self._known.get(id(principal))
        if known is not None and known[0] is principal:
            return known[1]
        key = caller(principal)
        if len(self._known) >= self._most:
            self._known.clear()
        self._known[id(principal)] = principal, key
        return key
