"""Customers, over HTTP."""

from __future__ import annotations

from typing import Annotated

from seawall import Query, Reply
from storefront.identity import Identity, staff_or_self
from storefront.problems import EmailTaken, InvalidCursor, NoSuchUser
from storefront.service import api
from storefront.types import Id, NewUser, Page, User, UserSearch
from storefront.users import Users

__all__ = ["users_api"]

users_api = api.group("/users", tags=["Users"], max_body="16 KiB")


@users_api.post("/", status=201, public=True, problems=[EmailTaken])
async def create_user(user: NewUser, users: Users, identity: Identity) -> Reply[User]:
    """Make someone a customer.

    Raises:
        EmailTaken: Another customer has this address, in any case.

    Example:
        {"email": "ada@example.com", "name": "Ada Lovelace"}

    Example response:
        {"id": 501, "email": "ada@example.com", "name": "Ada Lovelace", "created_at": "2026-01-31T12:00:00Z"}
    """
    made = await users.create(user)
    if user.password is not None:
        await identity.set_password(made.id, user.password)
    return Reply(made, location=f"/users/{made.id}")


@users_api.get("/{user_id}", allow=staff_or_self, problems=[NoSuchUser])
async def read_user(user_id: Id, users: Users) -> User:
    """Return a customer.

    Example response:
        {"id": 1, "email": "ada@example.com", "name": "Ada Lovelace", "created_at": "2026-01-31T12:00:00Z"}
    """
    return await users.get(user_id)


@users_api.get("/", roles={"staff"}, problems=[InvalidCursor])
async def search_users(search: Annotated[UserSearch, Query()], users: Users) -> Page[User]:
    """Return customers, a page at a time.

    The next page is asked for with `cursor` set to `next` of the page before; the last page has none.
    """
    return await users.search(search)
