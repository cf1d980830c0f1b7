"""One pooled SELECT by primary key: bare asyncpg behind a raw ASGI function, and the ways Seawall has.

Each contender is an ASGI application called in this process, 16 calls at a time; counted is the CPU time of the process
per request, so that other load on the machine does not matter much. Needs PostgreSQL:

    SEAWALL_DATABASE_URL=postgresql://user@host/name python benchmarks/data/pooled_select.py
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import time

import asyncpg
import msgspec
import uvloop
from sqlalchemy import Integer, String, select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from seawall import NotFound, Service
from seawall.data import Database, ReadSession, Session, sql
from seawall.settings import DatabaseSettings, ServiceSettings, Settings

URL = os.environ.get("SEAWALL_DATABASE_URL", "postgresql://root@127.0.0.1:5432/test")
SCHEMA = "seawall_bench_data"
REQUESTS, ROUNDS, AT_ONCE = 3_000, 5, 16
QUERY = f"SELECT id, name, price FROM {SCHEMA}.items WHERE id = $1"


class Base(DeclarativeBase):
    pass


class Row(Base):
    __tablename__ = "items"
    __table_args__ = {"schema": SCHEMA}  # noqa: RUF012
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String)
    price: Mapped[int] = mapped_column(Integer)


class Item(msgspec.Struct):
    id: int
    name: str
    price: int


service = Service(
    "bench", settings=Settings(database=DatabaseSettings(url=URL, pool_size=10), service=ServiceSettings(docs=False))
)
sql(service)
table = Row.__table__


@service.get("/driver/{number}")
async def by_driver(number: int, database: Database) -> Item:
    async with database.driver() as connection:
        row = await connection.fetchrow(QUERY, number)
    if row is None:
        raise NotFound
    return Item(row["id"], row["name"], row["price"])


@service.get("/core/{number}")
async def by_core(number: int, database: Database) -> Item:
    async with database.read() as connection:
        row = (await connection.execute(select(table).where(table.c.id == number))).one()
    return Item(row.id, row.name, row.price)


@service.get("/read/{number}")
async def by_read_session(number: int, session: ReadSession) -> Item:
    row = await session.get_one(Row, number)
    return Item(row.id, row.name, row.price)


@service.get("/session/{number}")
async def by_session(number: int, session: Session) -> Item:
    row = await session.get_one(Row, number)
    return Item(row.id, row.name, row.price)


encode = msgspec.json.Encoder().encode


def raw(pool):
    async def app(scope, receive, send):
        number = int(scope["path"].rpartition("/")[2])
        async with pool.acquire() as connection:
            row = await connection.fetchrow(QUERY, number)
        body = encode(Item(row["id"], row["name"], row["price"]))
        fields = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": body})

    return app


def plain_orm(sessions):
    async def app(scope, receive, send):
        number = int(scope["path"].rpartition("/")[2])
        async with sessions() as session:
            row = await session.get_one(Row, number)
            await session.commit()
        body = encode(Item(row.id, row.name, row.price))
        fields = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": body})

    return app


async def receive():
    return {"type": "http.request", "body": b"", "more_body": False}


async def ask(app, path, numbers, statuses):
    async def send(message):
        if message["type"] == "http.response.start":
            statuses[message["status"]] = statuses.get(message["status"], 0) + 1

    for number in numbers:
        target = f"{path}/{number}"
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "path": target,
            "raw_path": target.encode(),
            "query_string": b"",
            "scheme": "http",
            "headers": [(b"host", b"localhost")],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            "root_path": "",
        }
        await app(scope, receive, send)


async def round_of(app, path):
    statuses: dict[int, int] = {}
    began = time.process_time()
    share = REQUESTS // AT_ONCE
    await asyncio.gather(
        *(ask(app, path, [1 + (n * share + i) % 1000 for i in range(share)], statuses) for n in range(AT_ONCE))
    )
    assert set(statuses) == {200}, statuses
    return (time.process_time() - began) / (share * AT_ONCE) * 1e6


async def main():
    engine = create_async_engine(URL.replace("postgresql:", "postgresql+asyncpg:"), pool_size=10)
    pool = await asyncpg.create_pool(URL, min_size=10, max_size=10)
    async with pool.acquire() as connection:
        await connection.execute(
            f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}; DROP TABLE IF EXISTS {SCHEMA}.items;"
            f"CREATE TABLE {SCHEMA}.items (id integer PRIMARY KEY, name text NOT NULL, price integer NOT NULL);"
            f"INSERT INTO {SCHEMA}.items SELECT n, 'item ' || n, n FROM generate_series(1, 1000) n"
        )
    async with service.running():
        contenders = {
            "asyncpg, raw ASGI": (raw(pool), "/raw"),
            "SQLAlchemy's ORM, raw ASGI": (plain_orm(async_sessionmaker(engine, expire_on_commit=False)), "/orm"),
            "Database.driver()": (service.asgi, "/driver"),
            "Database.read(), Core": (service.asgi, "/core"),
            "ReadSession, ORM": (service.asgi, "/read"),
            "Session, ORM": (service.asgi, "/session"),
        }
        figures: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(ROUNDS):
            for name, (app, path) in contenders.items():
                figures[name].append(await round_of(app, path))
    async with pool.acquire() as connection:
        await connection.execute(f"DROP SCHEMA {SCHEMA} CASCADE")
    await pool.close()
    await engine.dispose()
    medians = {name: statistics.median(values) for name, values in figures.items()}
    base = medians["asyncpg, raw ASGI"]
    shown = {name: {"cpu_us": round(v, 1), "of_asyncpg": round(base / v, 2)} for name, v in medians.items()}
    print(json.dumps(shown, indent=1))


uvloop.run(main())
