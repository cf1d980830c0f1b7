"""Logging in, API keys, and what those who run the shop see of it; over HTTP."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from seawall import Call, NotFound, Principal, Reply, TooManyRequests
from seawall.auth import InvalidCredentials, InvalidGrant, TokenPair
from seawall.http.sign_in import Credentials
from storefront.identity import STAFF, Identity, IdentityReport
from storefront.service import api

__all__ = ["keys_api"]

keys_api = api.group("/keys", tags=["Identity"], roles={"staff"}, max_body="4 KiB")
Name = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
Prefix = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z", examples=["1f0c2b3a4d5e6f70"])]


class Renewal(Struct, frozen=True, forbid_unknown_fields=True):
    """A refresh token, which is used up by this."""

    refresh_token: Annotated[str, Meta(min_length=1, max_length=512)]


class NewKey(Struct, frozen=True, forbid_unknown_fields=True):
    """What a key is for."""

    name: Name
    days: Annotated[int, Meta(ge=1, le=365)] = 90


class MadeKey(Struct, frozen=True):
    """A key; it is shown this once."""

    key: str
    prefix: Prefix


class ShownKey(Struct, frozen=True):
    """What is known of a key, its secret left out."""

    prefix: Prefix
    name: str
    expires: float | None
    revoked: float | None
    last_used: float | None


@api.post("/login", tags=["Identity"], public=True, problems=[InvalidCredentials, TooManyRequests], max_body="4 KiB")
async def log_in(credentials: Credentials, identity: Identity, call: Call) -> TokenPair:
    """Log in: customers with their address, staff as `staff`.

    Raises:
        InvalidCredentials: Name or password is not right.
        TooManyRequests: There were too many attempts.

    Example:
        {"username": "ada@example.com", "password": "correct horse battery staple"}
    """
    grant = await identity.login(credentials.username, credentials.password, call.client)
    if grant is None:
        raise InvalidCredentials("Name or password is not right.", headers={"WWW-Authenticate": "Form"})
    return await identity.tokens.issue(grant)


@api.post("/login/renewals", tags=["Identity"], public=True, problems=[InvalidCredentials], max_body="4 KiB")
async def renew(renewal: Renewal, identity: Identity) -> TokenPair:
    """Return new tokens for a refresh token. One that is used twice ends the login.

    Raises:
        InvalidCredentials: It is not valid, or was used before.
    """
    try:
        return await identity.tokens.refresh(renewal.refresh_token)
    except InvalidGrant:
        raise InvalidCredentials("The refresh token is not valid.", headers={"WWW-Authenticate": "Form"}) from None


@keys_api.post("/", status=201)
async def make_key(new: NewKey, identity: Identity) -> Reply[MadeKey]:
    """Make an API key for a machine, which may look at the dashboard.

    Example:
        {"name": "nightly report", "days": 30}
    """
    made, kept = await identity.keys.create(STAFF, name=new.name, roles={"machine"}, seconds=new.days * 86_400)
    return Reply(MadeKey(made, kept.prefix))


@keys_api.get("/")
async def list_keys(identity: Identity) -> list[ShownKey]:
    """Return the API keys, the newest first."""
    return [
        ShownKey(key.prefix, key.name, key.expires, key.revoked, key.last_used)
        for key in await identity.keys.list(STAFF)
    ]


@keys_api.delete("/{prefix}", problems=[NotFound])
async def revoke_key(prefix: Prefix, identity: Identity) -> None:
    """Take an API key back.

    Raises:
        NotFound: There is no such key, or it was taken back before.
    """
    if not await identity.keys.revoke(prefix):
        raise NotFound("There is no such key.")


@api.get("/admin/identity", tags=["Identity"], roles={"staff"})
async def read_identity(identity: Identity, principal: Principal) -> IdentityReport:  # noqa: ARG001 - staff, and known
    """Return who can get in."""
    return await identity.report()
