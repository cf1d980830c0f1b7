"""The signature algorithms that are known, each bound to one type of key (RFC 7518, RFC 8037, RFC 8725 §3.1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["ALGORITHMS", "Algorithm", "known_algorithms"]


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One signature algorithm.

    Args:
        name: Its name in ``alg``.
        kty: The type of key it takes, as in JWK.
        curves: The curves it takes; empty for keys without a curve.
        least_bits: The smallest key it takes (RFC 7518 §3.2, §3.3; NIST SP 800-131A).
        digest: The hash of an HMAC, as `hashlib` names it.
    """

    name: str
    kty: str
    curves: frozenset[str] = frozenset()
    least_bits: int = 0
    digest: str = ""


def _table() -> Iterable[Algorithm]:
    for bits in (256, 384, 512):
        # A secret shorter than the hash is easier to guess than the hash (RFC 7518 §3.2).
        yield Algorithm(f"HS{bits}", "oct", least_bits=bits, digest=f"sha{bits}")
        yield Algorithm(f"RS{bits}", "RSA", least_bits=2048)
        yield Algorithm(f"PS{bits}", "RSA", least_bits=2048)
    for bits, curve in ((256, "P-256"), (384, "P-384"), (512, "P-521")):
        yield Algorithm(f"ES{bits}", "EC", frozenset({curve}))
    yield Algorithm("EdDSA", "OKP", frozenset({"Ed25519", "Ed448"}))
    yield Algorithm("Ed25519", "OKP", frozenset({"Ed25519"}))
    yield Algorithm("Ed448", "OKP", frozenset({"Ed448"}))


ALGORITHMS: Mapping[str, Algorithm] = MappingProxyType({each.name: each for each in _table()})
"""There is no ``none`` among them, and nothing can add it."""


def known_algorithms(names: Iterable[str]) -> frozenset[str]:
    """Return *names* as the allow-list of a verifier.

    Raises:
        ValueError: One of them is not known, or there is none.
    """
    chosen = (names,) if isinstance(names, str) else tuple(names)
    for name in chosen:
        if name not in ALGORITHMS:
            raise ValueError(f"{name!r} is no algorithm for signatures; known are: {', '.join(ALGORITHMS)}")
    if not chosen:
        raise ValueError("name at least one algorithm")
    return frozenset(chosen)
