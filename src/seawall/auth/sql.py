"""Identity in a SQL database (SQLAlchemy; tried on SQLite and PostgreSQL): API keys and refresh tokens.

The tables are in `metadata`, for `metadata.create_all` or the migrations of the service. What the database raises when
it is down is raised.
"""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Column, Float, LargeBinary, MetaData, String, Table, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from seawall.auth.api_keys import ApiKey
from seawall.auth.issuing import Family, Rotation

__all__ = ["SqlApiKeys", "SqlRefreshTokens", "metadata"]

metadata = MetaData()

_families = Table(
    "seawall_refresh_families",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("subject", String(255), nullable=False, index=True),
    Column("current", String(64), nullable=False),
    Column("family", LargeBinary, nullable=False),
    Column("expires", Float(53), nullable=False, index=True),
)

_keys = Table(
    "seawall_api_keys",
    metadata,
    Column("prefix", String(32), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("subject", String(255), nullable=False, index=True),
    Column("name", String(255), nullable=False),
    Column("scopes", String(2000), nullable=False),
    Column("roles", String(2000), nullable=False),
    Column("created", Float(53), nullable=False),
    Column("expires", Float(53)),
    Column("revoked", Float(53)),
    Column("last_used", Float(53)),
)


class SqlRefreshTokens:
    """Families of refresh tokens; each verb is one transaction.

    Args:
        engine: The database.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def open(self, family: Family, current: str) -> None:
        """Keep a new family."""
        row = {
            "id": family.id,
            "subject": family.grant.subject,
            "current": current,
            "family": msgspec.msgpack.encode(family),
            "expires": family.expires,
        }
        async with self._engine.begin() as connection:
            await connection.execute(insert(_families).values(row))

    async def rotate(self, family: str, used: str, fresh: str, now: float) -> Rotation:
        """Put *fresh* in the place of *used*, or end the family.

        The update locks the row and compares in one statement, so of two that use the same token one finds it used.
        """
        row = _families.c
        theirs = row.id == family
        async with self._engine.begin() as connection:
            valid = theirs & (row.current == used) & (row.expires > now)
            done = await connection.execute(update(_families).where(valid).values(current=fresh))
            found = (await connection.execute(select(row.family, row.expires).where(theirs))).one_or_none()
            if found is None:
                return Rotation("unknown")
            kept = msgspec.msgpack.decode(found.family, type=Family)
            if done.rowcount:
                return Rotation("rotated", kept)
            gone = await connection.execute(delete(_families).where(theirs))
            return Rotation("reused" if found.expires > now and gone.rowcount else "unknown", kept)

    async def revoke_family(self, family: str) -> None:
        """End one family."""
        async with self._engine.begin() as connection:
            await connection.execute(delete(_families).where(_families.c.id == family))

    async def revoke_subject(self, subject: str) -> int:
        """End every family of *subject*."""
        async with self._engine.begin() as connection:
            done = await connection.execute(delete(_families).where(_families.c.subject == subject))
            return int(done.rowcount)

    async def forget(self, now: float) -> int:
        """Delete the families that have expired; run it now and then. Return how many there were."""
        async with self._engine.begin() as connection:
            done = await connection.execute(delete(_families).where(_families.c.expires <= now))
            return int(done.rowcount)


class SqlApiKeys:
    """API keys.

    Args:
        engine: The database.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, key: ApiKey) -> None:
        """Keep a new key."""
        row = {name: getattr(key, name) for name in key.__struct_fields__}
        row |= {"scopes": " ".join(sorted(key.scopes)), "roles": " ".join(sorted(key.roles))}
        async with self._engine.begin() as connection:
            await connection.execute(insert(_keys).values(row))

    async def find(self, prefix: str) -> ApiKey | None:
        """Return the key with this prefix."""
        async with self._engine.connect() as connection:
            found = (await connection.execute(select(_keys).where(_keys.c.prefix == prefix))).one_or_none()
        return None if found is None else _key(found)

    async def list(self, subject: str) -> list[ApiKey]:
        """Return the keys of *subject*, the newest first."""
        theirs = select(_keys).where(_keys.c.subject == subject).order_by(_keys.c.created.desc(), _keys.c.prefix)
        async with self._engine.connect() as connection:
            return [_key(row) for row in await connection.execute(theirs)]

    async def revoke(self, prefix: str, subject: str | None, at: float) -> bool:
        """Take one key back."""
        wanted = (_keys.c.prefix == prefix) & _keys.c.revoked.is_(None)
        if subject is not None:
            wanted &= _keys.c.subject == subject
        async with self._engine.begin() as connection:
            done = await connection.execute(update(_keys).where(wanted).values(revoked=at))
            return bool(done.rowcount)

    async def used(self, prefix: str, at: float) -> None:
        """Keep when the key was last used."""
        later = or_(_keys.c.last_used.is_(None), _keys.c.last_used < at)
        async with self._engine.begin() as connection:
            await connection.execute(update(_keys).where((_keys.c.prefix == prefix) & later).values(last_used=at))


def _key(row: Any) -> ApiKey:
    values = dict(row._mapping)  # noqa: SLF001 - the documented way to a row's names
    values |= {"scopes": frozenset(values["scopes"].split()), "roles": frozenset(values["roles"].split())}
    return ApiKey(**values)
