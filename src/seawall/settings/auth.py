"""Settings of identity."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from seawall.settings.table import Reloadable, Seconds, Size, Table

__all__ = ["AuthSettings"]

_DAY = 86_400
_ALGORITHMS = (
    *(f"{kind}{bits}" for kind in ("HS", "RS", "PS", "ES") for bits in (256, 384, 512)),
    *("EdDSA", "Ed25519", "Ed448"),
)


def _algorithm(name: str) -> str:
    if name not in _ALGORITHMS:
        raise ValueError(f"{name!r} is no algorithm for signatures; known are: {', '.join(_ALGORITHMS)}")
    return name


Algorithm = Annotated[str, AfterValidator(_algorithm)]


class AuthSettings(Table, table="auth", env_prefix="SEAWALL_AUTH_"):
    """Who may call: what access tokens are checked with, and what is kept of them."""

    issuer: str | None = Field(default=None, min_length=1, max_length=500, description="The `iss` of access tokens.")
    audience: tuple[str, ...] = Field(
        default=(), description="Names of this service; a token must have one of them in its `aud`."
    )
    algorithms: tuple[Algorithm, ...] = Field(
        default=("RS256", "PS256", "ES256", "EdDSA", "Ed25519", "HS256"),
        min_length=1,
        description="Signature algorithms that are accepted; a key is used with those of its own type only.",
    )
    token_types: tuple[str, ...] = Field(
        default=("at+jwt",),
        min_length=1,
        description="Accepted `typ` of access tokens (RFC 9068); add `JWT` for issuers that say no more; `*` is any.",
    )
    secret: SecretStr | None = Field(
        default=None, description="A secret shared with the issuer, 32 bytes or more, for HS256."
    )
    public_key: str | None = Field(default=None, max_length=65_536, description="The issuer's public key, as PEM.")
    keys_file: str | None = Field(
        default=None,
        min_length=1,
        max_length=4096,
        description="A file with the issuer's keys, JWKS or PEM; read again when it changes.",
    )
    jwks_url: str | None = Field(
        default=None, max_length=2048, description="Where the issuer publishes its keys (JWKS); https."
    )
    jwks_interval: Seconds = Field(
        default=300.0, ge=1, le=_DAY, description="How often the keys at `jwks_url` are read again."
    )
    jwks_min_interval: Seconds = Field(
        default=30.0,
        ge=1,
        le=_DAY,
        description="How often at the most, whatever key a token names.",
    )
    fetch_timeout: Seconds = Field(
        default=5.0, gt=0, le=60, description="How long a request for keys or to an identity provider may take."
    )
    fetch_max_bytes: Size = Field(
        default=256 * 1024, ge=1024, le=16 * 1024**2, description="Longest answer to such a request."
    )
    leeway: Seconds = Field(default=5.0, ge=0, le=300, description="How far the issuer's clock may be off.")
    roles_claim: str = Field(
        default="roles",
        min_length=1,
        max_length=200,
        description="The claim of a token that lists roles; dots lead into objects, as in `realm_access.roles`.",
    )
    max_token_bytes: Size = Field(default=8 * 1024, ge=256, le=64 * 1024, description="Longest token; then 401.")
    token_cache: int = Field(
        default=10_000,
        ge=0,
        le=10_000_000,
        description="Valid tokens that are remembered; each takes its own length and about 1 KiB. 0 remembers none.",
    )
    deny_by_default: Reloadable[bool] = Field(
        default=False,
        description="Whether an operation that says neither roles, scopes, allow nor public is closed to everybody.",
    )
