"""Records in the service's own database (SQLite or PostgreSQL): kept in the transaction of the operation's session.

What an operation writes through its `Session` and the record of its answer become durable together or not at all.
However a process dies, a retry finds either no effect and a claim that runs out, or the effect and its answer.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Float, LargeBinary, MetaData, String, Table, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from seawall.clock import Clock
from seawall.data.database import Database
from seawall.idempotency.store import Found
from seawall.problems import ConfigurationError, Unavailable

__all__ = ["SqlStore", "metadata"]

metadata = MetaData()
"""The table, for the migrations of services whose account may not create it at the first call."""

_records = Table(
    "seawall_idempotency",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("token", String(32), nullable=False),
    Column("answer", LargeBinary),
    Column("expires", Float(53), nullable=False, index=True),
)
_ATTEMPTS = 5


class SqlStore:
    """Records in one table, by the wall clocks of the machines that serve.

    A machine whose clock is ahead by more than a lease takes over claims of calls that run. Their transaction is then
    undone by the token, so that there is one effect all the same.

    Args:
        database: Where.
        clock: What time it is.
        owned: Whether `close` closes the database.

    Raises:
        ConfigurationError: It is neither SQLite nor PostgreSQL.
    """

    def __init__(self, database: Database, clock: Clock, *, owned: bool = False) -> None:
        name = database.backend.name
        if name not in ("sqlite", "postgresql"):
            raise ConfigurationError(
                f'idempotency.store: records are kept in SQLite and PostgreSQL, not in {name}; set it to "redis".'
            )
        self._insert: Any = sqlite.insert if name == "sqlite" else postgresql.insert
        self._database = database
        self._clock = clock
        self._owned = owned
        self._ready = False

    async def claim(self, id: str, fingerprint: str, token: str, lease: float) -> Found:  # noqa: A002 - see Store
        """See `Store.claim`."""
        if not self._ready:
            await self.create()
        now = self._clock.time()
        fresh = {"fingerprint": fingerprint, "token": token, "answer": None, "expires": now + lease}
        row = _records.c
        take = (
            self._insert(_records)
            .values(id=id, **fresh)
            .on_conflict_do_update(index_elements=[row.id], set_=fresh, where=row.expires <= now)
            .returning(row.id)
        )
        look = select(row.fingerprint, row.answer, row.expires).where(row.id == id)
        for _ in range(_ATTEMPTS):
            async with self._database.write() as connection:
                if (await connection.execute(take)).first() is not None:
                    return Found("claimed", fingerprint)
                found = (await connection.execute(look)).first()
            if found is None:  # released in between
                continue
            if found.answer is None:
                return Found("running", found.fingerprint, left=max(0.0, found.expires - now))
            return Found("done", found.fingerprint, bytes(found.answer))
        raise Unavailable("The idempotency key is claimed and released all the time.", headers={"Retry-After": "1"})

    async def complete(self, id: str, token: str, answer: bytes, retention: float) -> bool:  # noqa: A002 - see Store
        """See `Store.complete`."""
        async with self._database.write() as connection:
            return await self.complete_in(connection, id, token, answer, retention)

    async def complete_in(self, session: Any, id: str, token: str, answer: bytes, retention: float) -> bool:  # noqa: A002
        """Do as `complete`, in the transaction of *session*: it counts if and when that is committed."""
        row = _records.c
        ours = (row.id == id) & (row.token == token) & row.answer.is_(None)
        kept = {"answer": answer, "expires": self._clock.time() + retention}
        done = await session.execute(update(_records).where(ours).values(kept))
        return bool(done.rowcount)

    async def release(self, id: str, token: str) -> None:  # noqa: A002 - see Store
        """See `Store.release`."""
        row = _records.c
        async with self._database.write() as connection:
            ours = (row.id == id) & (row.token == token) & row.answer.is_(None)
            await connection.execute(delete(_records).where(ours))

    async def forget(self) -> int:
        """See `Store.forget`."""
        if not self._ready:
            return 0
        async with self._database.write() as connection:
            done = await connection.execute(delete(_records).where(_records.c.expires <= self._clock.time()))
            return int(done.rowcount)

    async def close(self) -> None:
        """Close the database if it is the store's own."""
        if self._owned:
            await self._database.close()

    async def create(self) -> None:
        """Create the table unless it is there."""
        for attempt in (1, 2):
            try:
                async with self._database.engine.begin() as connection:
                    await connection.run_sync(metadata.create_all)
            except SQLAlchemyError:
                # Another process created it at the same moment (PostgreSQL's IF NOT EXISTS does not keep them apart).
                if attempt == 2:
                    raise
            else:
                break
        self._ready = True
