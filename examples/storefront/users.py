"""The shop's customers."""

from __future__ import annotations

from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError

from seawall.clock import Clock
from storefront.cursor import AnyRow, Ordering, fetch_page
from storefront.database import Database
from storefront.moments import now
from storefront.problems import EmailTaken, NoSuchUser
from storefront.tables import orders, users
from storefront.types import Moment, NewUser, Page, User, UserSearch, UserStats

__all__ = ["Users"]

_ORDERINGS = {
    "newest": Ordering(users.c.created_at, users.c.id, Moment, descending=True),
    "oldest": Ordering(users.c.created_at, users.c.id, Moment),
}


class Users:
    """Creates, reads and counts customers."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create(self, new: NewUser) -> User:
        """Make someone a customer.

        Raises:
            EmailTaken: Another user has this address.
        """
        values = {"email": new.email.lower(), "name": new.name, "created_at": now(self._clock)}
        try:
            async with self._database.write() as connection:
                row = (await connection.execute(insert(users).values(values).returning(users))).one()
        except IntegrityError:  # nothing else about a user can clash
            raise EmailTaken(f"There is a user with the address {new.email} already.") from None
        return _user(row)

    async def get(self, user_id: int) -> User:
        """Return the user with that id.

        Raises:
            NoSuchUser: There is none.
        """
        async with self._database.read() as connection:
            row = (await connection.execute(select(users).where(users.c.id == user_id))).one_or_none()
        if row is None:
            raise NoSuchUser(f"There is no user {user_id}.")
        return _user(row)

    async def search(self, search: UserSearch) -> Page[User]:
        """Return a page of the users.

        Raises:
            InvalidCursor: The cursor was not given out for this search.
        """
        async with self._database.read() as connection:
            rows, following = await fetch_page(connection, select(users), _ORDERINGS[search.sort], search)
        return Page([_user(row) for row in rows], following)

    async def stats(self) -> UserStats:
        """Count the customers."""
        ordered = select(func.count(orders.c.customer_id.distinct())).scalar_subquery()
        async with self._database.read() as connection:
            total, with_orders = (await connection.execute(select(func.count(users.c.id), ordered))).one()
        return UserStats(total=total, with_orders=with_orders)


def _user(row: AnyRow) -> User:
    return User(id=row.id, email=row.email, name=row.name, created_at=row.created_at)
