"""The service itself, and what its operations work with.

The operations are in `api_users`, `api_products` and `api_orders`, each of which adds to `api` from here, and the
page is in `pages`; `storefront.app` has all of them.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

from seawall import Call, Guard, Place, Service
from seawall.clock import Clock
from seawall.data import Session, show_pools
from seawall.http.sign_in import count_attempts
from storefront.database import Database, database_url
from storefront.identity import Identity, bearer, machine_keys
from storefront.orders import Orders
from storefront.products import Products
from storefront.shelf import Shelf
from storefront.users import Users

__all__ = ["Caching", "CachingPages", "api", "service"]


class Caching(Guard):
    """Tells caches what they may keep; untold, they keep answers for as long as they see fit (RFC 9111 §4.2.2).

    Args:
        allowed: The ``Cache-Control`` of every answer.
    """

    name = "caching"
    place = Place.CACHE

    def __init__(self, allowed: str) -> None:
        self._allowed = allowed

    async def check(self, call: Call) -> None:
        """Say so."""
        call.add_header("cache-control", self._allowed)


class CachingPages(Guard):
    """In the place of `Caching`, for what is kept: only that there is no answer is kept by nobody."""

    name = "caching"
    place = Place.CACHE

    async def release(self, call: Call, error: BaseException | None) -> None:
        """Say so."""
        if error is not None:
            call.add_header("cache-control", "no-store")


service = Service(
    "storefront",
    title="Storefront",
    version="1.0.0",
    description="A small shop: its customers, its products, their orders. All amounts are in cents.",
    timeout=10,
    max_body="256 KiB",
    auth=[bearer, machine_keys],
    deny_by_default=True,
)


# What the shop has changes from one moment to the next, and some of it is private.
api = service.group(guards=[Caching("no-store")])


@service.resource
async def database() -> AsyncIterator[Database]:
    """Connect to the database the environment names, and create its tables where there are none."""
    database = Database(database_url(os.environ))
    try:
        await database.create_tables()
        show_pools(service.metrics, database.stats)
        yield database
    finally:
        await database.close()


@service.resource
def clock() -> Clock:
    """Tell the time as the service does, which a test may have set."""
    return service.clock


@service.resource(scope="call")
async def shelf() -> AsyncIterator[Shelf]:
    """Note which products a call changes, and forget their pages once it has."""
    shelf = Shelf(service.cache)
    yield shelf
    await shelf.forget()


@service.resource(scope="call")
async def session(database: Database, shelf: Shelf) -> AsyncIterator[Session]:  # noqa: ARG001 - opened before, closed after
    """Open the transaction of one call, which an idempotent operation's answer is kept in as well."""
    async with database.session() as session:
        yield session


service.resource(Users)
service.resource(Products)
service.resource(Orders)


@service.resource
def identity(database: Database, clock: Clock) -> Identity:
    """Return what logs people in; staff with the password that the environment names."""
    made = Identity(database, clock, os.environ.get("STOREFRONT_STAFF_PASSWORD"))
    count_attempts(service, made.login)
    return made
