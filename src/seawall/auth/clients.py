"""Machine clients (RFC 6749 §4.4): services that act for themselves."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import Protocol

import msgspec

from seawall.auth.fingerprints import digest
from seawall.auth.issuing import Grant, InvalidGrant

__all__ = ["Client", "Clients", "FixedClients", "authenticate_client", "client_grant"]


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """A client of the token endpoint.

    Args:
        id: Its name.
        secret: The hash of its secret, by `seawall.auth.digest` (random, no password); None for a public client.
        scopes: What it may be granted for itself.
        roles: The roles of calls it makes for itself.
        machine: Whether it may act for itself (the grant ``client_credentials``).
    """

    id: str
    secret: str | None = None
    scopes: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    machine: bool = False


class Clients(Protocol):
    """Where clients are known."""

    async def find_client(self, client_id: str) -> Client | None:
        """Return the client with this id."""
        ...


class FixedClients:
    """Clients that are known when the service starts."""

    def __init__(self, clients: Iterable[Client]) -> None:
        self._clients = {client.id: client for client in clients}

    async def find_client(self, client_id: str) -> Client | None:
        """Return the client with this id."""
        return self._clients.get(client_id)


async def authenticate_client(clients: Clients, client_id: str, secret: str | None) -> Client | None:
    """Return the client if *secret* is its own; a public one has none, and must send none."""
    client = await clients.find_client(client_id)
    kept = client.secret if client is not None else digest("nobody")
    if kept is None:
        return client if secret is None else None
    right = hmac.compare_digest(kept, digest(secret or ""))
    return client if right and client is not None else None


def client_grant(client: Client, scopes: Iterable[str] | None) -> Grant:
    """Return what *client* is granted for itself: all of its scopes, or those it asks for.

    Raises:
        InvalidGrant: It may not act for itself, or asks for more.
    """
    wanted = client.scopes if scopes is None else frozenset(scopes)
    if not client.machine or not wanted <= client.scopes:
        raise InvalidGrant("the client may not have this")
    return Grant(subject=client.id, roles=client.roles, scopes=wanted, client=client.id)
