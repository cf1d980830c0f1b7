"""Records in the service's own database (SQLite, PostgreSQL, MariaDB): kept in the transaction of its session.

What an operation writes through its `Session` and the record of its answer become durable together or not at all.
However a process dies, a retry finds either no effect and a claim that runs out, or the effect and its answer.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Float, LargeBinary, MetaData, String, Table, delete, func, literal_column, select, update
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from seawall.clock import Clock
from seawall.data.database import Database
from seawall.data.problems import SerializationFailed
from seawall.idempotency.store import Found
from seawall.problems import ConfigurationError, Unavailable

__all__ = ["SqlStore", "metadata"]

metadata = MetaData()
"""The table, for the migrations of services whose account may not create it."""

_records = Table(
    "seawall_idempotency",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("token", String(32), nullable=False),
    # MySQL's BLOB ends at 64 KiB.
    Column("answer", LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")),
    Column("expires", Float(53), nullable=False, index=True),
)
_ATTEMPTS = 5
# The server's clock, of the statement: in the transaction of a session that has lasted, `now()` is long ago.
_SERVER_TIME = {
    "postgresql": literal_column("extract(epoch FROM statement_timestamp())::float8", Float),
    "mysql": literal_column("timestampdiff(MICROSECOND, '1970-01-01', utc_timestamp(6)) / 1e6", Float),
}


class SqlStore:
    """Records in one table.

    What time it is says the server. SQLite has none: there it is the machine's wall clock. Should it jump by more than
    a lease, then claims of calls that run are taken over; their transactions are undone by the token, so that there is
    one effect all the same.

    Args:
        database: Where.
        clock: What time it is, for SQLite.
        owned: Whether `close` closes the database.
    """

    def __init__(self, database: Database, clock: Clock, *, owned: bool = False) -> None:
        self._name = database.backend.name
        self._database = database
        self._clock = clock
        self._owned = owned
        self._ready = False

    async def claim(self, id: str, fingerprint: str, token: str, lease: float) -> Found:  # noqa: A002 - see Store
        """See `Store.claim`."""
        if not self._ready:
            await self.create()
        now, row = self._now(), _records.c
        fresh = {"fingerprint": fingerprint, "token": token, "answer": None, "expires": now + lease}
        take = self._take(id, fresh, now)
        look = select(row.fingerprint, row.token, row.answer, row.expires - now).where(row.id == id)
        for _ in range(_ATTEMPTS):
            try:
                async with self._database.write() as connection:
                    taken = await connection.execute(take)
                    # MySQL returns nothing here, so who holds it is looked up.
                    if self._name != "mysql" and taken.first() is not None:
                        return Found("claimed", fingerprint)
                    found = (await connection.execute(look)).first()
            except SerializationFailed:  # nothing was done: two that upsert at once can be a deadlock in MariaDB
                continue
            if found is None:  # released in between
                continue
            theirs, holder, answer, left = found
            if answer is not None:
                return Found("done", theirs, bytes(answer))
            return Found("claimed" if holder == token else "running", theirs, left=max(0.0, float(left)))
        raise Unavailable("The idempotency key is claimed and released all the time.", headers={"Retry-After": "1"})

    async def hold(self, id: str, token: str, lease: float) -> bool:  # noqa: A002 - see Store
        """See `Store.hold`."""
        change: Any = delete(_records) if lease <= 0 else update(_records).values(expires=self._now() + lease)
        async with self._database.write() as connection:
            done = await connection.execute(change.where(*_own(id, token)))
            return bool(done.rowcount)

    async def complete(self, id: str, token: str, answer: bytes, retention: float) -> bool:  # noqa: A002 - see Store
        """See `Store.complete`."""
        async with self._database.write() as connection:
            return await self.complete_in(connection, id, token, answer, retention)

    async def complete_in(self, session: Any, id: str, token: str, answer: bytes, retention: float) -> bool:  # noqa: A002
        """Do as `complete`, in the transaction of *session*: it counts if and when that is committed."""
        # aiomysql 0.3.2 cannot send bytes with PyMySQL 1.2.3 (aio-libs/aiomysql#1080).
        content: Any = func.unhex(answer.hex()) if self._name == "mysql" else answer
        kept = {"answer": content, "expires": self._now() + retention}
        done = await session.execute(update(_records).where(*_own(id, token)).values(kept))
        return bool(done.rowcount)

    async def forget(self, most: int) -> int:
        """See `Store.forget`. Rows that a transaction holds are left for the next time."""
        if not self._ready:
            await self.create()
        row = _records.c
        expired = row.expires <= self._now()
        look = select(row.id).where(expired).limit(most).with_for_update(skip_locked=True)
        async with self._database.write() as connection:
            ids = list((await connection.execute(look)).scalars())
            if ids:
                await connection.execute(delete(_records).where(row.id.in_(ids)))
        return len(ids)

    async def close(self) -> None:
        """Close the database if it is the store's own."""
        if self._owned:
            await self._database.close()

    async def create(self) -> None:
        """Create the table unless it is there.

        Raises:
            Problem: The database cannot be reached.
            ConfigurationError: The account may not create it.
        """
        for attempt in (1, 2):
            try:
                async with self._database.write() as connection:
                    await connection.run_sync(metadata.create_all)
            except SQLAlchemyError as error:
                # Another process created it at the same moment (PostgreSQL's IF NOT EXISTS does not keep them apart).
                if attempt == 2:
                    raise ConfigurationError(
                        f"idempotency: the table {_records.name!r} cannot be created: {error.args[0]}; let the account "
                        "do so, or put seawall.idempotency.sql.metadata into your migrations."
                    ) from error
            else:
                break
        self._ready = True

    def _now(self) -> Any:
        return _SERVER_TIME.get(self._name, self._clock.time())

    def _take(self, id: str, fresh: dict[str, Any], now: Any) -> Any:  # noqa: A002 - see Store
        """Return the statement that makes the record if there is none that has not expired."""
        row = _records.c
        if self._name == "mysql":
            insert = mysql.insert(_records).values(id=id, **fresh)
            free = row.expires <= now
            # Assigned in this order, each with what was assigned before: so `expires` is the last.
            kept = [(name, func.if_(free, insert.inserted[name], row[name])) for name in fresh]
            return insert.on_duplicate_key_update(kept)
        make: Any = sqlite.insert if self._name == "sqlite" else postgresql.insert
        upsert = make(_records).values(id=id, **fresh)
        return upsert.on_conflict_do_update(index_elements=[row.id], set_=fresh, where=row.expires <= now).returning(
            row.id
        )


def _own(id: str, token: str) -> tuple[Any, ...]:  # noqa: A002 - see Store
    """Return what a claim's own record is, as long as it is one."""
    row = _records.c
    return row.id == id, row.token == token, row.answer.is_(None)
