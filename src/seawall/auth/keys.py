"""Keys that signatures are made and checked with: what each may be used for is decided when it is read, not by a token.

joserfc does the mathematics of every algorithm but HMAC, for which `hmac` of the standard library takes a tenth of the
time; a test compares the two.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from seawall.auth.algorithms import ALGORITHMS
from seawall.problems import ConfigurationError

__all__ = ["Key", "UnusableKey", "jwks_document", "keys_from_jwks", "keys_from_pem", "read_keys", "secret_key"]

MOST_KEYS = 100
"""Keys of one set that are read; more than any issuer has, few enough to try."""
MOST_RSA_BITS = 8192
"""An RSA key of more bits costs whoever checks with it more than it gives."""
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+").fullmatch
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----", re.DOTALL)


class UnusableKey(ValueError):
    """A key cannot be used to check signatures; the message says why, and never holds the key."""


class Key:
    """One key, and what it may be used for.

    Args:
        material: The key as joserfc has it; None for a secret.
        secret: The secret of an HMAC; None for other keys.
        kid: Its name in tokens, if it has one.
        algorithms: The algorithms it may be used with.
        private: Whether it can sign.
        mark: Tells keys apart without showing them: a hash over everything public.
    """

    __slots__ = ("_material", "algorithms", "kid", "mark", "private", "secret")

    def __init__(
        self,
        material: Any,
        secret: bytes | None,
        kid: str | None,
        algorithms: frozenset[str],
        *,
        private: bool,
        mark: str,
    ) -> None:
        self._material = material
        self.secret = secret
        self.kid = kid
        self.algorithms = algorithms
        self.private = private
        self.mark = mark

    def __repr__(self) -> str:
        return f"<Key {self.kid or 'without kid'} {'/'.join(sorted(self.algorithms))}>"

    def verify(self, algorithm: str, data: bytes, signature: bytes) -> bool:
        """Return whether *signature* is this key's over *data*; False for an algorithm the key is not for."""
        if algorithm not in self.algorithms:
            return False
        if self.secret is not None:
            return hmac.compare_digest(hmac.digest(self.secret, data, ALGORITHMS[algorithm].digest), signature)
        try:
            return bool(_model(algorithm).verify(data, signature, self._material))
        except Exception:  # noqa: BLE001 - whatever a forged signature makes the mathematics raise, it is no signature
            return False

    def sign(self, algorithm: str, data: bytes) -> bytes:
        """Return this key's signature over *data*.

        Raises:
            ValueError: The key cannot sign, or not with this algorithm.
        """
        if algorithm not in self.algorithms or not self.private:
            raise ValueError(f"{self!r} cannot sign with {algorithm}")
        if self.secret is not None:
            return hmac.digest(self.secret, data, ALGORITHMS[algorithm].digest)
        signature: bytes = _model(algorithm).sign(data, self._material)
        return signature

    def public(self) -> dict[str, Any] | None:
        """Return the public JWK for others to check with; None for a secret."""
        if self.secret is not None:
            return None
        document: dict[str, Any] = dict(self._material.as_dict(private=False))
        for name in ("key_ops", "use", "alg", "kid"):
            document.pop(name, None)
        document["use"] = "sig"
        if len(self.algorithms) == 1:
            document["alg"] = next(iter(self.algorithms))
        if self.kid is not None:
            document["kid"] = self.kid
        return document


def secret_key(secret: str | bytes, *, kid: str | None = None, algorithm: str = "HS256") -> Key:
    """Return the key of a shared secret.

    Args:
        secret: At least as many bytes as the hash has: 32 for HS256.
        kid: Its name in tokens.
        algorithm: HS256, HS384 or HS512.

    Raises:
        UnusableKey: It is too short for its algorithm, or reads like a public key.
    """
    raw = secret.encode() if isinstance(secret, str) else bytes(secret)
    if b"-----BEGIN" in raw or raw.startswith(b"ssh-"):
        raise UnusableKey(
            "the secret is a key in PEM or SSH form, which others may know; use it as a key, not a secret"
        )
    return _oct(raw, kid, algorithm)


def keys_from_pem(text: str | bytes, *, kid: str | None = None, algorithms: Iterable[str] | None = None) -> list[Key]:
    """Return the keys of a PEM file: public ones, or private ones that sign as well.

    Args:
        text: What the file holds.
        kid: Their name in tokens; the JWK thumbprint (RFC 7638) where None is given and there are several.
        algorithms: What they may be used with; everything that fits their type by default.

    Raises:
        UnusableKey: There is no key in it, or one that is too weak.
    """
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - as joserfc

    content = text.decode() if isinstance(text, bytes) else text
    jwk = _joserfc_jwk()
    blocks = list(_PEM.finditer(content))
    if not blocks:
        raise UnusableKey("there is no PEM block in it (-----BEGIN PUBLIC KEY-----)")
    keys = []
    for block in blocks:
        raw = block[0].encode()
        try:
            if "PRIVATE" in block[1]:
                loaded: Any = serialization.load_pem_private_key(raw, None)
            else:
                loaded = serialization.load_pem_public_key(raw)
        except (ValueError, TypeError) as error:
            raise UnusableKey(f"{block[1]} cannot be read: {error}") from None
        name = type(loaded).__name__
        kind = next((kind for start, kind in _PEM_TYPES if name.lstrip("_").startswith(start)), None)
        if kind is None:
            raise UnusableKey(f"{block[1]} is a key of a type that signs no tokens ({name})")
        if kind == "RSA":
            _check_bits(loaded.key_size)
        material = getattr(jwk, f"{kind}Key").import_key(raw)
        named = kid if kid is not None or len(blocks) == 1 else material.thumbprint()
        keys.append(_asymmetric(material, material.as_dict(), named, algorithms))
    return keys


_PEM_TYPES = (("RSA", "RSA"), ("EllipticCurve", "EC"), ("EC", "EC"), ("Ed25519", "OKP"), ("Ed448", "OKP"))


def keys_from_jwks(document: bytes | str | Mapping[str, Any], *, strict: bool = True) -> list[Key]:
    """Return the keys of a JSON Web Key Set (RFC 7517), or of a single key.

    Args:
        document: JSON, or what it says.
        strict: Refuse the whole set if one key cannot be used; otherwise such keys are left out, as RFC 7517 §5 has it.

    Raises:
        UnusableKey: It is no key set, or holds no key that can be used.
    """
    if isinstance(document, (bytes, str)):
        try:
            document = msgspec.json.decode(document)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise UnusableKey(f"it is not JSON: {error}") from None
    if not isinstance(document, Mapping):
        raise UnusableKey("it is no JSON object")
    listed = document.get("keys", [document] if "kty" in document else None)
    if not isinstance(listed, list) or len(listed) > MOST_KEYS:
        raise UnusableKey(f'it has no "keys": a list of {MOST_KEYS} keys at the most')
    keys, reasons = [], []
    for number, jwk in enumerate(listed):
        try:
            keys.append(_from_jwk(jwk))
        except UnusableKey as error:
            if strict:
                raise UnusableKey(f"key {number}: {error}") from None
            reasons.append(f"key {number}: {error}")
    if not keys:
        raise UnusableKey(f"no key in it can be used to check signatures ({'; '.join(reasons) or 'it is empty'})"[:500])
    return keys


def read_keys(path: str | Path) -> list[Key]:
    """Return the keys of a file: JWKS where it begins with ``{``, else PEM.

    Raises:
        ConfigurationError: It cannot be read, or holds no usable key.
    """
    try:
        content = Path(path).read_bytes()
        return keys_from_jwks(content) if content.lstrip()[:1] == b"{" else keys_from_pem(content)
    except OSError as error:
        raise ConfigurationError(f"the keys {str(path)!r} cannot be read: {error.strerror or error}.") from None
    except ValueError as error:
        raise ConfigurationError(f"the keys {str(path)!r} cannot be used: {error}.") from None


def jwks_document(keys: Iterable[Key]) -> dict[str, Any]:
    """Return the JSON Web Key Set of the public halves of *keys*; secrets are left out."""
    return {"keys": [public for key in keys if (public := key.public()) is not None]}


def _from_jwk(jwk: Any) -> Key:
    if not isinstance(jwk, Mapping):
        raise UnusableKey("it is no JSON object")
    kid, use, operations = jwk.get("kid"), jwk.get("use"), jwk.get("key_ops")
    if kid is not None and not isinstance(kid, str):
        raise UnusableKey("its kid is no text")
    if use is not None and use != "sig":
        raise UnusableKey(f"its use is {use!r}, not 'sig'")
    if operations is not None and (
        not isinstance(operations, list)
        or not {"verify", "sign"}.intersection(each for each in operations if isinstance(each, str))
    ):
        raise UnusableKey("its key_ops do not include 'verify'")
    algorithm = jwk.get("alg")
    if algorithm is not None and algorithm not in ALGORITHMS:
        raise UnusableKey(f"its alg {str(algorithm)[:40]!r} is no signature algorithm that is known")
    if jwk.get("kty") == "oct":
        secret = jwk.get("k")
        if not isinstance(secret, str) or not _BASE64URL(secret):
            raise UnusableKey("its k is not base64url")
        return _oct(base64.urlsafe_b64decode(secret + "=" * (-len(secret) % 4)), kid, algorithm or "HS256")
    if jwk.get("kty") not in ("RSA", "EC", "OKP"):
        raise UnusableKey(f"its kty {str(jwk.get('kty'))[:40]!r} signs no tokens")
    if jwk["kty"] == "RSA":
        _check_size(jwk.get("n"))
    clean = {name: value for name, value in jwk.items() if name not in ("use", "key_ops", "alg", "x5c", "x5u", "x5t")}
    try:
        material = getattr(_joserfc_jwk(), f"{jwk['kty']}Key").import_key(clean)
        material.public_key  # noqa: B018 - reads the numbers: a point that is not on its curve raises here
    except Exception as error:  # noqa: BLE001 - a key set is somebody else's; what its numbers raise is not a bug here
        raise UnusableKey(f"its numbers are no key ({type(error).__name__})") from None
    private_only_signs = operations is not None and "verify" not in operations and "d" not in jwk
    if private_only_signs:
        raise UnusableKey("its key_ops do not include 'verify'")
    return _asymmetric(material, clean, kid, None if algorithm is None else (algorithm,))


def _check_size(modulus: Any) -> None:
    if not isinstance(modulus, str) or not _BASE64URL(modulus):
        raise UnusableKey("its n is not base64url")
    _check_bits(int.from_bytes(base64.urlsafe_b64decode(modulus + "=" * (-len(modulus) % 4)), "big").bit_length())


def _check_bits(bits: int) -> None:
    if not 2048 <= bits <= MOST_RSA_BITS:
        raise UnusableKey(f"it has {bits} bits; RSA keys have 2048 to {MOST_RSA_BITS}")


def _oct(raw: bytes, kid: str | None, algorithm: str) -> Key:
    known = ALGORITHMS.get(algorithm)
    if known is None or known.kty != "oct":
        raise UnusableKey(f"{algorithm} takes no secret; HS256, HS384 and HS512 do")
    if len(raw) * 8 < known.least_bits:
        raise UnusableKey(f"the secret has {len(raw)} bytes; {algorithm} takes {known.least_bits // 8} at the least")
    mark = hashlib.sha256(b"oct\0" + raw).hexdigest()
    return Key(None, raw, kid, frozenset({algorithm}), private=True, mark=mark)


def _asymmetric(material: Any, jwk: Mapping[str, Any], kid: str | None, algorithms: Iterable[str] | None) -> Key:
    kty, curve = jwk["kty"], jwk.get("crv")
    fitting = frozenset(
        each.name for each in ALGORITHMS.values() if each.kty == kty and (not each.curves or curve in each.curves)
    )
    wanted = fitting if algorithms is None else frozenset(algorithms)
    if not wanted or not wanted <= fitting:
        raise UnusableKey(f"{kty} {curve or ''} keys cannot be used with {', '.join(sorted(wanted)) or 'anything'}")
    return Key(material, None, kid, wanted, private=bool(material.is_private), mark=material.thumbprint())


def _model(algorithm: str) -> Any:
    """Return joserfc's implementation; taken directly, so that nothing but our allow-list decides what is allowed."""
    from joserfc.jws import JWSRegistry  # noqa: PLC0415 - see _joserfc_jwk

    return JWSRegistry.algorithms[algorithm]


def _joserfc_jwk() -> Any:
    try:
        from joserfc import jwk  # noqa: PLC0415 - an extra, and a tenth of a second to import
    except ImportError:
        raise ConfigurationError("tokens need joserfc: pip install 'seawall[auth]'.") from None
    return jwk
