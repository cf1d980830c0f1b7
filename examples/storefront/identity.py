"""Who is who in the shop: customers and staff with passwords, machines with API keys.

Customers read and order for themselves; staff does everything; machines look at the dashboard.
"""

from __future__ import annotations

import os
from typing import Annotated

import msgspec
from sqlalchemy import func, insert, select, update

from seawall import Principal
from seawall.auth import (
    Account,
    ApiKey,
    ApiKeys,
    BearerTokens,
    Grant,
    KeyRing,
    KeyScheme,
    PasswordLogin,
    Passwords,
    TokenService,
    new_secret,
    secret_key,
)
from seawall.auth.sql import SqlApiKeys, SqlRefreshTokens
from seawall.clock import Clock
from storefront.database import Database
from storefront.orders import Orders
from storefront.tables import accounts, users
from storefront.types import NewOrder, OrderSearch

__all__ = [
    "Identity",
    "IdentityReport",
    "bearer",
    "machine_keys",
    "may_order",
    "may_search",
    "owns_order",
    "staff_or_self",
    "staff_token",
]

ISSUER, AUDIENCE = "https://storefront.example", "storefront"
STAFF = "staff"
# Several workers, or servers, need one secret; without it, each process trusts its own tokens alone.
_KEY = secret_key(os.environ.get("STOREFRONT_SECRET") or new_secret())
_STAFF_GRANT = Grant(subject=STAFF, roles=frozenset({"staff"}))


class _KeysOfTheShop:
    """The shop's API keys, once its database is there; the scheme is made before."""

    def __init__(self) -> None:
        self.inner: SqlApiKeys

    async def add(self, key: ApiKey) -> None:
        await self.inner.add(key)

    async def find(self, prefix: str) -> ApiKey | None:
        return await self.inner.find(prefix)

    async def list(self, subject: str) -> list[ApiKey]:
        return await self.inner.list(subject)

    async def revoke(self, prefix: str, subject: str | None, at: float) -> bool:
        return await self.inner.revoke(prefix, subject, at)

    async def used(self, prefix: str, at: float) -> None:
        await self.inner.used(prefix, at)


_keys = _KeysOfTheShop()
bearer = BearerTokens(KeyRing([_KEY]), issuer=ISSUER, audience=AUDIENCE)
machine_keys = KeyScheme(_keys)


class IdentityReport(msgspec.Struct, frozen=True):
    """Who can get in: for those who run the shop."""

    customers: int
    with_password: int
    keys: Annotated[int, msgspec.Meta(description="API keys that are valid now.")]


class Identity:
    """Logs people in, and keeps the keys of machines.

    Args:
        database: Where all of it is kept.
        clock: What time it is.
        staff_password: What staff logs in with; None lets nobody in as staff.
    """

    def __init__(self, database: Database, clock: Clock, staff_password: str | None = None) -> None:
        self._database = database
        self._clock = clock
        self._staff_password = staff_password
        self._staff_hash: str | None = None
        self.passwords = Passwords()
        self.login = PasswordLogin(self, self.passwords, clock=clock)
        self.tokens = TokenService(
            _KEY,
            issuer=ISSUER,
            audience=AUDIENCE,
            refresh_tokens=SqlRefreshTokens(database.engine),
            access_seconds=900,
            clock=clock,
        )
        _keys.inner = SqlApiKeys(database.engine)
        self.keys = ApiKeys(_keys, label="shop", clock=clock)

    async def find(self, name: str) -> Account | None:
        """Return the account that logs in as *name*: staff, or a customer by the address."""
        if name == STAFF and self._staff_password:
            if self._staff_hash is None:
                self._staff_hash = await self.passwords.hash(self._staff_password)
            return Account(_STAFF_GRANT, self._staff_hash)
        query = select(users.c.id, accounts.c.password).join(accounts).where(users.c.email == name.lower())
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else Account(_customer(row.id), row.password)

    async def replace_password(self, subject: str, before: str, after: str) -> None:
        """Keep a better hash of the same password."""
        if subject == STAFF:
            self._staff_hash = after
            return
        theirs = (accounts.c.user_id == int(subject)) & (accounts.c.password == before)
        async with self._database.write() as connection:
            await connection.execute(update(accounts).where(theirs).values(password=after))

    async def set_password(self, user_id: int, password: str) -> None:
        """Give a new customer a password."""
        kept = await self.passwords.hash(password)
        async with self._database.write() as connection:
            await connection.execute(insert(accounts).values(user_id=user_id, password=kept))

    async def report(self) -> IdentityReport:
        """Count who can get in."""
        now = self._clock.time()
        async with self._database.read() as connection:
            customers = await connection.scalar(select(func.count()).select_from(users))
            passwords = await connection.scalar(select(func.count()).select_from(accounts))
        keys = [key for key in await self.keys.list(STAFF) if key.revoked is None and (key.expires or now + 1) > now]
        return IdentityReport(customers or 0, passwords or 0, len(keys))


def _customer(user_id: int) -> Grant:
    return Grant(subject=str(user_id), roles=frozenset({"customer"}))


def staff_token() -> str:
    """Return an access token of staff, for tools and tests that run in this process."""
    return TokenService(_KEY, issuer=ISSUER, audience=AUDIENCE, access_seconds=3_600).access_token(_STAFF_GRANT)


def staff_or_self(principal: Principal, user_id: int) -> bool:
    """Let in staff, and customers to what is their own."""
    return "staff" in principal.roles or principal.subject == str(user_id)


def may_order(principal: Principal, order: NewOrder) -> bool:
    """Let customers order for themselves, and staff for everybody."""
    return staff_or_self(principal, order.customer_id)


def may_search(principal: Principal, search: OrderSearch) -> bool:
    """Let customers search among their own orders."""
    return "staff" in principal.roles or principal.subject == str(search.customer_id)


async def owns_order(principal: Principal, order_id: int, orders: Orders) -> bool:
    """Let in staff, and the customer whose order it is."""
    if "staff" in principal.roles:
        return True
    return principal.subject == str((await orders.get(order_id)).customer_id)
