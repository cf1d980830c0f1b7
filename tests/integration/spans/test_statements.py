"""The spans of statements, over each database: in recorded calls one for each, in others none; never with a value."""

from __future__ import annotations

import asyncio

import pytest
from opentelemetry.trace import StatusCode
from sqlalchemy import String, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from seawall.data import Database, ReadSession, Session, sql
from seawall.settings import DatabaseSettings
from seawall.testing.client import client
from support.traced import RECORDED, Traced

pytestmark = pytest.mark.anyio
SECRET = "hunter2"


class Base(DeclarativeBase):
    pass


class Thing(Base):
    __tablename__ = "spanned_things"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)


class Contract:
    SYSTEM: str
    DUPLICATE: str
    SLEEP: str

    @pytest.fixture
    async def shop(self, url):
        traced = Traced(database=DatabaseSettings(url=url, pool_size=1, pool_wait=5))
        service = traced.service
        sql(service)

        @service.post("/things/{name}", status=201)
        async def make(name: str, session: Session) -> int:
            thing = Thing(name=name)
            session.add(thing)
            await session.flush()
            return thing.id

        @service.get("/things/{name}")
        async def find(name: str, session: ReadSession) -> list[int]:
            return list(await session.scalars(select(Thing.id).where(Thing.name == name)))

        @service.get("/literal")
        async def literal(session: ReadSession) -> None:
            await session.execute(text(f"SELECT id FROM spanned_things WHERE name = '{SECRET}' AND id = 4711"))

        @service.post("/many")
        async def many(database: Database) -> None:
            async with database.write() as connection:
                rows = [{"name": f"{SECRET} {number}"} for number in range(3)]
                await connection.execute(text("INSERT INTO spanned_things (name) VALUES (:name)"), rows)

        @service.get("/driver")
        async def driver(database: Database) -> int:
            async with database.driver(read=True) as connection:
                await self.run(connection, f"SELECT id FROM spanned_things WHERE name = '{SECRET}'")
                try:
                    await self.run(connection, f"SELECT '{SECRET}' FROM no_such_table")
                except Exception:
                    return 1
            return 0

        @service.get("/slow", timeout="400ms")
        async def slow(session: ReadSession) -> None:
            await session.execute(text(self.SLEEP))

        async with client(service) as http:
            database = service.resources.values[Database]
            async with database.write() as connection:
                await connection.run_sync(Base.metadata.drop_all)
                await connection.run_sync(Base.metadata.create_all)
            yield traced, http

    async def run(self, connection, statement):
        await connection.execute(statement)

    async def named(self, traced, *, without=("BEGIN", "START", "SELECT sqlite_master")):
        return [span for span in await traced.spans() if span.name not in without]

    async def test_a_session_and_its_commit(self, shop):
        traced, http = shop
        assert (await http.post(f"/things/{SECRET}", headers=RECORDED)).status_code == 201
        insert, commit = await self.named(traced)
        assert insert.name == "INSERT spanned_things"
        told = dict(insert.attributes)
        assert told["db.system.name"] == self.SYSTEM
        assert told["db.operation.name"] == "INSERT"
        assert told["db.collection.name"] == "spanned_things"
        assert told["db.query.text"].startswith("INSERT INTO spanned_things")
        assert told["db.namespace"]
        assert commit.name == "COMMIT"
        assert insert.status.status_code is StatusCode.UNSET
        assert SECRET not in str([span.to_json() for span in (insert, commit)])

    async def test_a_call_that_is_not_recorded_has_none(self, shop):
        traced, http = shop
        for path in (f"/things/{SECRET}", "/literal", "/driver"):
            await http.get(path)
        assert await traced.spans() == []

    async def test_values_in_a_text_are_left_out(self, shop):
        traced, http = shop
        await http.get("/literal", headers=RECORDED)
        (span,) = await self.named(traced)
        assert span.attributes["db.query.text"] == "SELECT id FROM spanned_things WHERE name = ? AND id = ?"

    async def test_many_at_once_are_one_with_their_number(self, shop):
        traced, http = shop
        assert (await http.post("/many", headers=RECORDED)).status_code == 204
        insert, commit = await self.named(traced)
        assert insert.attributes["db.operation.batch.size"] == 3
        assert commit.name == "COMMIT"

    async def test_an_error_is_told_by_its_code_and_not_by_its_text(self, shop):
        traced, http = shop
        await http.post(f"/things/{SECRET}")
        assert (await http.post(f"/things/{SECRET}", headers=RECORDED)).status_code == 500
        (span,) = await self.named(traced)
        assert span.attributes["db.response.status_code"] == span.attributes["error.type"] == self.DUPLICATE
        assert span.status.status_code is StatusCode.ERROR
        assert SECRET not in span.to_json()

    async def test_the_drivers_own_connection(self, shop):
        traced, http = shop
        assert (await http.get("/driver", headers=RECORDED)).json() == 1
        # asyncpg tells afterwards how long a statement took: when it is told late, the span begins as much too late.
        good, bad = sorted(await self.named(traced), key=lambda span: span.status.status_code is StatusCode.ERROR)
        assert good.name == "SELECT spanned_things"
        assert good.attributes["db.query.text"] == "SELECT id FROM spanned_things WHERE name = ?"
        assert bad.status.status_code is StatusCode.ERROR
        assert bad.attributes["error.type"]
        assert SECRET not in bad.to_json()
        await http.get("/driver")
        assert await traced.spans() == [], "the connection is no longer watched"

    async def test_a_statement_that_is_cut_off(self, shop):
        traced, http = shop
        assert (await http.get("/slow", headers=RECORDED)).status_code == 504
        (span,) = await self.named(traced)
        assert span.attributes["error.type"] == "CancelledError"
        assert span.status.status_code is StatusCode.ERROR

    async def test_a_wait_for_a_connection_is_one_too(self, shop):
        traced, http = shop
        await asyncio.gather(*(http.post(f"/things/{name}", headers=RECORDED) for name in "abc"))
        spans = await self.named(traced)
        waits = [span for span in spans if span.name == "wait for a connection"]
        assert waits
        assert {span.attributes["db.client.connection.pool.name"] for span in waits} == {"primary"}


class TestSqlite(Contract):
    SYSTEM = "sqlite"
    DUPLICATE = "SQLITE_CONSTRAINT_UNIQUE"
    SLEEP = "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r) SELECT count(*) FROM r"

    @pytest.fixture
    def url(self, tmp_path):
        return f"sqlite:///{tmp_path / 'things.sqlite3'}"

    async def test_the_folder_of_the_file_is_not_told(self, shop, tmp_path):
        traced, http = shop
        await http.get("/literal", headers=RECORDED)
        (span,) = await self.named(traced)
        assert span.attributes["db.namespace"] == "things.sqlite3"
        assert str(tmp_path) not in span.to_json()


class TestPostgres(Contract):
    SYSTEM = "postgresql"
    DUPLICATE = "23505"
    SLEEP = "SELECT pg_sleep(30)"

    @pytest.fixture
    def url(self, postgres_database):
        return postgres_database

    async def test_whom_it_goes_to(self, shop):
        traced, http = shop
        await http.get("/literal", headers=RECORDED)
        (span,) = await self.named(traced)
        assert (span.attributes["server.address"], span.attributes["server.port"]) == ("127.0.0.1", 5432)


class TestMariadb(Contract):
    SYSTEM = "mariadb"
    DUPLICATE = "1062"
    SLEEP = "SELECT SLEEP(30)"

    @pytest.fixture
    def url(self, mysql_url):
        return mysql_url.replace("mysql://", "mariadb://")

    async def run(self, connection, statement):
        async with connection.cursor() as cursor:
            await cursor.execute(statement)
