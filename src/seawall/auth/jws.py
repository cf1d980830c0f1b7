"""JSON Web Signatures in compact form (RFC 7515), read strictly: what is not exactly one is none.

Nothing in a token chooses how it is checked: the algorithm must be on the verifier's list and one its key is for; keys
and addresses of keys that a token brings (``jwk``, ``jku``, ``x5u``, ``x5c``) make it refused, unread (RFC 8725 §3.10).
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from typing import Any

import msgspec

__all__ = ["Header", "InvalidToken", "Jws", "decode_part", "encode_part", "parse"]

_COMPACT = re.compile(rb"([A-Za-z0-9_-]{2,4096})\.([A-Za-z0-9_-]*)\.([A-Za-z0-9_-]+)").fullmatch
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_TO_URL = bytes.maketrans(b"+/", b"-_")
_PADDING = (b"", b"", b"==", b"=")
# The last character may carry no bits that are thrown away: one way to write a thing (RFC 4648 §3.5).
_LAST = (None, b"", b"AQgw", b"AEIMQUYcgkosw048")


class InvalidToken(ValueError):
    """A token is not valid; the message is for its holder and says nothing secret."""


class Header(msgspec.Struct, frozen=True):
    """The protected header of a token, as far as it is read."""

    alg: str
    kid: str | None = None
    typ: str | None = None
    cty: str | None = None
    crit: Any = msgspec.UNSET
    b64: Any = msgspec.UNSET
    jwk: Any = msgspec.UNSET
    jku: Any = msgspec.UNSET
    x5u: Any = msgspec.UNSET
    x5c: Any = msgspec.UNSET


class Jws:
    """A token taken apart, its signature not checked yet.

    Args:
        header: Its header.
        signed: What the signature is over.
        payload: What it says, still encoded.
        signature: The signature, still encoded.
    """

    __slots__ = ("header", "payload", "signature", "signed")

    def __init__(self, header: Header, signed: bytes, payload: bytes, signature: bytes) -> None:
        self.header = header
        self.signed = signed
        self.payload = payload
        self.signature = signature


def parse(token: bytes, known: Mapping[bytes, Header] | None = None) -> Jws:
    """Take a token in compact form apart.

    Args:
        token: The token.
        known: Headers of tokens that proved valid, as they were encoded: an issuer's tokens have one or two.

    Raises:
        InvalidToken: It is none, or asks for something that is never done.
    """
    found = _COMPACT(token)
    if found is None:
        raise InvalidToken("it is not a signed token in compact form")
    head, payload, signature = found.groups()
    header = known.get(head) if known else None
    if header is None:
        header = _header(head)
    return Jws(header, token[: -len(signature) - 1], payload, signature)


_decode_header = msgspec.json.Decoder(Header).decode


def _header(head: bytes) -> Header:
    try:
        header = _decode_header(decode_part(head))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise InvalidToken("its header cannot be read") from None
    if header.crit is not msgspec.UNSET or header.b64 is not msgspec.UNSET:
        raise InvalidToken("its header asks for an extension that is not known")
    for name in ("jwk", "jku", "x5u", "x5c"):
        if getattr(header, name) is not msgspec.UNSET:
            raise InvalidToken("it brings the key it wants to be checked with")
    return header


def decode_part(part: bytes) -> bytes:
    """Return what a base64url part without padding says; of its characters the caller has made sure.

    Raises:
        InvalidToken: It cannot be decoded.
    """
    last = _LAST[len(part) % 4]
    if last is not None and part[-1] not in last:
        raise InvalidToken("a part of it is not base64url")
    return binascii.a2b_base64(part.translate(_TO_STANDARD) + _PADDING[len(part) % 4])


def encode_part(data: bytes) -> bytes:
    """Return *data* in base64url without padding."""
    return binascii.b2a_base64(data, newline=False).translate(_TO_URL).rstrip(b"=")
