"""What a head that the parser takes must still be checked for, so that nobody reads a connection in another way.

The parser (llhttp, strict) refuses two lengths, a length beside a transfer coding, folded lines, bare line feeds,
chunks without a proper size and most else that one side of a proxy may read in one way and the other in another (RFC
9112 §11.2, "request smuggling"). What it leaves to the server is here.
"""

from __future__ import annotations

import re

__all__ = ["Hosts", "fault_of"]

Fields = list[tuple[bytes, bytes]]

MAX_KNOWN = 256
"""How many hosts are remembered."""
# RFC 3986 §3.2.2 and §3.2.3; without the comma, which would make one host of two fields that somebody has joined.
_HOST = re.compile(rb"(?:(?:[A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})*|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{0,5})?")
_AUTHORITY = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)")


class Hosts:
    """Hosts that were found well-formed before; asking for one of them costs one look into the set `known`."""

    __slots__ = ("known",)

    def __init__(self) -> None:
        self.known: set[bytes | None] = set()

    def accepts(self, host: bytes | None) -> bool:
        """Return whether *host* is a ``Host`` field's value as it may be; None, for no field, is not."""
        if host is None or len(host) > 262 or not _HOST.fullmatch(host):
            return False
        if len(self.known) < MAX_KNOWN:
            self.known.add(host)
        return True


def fault_of(version: str, target: bytes, fields: Fields, hosts: Hosts) -> str | None:
    """Return what is wrong with a head, for its sender; None when nothing is.

    Args:
        version: The version of HTTP it names, such as ``"1.1"``.
        target: The request target.
        fields: The header fields, names in lower case.
        hosts: Those known.
    """
    if version not in ("1.1", "1.0"):
        return f"HTTP/{version} is not spoken here; HTTP/1.1 is."
    found = [value for name, value in fields if name == b"host"]
    if len(found) > 1 or (not found and version == "1.1"):
        return "A request must have one Host field (RFC 9112 section 3.2)."
    host = found[0] if found else None
    if host is not None and host not in hosts.known and not hosts.accepts(host):
        return "The Host field is no host (RFC 9110 section 7.2)."
    if target[:1] != b"/" and host is not None and not _same_authority(target, host):
        return "The Host field and the request target name different hosts."
    codings = [value.lower() for name, value in fields if name == b"transfer-encoding"]
    if codings and (version == "1.0" or codings != [b"chunked"]):
        return "Of transfer codings only chunked is understood, and only in HTTP/1.1 (RFC 9112 section 6.1)."
    return None


def _same_authority(target: bytes, host: bytes) -> bool:
    """Return whether *target* is no URL, or one of *host*; user information is not a part of any host."""
    match = _AUTHORITY.match(target)
    return match is None or match[1].lower() == host.lower()
