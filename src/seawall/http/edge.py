"""The fragments at the outer edge: limits of the request itself, trusted hosts, proxies, cross-origin rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from seawall.call import Call
from seawall.http.cors import CorsPolicy
from seawall.http.hosts import TrustedHosts
from seawall.http.proxies import TrustedProxies
from seawall.plan import Place, Writer
from seawall.problems import HeadersTooLarge, Misdirected, UriTooLong

__all__ = ["Cors", "Hosts", "Limits", "Proxies"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Refuses requests whose path, query or header fields are larger than the service accepts.

    Args:
        path: Bytes of path.
        query: Bytes of query.
        fields: Number of header fields. (Their bytes are bounded where they are read: by the server.)
    """

    path: int
    query: int
    fields: int
    name: str = "limits"
    place: Place = Place.ARRIVE

    @property
    def note(self) -> str:
        """The limits, for people."""
        return f"path {self.path} B, query {self.query} B, {self.fields} header fields"

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        """Write one comparison for what is usual, and the exact look for what is not."""
        path = writer.bind("max_path", self.path)
        query = writer.bind("max_query", self.query)
        count = writer.bind("max_fields", self.fields)
        refuse = writer.bind("refuse_size", self.refuse)
        with writer.block(f"if len(fields) > {count} or len(path) > {path} or len(raw_query) > {query}:"):
            writer.line(f"{refuse}(path, fields)")
        inner()

    def refuse(self, path: str, fields: list[tuple[bytes, bytes]]) -> None:
        """Say which limit was passed."""
        if len(path) > self.path:
            raise UriTooLong(f"The path may have {self.path} bytes at the most.")
        if len(fields) > self.fields:
            raise HeadersTooLarge(f"A request may have {self.fields} header fields at the most.")
        raise UriTooLong(f"The query may have {self.query} bytes at the most.")


class Hosts:
    """Refuses requests for hosts the service does not answer for."""

    name = "hosts"
    place = Place.ARRIVE

    def __init__(self, hosts: TrustedHosts) -> None:
        self._hosts = hosts

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        """Write the look-up of the Host field."""
        allows = writer.bind("allows_host", self._hosts.allows)
        misdirected = writer.bind("misdirected", misdirected_host)
        with writer.block(f'if not {allows}(headers.get(b"host")):'):
            writer.line(f"raise {misdirected}()")
        inner()

    def admit(self, _: Any, call: Call) -> None:
        """Refuse a WebSocket for another host.

        Raises:
            Misdirected: The service does not answer for it.
        """
        if not self._hosts.allows(call.metadata.get(b"host")):
            raise misdirected_host()


def misdirected_host() -> Misdirected:
    """Return the problem for a host the service does not answer for."""
    return Misdirected("This service does not answer for the host the request names.")


class Proxies:
    """Believes what trusted proxies say of the client's address and scheme."""

    name = "proxies"
    place = Place.ARRIVE

    def __init__(self, proxies: TrustedProxies) -> None:
        self._proxies = proxies

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        """Write the call that replaces address and scheme."""
        believe = writer.bind("believe_proxies", self.believe)
        writer.line(f"scheme = {believe}(scheme, fields, call)")
        with writer.block("if scope is not None:"):
            writer.line('scope["client"], scope["scheme"] = call.peer, scheme')
        inner()

    def admit(self, scope: dict[str, Any], call: Call) -> None:
        """Put the client's own address and scheme in the place of the proxy's for a WebSocket."""
        scheme = self.believe(scope["scheme"], scope["headers"], call)
        scope["client"], scope["scheme"] = call.peer, scheme

    def believe(self, scheme: str, fields: list[tuple[bytes, bytes]], call: Call) -> str:
        """Put the client's own address in the place of the proxy's, and return the client's own scheme."""
        peer = call.peer
        address, scheme, _ = self._proxies.client(peer[0] if peer else None, scheme, fields)
        if address is not None and (not peer or address != peer[0]):
            call.peer = (address, 0)  # a proxy does not say from which port
        return scheme


class Cors:
    """Tells browsers which other origins may read the answers."""

    name = "cors"
    place = Place.ARRIVE

    def __init__(self, policy: CorsPolicy) -> None:
        self._policy = policy

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        """Write the look-up of the fields for the request's origin."""
        fields = writer.bind("cors_fields", self._policy.headers_for)
        writer.line(f'call.fields = list({fields}(headers.get(b"origin")))')
        inner()
