"""What every database does alike: one class, run over SQLite, PostgreSQL and MariaDB."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random

import pytest
from sqlalchemy import String, func, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from seawall.call import Call, enter, leave
from seawall.data import (
    Database,
    Duplicate,
    Key,
    Keyset,
    PoolExhausted,
    ReadSession,
    SerializationFailed,
    Session,
    VersionConflict,
    VersionMismatch,
    sql,
)
from seawall.problems import DeadlineExceeded
from seawall.settings import DatabaseSettings, ServiceSettings, Settings
from seawall.testing.client import client
from support.settings import service as make_service

pytestmark = pytest.mark.anyio


class Base(DeclarativeBase):
    pass


class Thing(Base):
    __tablename__ = "things"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    amount: Mapped[int] = mapped_column(default=0)
    version: Mapped[int] = mapped_column(default=1)
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012


class Contract:
    """What a database must do; each kind says where it is, and how it sleeps."""

    SLEEP: str
    RUNNING: str

    @pytest.fixture
    async def database(self, url):
        made = Database(DatabaseSettings(url=url, pool_size=5, pool_wait=0.3, busy_timeout=0.2))
        async with made.write() as connection:
            await connection.run_sync(Base.metadata.drop_all)
            await connection.run_sync(Base.metadata.create_all)
        yield made
        assert all(pool.in_use == pool.waiting == 0 for pool in made.stats()), "a connection was not given back"
        await made.close()

    async def count(self, database):
        async with database.reading() as session:
            return await session.scalar(select(func.count()).select_from(Thing))

    async def test_a_block_that_ends_is_committed(self, database):
        async with database.session() as session:
            session.add(Thing(name="a"))
        assert await self.count(database) == 1

    @pytest.mark.parametrize("error", [RuntimeError("no"), asyncio.CancelledError()], ids=["error", "cancellation"])
    async def test_a_block_that_does_not_leaves_nothing(self, database, error):
        with pytest.raises(type(error)):  # noqa: PT012 - the block is what is tried
            async with database.session() as session:
                session.add(Thing(name="a"))
                await session.flush()
                raise error
        assert await self.count(database) == 0

    async def test_a_session_that_reads_refuses_to_write(self, database):
        with pytest.raises(DBAPIError):  # noqa: PT012 - as above
            async with database.reading() as session:
                session.add(Thing(name="a"))
                await session.flush()
        assert await self.count(database) == 0

    async def test_a_value_that_is_there_already(self, url, database):
        async with database.session() as session:
            session.add(Thing(name="a"))
        with pytest.raises(IntegrityError):
            async with database.session() as session:
                session.add(Thing(name="a"))
        telling = Database(database.settings, duplicates=True)
        try:
            with pytest.raises(Duplicate) as caught:
                async with telling.session() as session:
                    session.add(Thing(name="a"))
        finally:
            await telling.close()
        assert "things" not in str(caught.value.document())

    @pytest.mark.parametrize(("fields", "problem"), [({}, VersionConflict), ({b"if-match": b'"1"'}, VersionMismatch)])
    async def test_a_row_that_was_changed_meanwhile(self, database, fields, problem):
        async with database.session() as session:
            session.add(Thing(id=1, name="a"))
        async with database.reading() as session:
            thing = await session.get_one(Thing, 1)
        async with database.session() as session:
            (await session.get_one(Thing, 1)).amount = 7
        token = enter(Call(b"1", "change", fields))
        try:
            with pytest.raises(problem):  # noqa: PT012 - as above
                async with database.session() as session:
                    stale = await session.merge(thing, load=False)
                    stale.amount = 9
        finally:
            leave(token)
        async with database.reading() as session:
            assert (await session.get_one(Thing, 1)).amount == 7

    async def test_who_waits_in_vain_is_refused_and_who_holds_is_seen(self, database):
        # as many as there are connections for those who write
        size = database.stats()[0].size
        token = enter(Call(b"the-id", "hold"))
        try:
            async with contextlib.AsyncExitStack() as stack:
                for _ in range(size):
                    await stack.enter_async_context(database.driver())
                holders = database.stats()[0].holders
                assert [(each.operation, each.request_id) for each in holders] == [("hold", "the-id")] * size
                with pytest.raises(PoolExhausted) as caught:
                    async with database.session() as session:
                        await session.execute(text("SELECT 1"))
        finally:
            leave(token)
        assert (caught.value.status, caught.value.guard, caught.value.headers["Retry-After"]) == (503, "pool", "1")
        assert database.stats()[0].refused == 1
        async with database.session() as session:
            assert await session.scalar(text("SELECT 1")) == 1

    async def test_a_statement_of_a_cancelled_call_ends_at_the_server(self, database):
        async def wait():
            async with database.session() as session:
                await session.execute(text(self.SLEEP))

        task = asyncio.create_task(wait())
        async with asyncio.timeout(5):
            while not await self.running(database):  # noqa: ASYNC110 - only the server knows
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            while await self.running(database):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
            async with database.session() as session:
                session.add(Thing(name="after"))

    async def running(self, database):
        if not self.RUNNING:
            return database.stats()[0].in_use
        async with database.driver(read=True) as connection:
            return await self.scalar(connection, self.RUNNING)

    async def scalar(self, connection, statement):
        return await connection.fetchval(statement)

    async def test_cancellations_at_random_points_leave_nothing(self, database):
        ledger: set[str] = set()
        chance = random.Random(7)

        async def write(name):
            async with database.session() as session:
                session.add(Thing(name=name))
                await session.flush()
                await session.scalar(select(func.count()).select_from(Thing))
            ledger.add(name)

        tasks = []
        for number in range(60):
            tasks.append(asyncio.create_task(write(str(number))))
            asyncio.get_running_loop().call_later(chance.random() * 0.1, tasks[-1].cancel)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(
            result is None or isinstance(result, (asyncio.CancelledError, PoolExhausted)) for result in results
        ), results
        assert any(isinstance(result, asyncio.CancelledError) for result in results)
        async with database.reading() as session:
            kept = set(await session.scalars(select(Thing.name)))
        assert ledger <= kept, "what was told to be committed is there"
        assert all(pool.in_use == 0 for pool in database.stats())
        async with asyncio.timeout(5):
            await write("after")

    async def test_a_transaction_that_collides_is_done_again(self, database):
        async with database.session() as session:
            session.add(Thing(id=1, name="a"))
        tries = 0

        async def once_refused(session):
            nonlocal tries
            tries += 1
            (await session.get_one(Thing, 1)).amount += 1
            await session.flush()
            if tries == 1:
                raise SerializationFailed

        await database.transact(once_refused)
        async with database.reading() as session:
            assert (await session.get_one(Thing, 1)).amount == 1
        assert tries == 2

    @pytest.mark.parametrize("mixed", [False, True])
    async def test_pages_hold_every_row_once_in_one_order(self, database, mixed):
        async with database.session() as session:
            session.add_all(Thing(name=f"n{number}", amount=number % 3) for number in range(25))
        order = Keyset(Key(Thing.amount, int, descending=mixed), Key(Thing.id, int))
        seen, cursor = [], None
        async with database.reading() as session:
            while True:
                page = await order.page(session, select(Thing), limit=4, cursor=cursor, search="all")
                seen += [(row[0].amount, row[0].id) for row in page.rows]
                cursor = page.next
                if cursor is None:
                    break
        assert seen == sorted(seen, key=lambda pair: (-pair[0] if mixed else pair[0], pair[1]))
        assert len(seen) == len(set(seen)) == 25

    async def test_slow_and_repeated_statements_are_told_without_values(self, database, caplog):
        clocked = DatabaseSettings(url=database.settings.url, slow_statement=1e-9, repeated_statements=3)
        watching = Database(clocked, development=True)
        token = enter(Call(b"the-id", "look"))
        try:
            with caplog.at_level(logging.WARNING, "seawall.data"):
                async with watching.reading() as session:
                    for _ in range(4):
                        await session.execute(select(Thing).where(Thing.name == "hunter2"))
                    await session.execute(text("SELECT 'hunter2'"))
        finally:
            leave(token)
            await watching.close()
        lines = [record.getMessage() for record in caplog.records]
        repeated = [line for line in lines if line.startswith("repeated statement: 3 times in one call of look")]
        assert len(repeated) == 1
        assert "test_databases.py:" in repeated[0]
        slow = [record for record in caplog.records if record.getMessage().startswith("slow statement")]
        assert {(record.operation, record.request_id) for record in slow} == {("look", "the-id")}
        assert "hunter2" not in "".join(lines)

    async def test_an_operation_commits_before_it_answers(self, url, database):
        database_settings = DatabaseSettings(url=url, pool_size=3, pool_wait=2)
        service = make_service(settings=Settings(database=database_settings, service=ServiceSettings(docs=False)))
        sql(service, metadata=Base.metadata)
        attempts = []

        @service.post("/things/{name}", status=201)
        async def make(name: str, session: Session) -> str:
            session.add(Thing(name=name))
            await session.flush()
            if name == "wrong":
                raise RuntimeError("no")
            return name

        @service.get("/things")
        async def names(session: ReadSession) -> list[str]:
            return list(await session.scalars(select(Thing.name).order_by(Thing.name)))

        @service.post("/again", retry_serialization=2)
        async def again(call: Call, session: Session) -> int:
            attempts.append(session)
            call.add_header("x-attempt", str(len(attempts)))
            session.add(Thing(name=f"again {len(attempts)}"))
            await session.flush()
            if len(attempts) < 3:
                raise SerializationFailed
            return len(attempts)

        async with client(service) as http:
            assert (await http.post("/things/a")).status_code == 201
            assert (await http.post("/things/wrong")).status_code == 500
            assert (await http.post("/things/a")).status_code == 500
            answer = await http.post("/again")
            assert (answer.json(), answer.headers.get_list("x-attempt")) == (3, ["3"])
            assert len(set(map(id, attempts))) == 3
            assert (await http.get("/things")).json() == ["a", "again 3"]
            assert (await http.get("/health/ready")).json()["status"] == "pass"
            many = await asyncio.gather(*(http.post(f"/things/m{number}") for number in range(40)))
            assert {answer.status_code for answer in many} <= {201, 503}
            kept = (await http.get("/things")).json()
            assert {answer.json() for answer in many if answer.status_code == 201} <= set(kept)


class Colliding:
    """Two calls of one operation whose transactions cannot both be, as the server itself finds out."""

    async def collide(self, session, first, both):
        raise NotImplementedError

    async def both_at_once(self, url, **policy):
        settings = DatabaseSettings(url=url, pool_size=3, pool_wait=5)
        service = make_service(settings=Settings(database=settings, service=ServiceSettings(docs=False)))
        sql(service)
        both, attempts = asyncio.Barrier(2), []

        @service.post("/collide/{first}", **policy)
        async def collide(first: int, session: Session) -> int:
            attempts.append(first)
            # Who is asked again finds nobody to wait for.
            again = attempts.count(first) > 1
            await self.collide(session, first, None if again else both)
            return attempts.count(first)

        async with client(service) as http:
            async with service.resources.values[Database].session() as session:
                session.add_all([Thing(id=1, name="one"), Thing(id=2, name="two")])
            async with asyncio.timeout(20):
                answers = await asyncio.gather(http.post("/collide/1"), http.post("/collide/2"))
            async with service.resources.values[Database].reading() as session:
                amounts = list(await session.scalars(select(Thing.amount).order_by(Thing.id)))
        return answers, attempts, amounts

    async def test_two_that_collide_are_both_done_in_the_end(self, url, database):
        answers, attempts, amounts = await self.both_at_once(url, retry_serialization=2)
        assert [answer.status_code for answer in answers] == [200, 200]
        assert len(attempts) == 3
        assert sum(amounts) == self.TOTAL

    async def test_where_they_may_not_be_repeated_one_is_told(self, url, database):
        answers, attempts, amounts = await self.both_at_once(url)
        (refused,) = [answer for answer in answers if answer.status_code != 200]
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["type"].endswith(":serialization-failed")
        assert len(attempts) == 2
        assert sum(amounts) == self.TOTAL / 2


class TestSqlite(Contract):
    SLEEP = "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r) SELECT count(*) FROM r"
    RUNNING = ""

    @pytest.fixture
    def url(self, tmp_path):
        return f"sqlite:///{tmp_path / 'things.sqlite3'}"

    async def test_the_writer_of_another_process_is_waited_for_and_then_told(self, database):
        other = Database(database.settings)
        try:
            async with other.write():
                with pytest.raises(SerializationFailed):
                    async with database.session() as session:
                        session.add(Thing(name="a"))
        finally:
            await other.close()


class TestPostgres(Colliding, Contract):
    SLEEP = "SELECT pg_sleep(30)"
    RUNNING = (
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(30)%' AND state = 'active' "
        "AND datname = current_database()"
    )

    @pytest.fixture
    def url(self, postgres_database):
        return postgres_database

    TOTAL = 2

    async def collide(self, session, first, both):
        """Read both rows and change one by what was read (write skew): in no order would that come out."""
        await session.connection(execution_options={"isolation_level": "SERIALIZABLE"})
        things = {thing.id: thing for thing in await session.scalars(select(Thing))}
        if both is not None:
            await both.wait()
        things[first].amount += 1

    async def test_two_that_cannot_be_ordered(self, database):
        async with database.session() as session:
            session.add(Thing(id=1, name="a"))
        both = asyncio.Barrier(2)

        async def add():
            async with database.session() as session:
                await session.connection(execution_options={"isolation_level": "SERIALIZABLE"})
                thing = await session.get_one(Thing, 1)
                await both.wait()
                thing.amount += 1

        results = await asyncio.gather(add(), add(), return_exceptions=True)
        assert sorted(map(type, results), key=repr) == sorted([type(None), SerializationFailed], key=repr)

    async def test_the_server_has_a_limit_of_its_own(self, database):
        hasty = Database(DatabaseSettings(url=database.settings.url, statement_timeout=0.05))
        try:
            with pytest.raises(DeadlineExceeded):
                async with hasty.session() as session:
                    await session.execute(text(self.SLEEP))
            async with hasty.driver() as connection:
                assert await connection.fetchval("SELECT 1") == 1
        finally:
            await hasty.close()

    async def test_a_driver_that_is_left_in_a_transaction_is_not_lent_again(self, database):
        async with database.driver() as connection:
            await connection.execute("BEGIN")
            await connection.execute("INSERT INTO things (name, amount, version) VALUES ('a', 1, 1)")
        assert await self.count(database) == 0

    async def test_what_only_reads_goes_on_at_the_primary_while_no_replica_answers(self, database):
        settings = DatabaseSettings(url=database.settings.url, replica_urls=("postgresql://root@127.0.0.1:1/test",))
        replicated = Database(settings)
        try:
            async with replicated.reading() as session:
                assert await session.scalar(text("SELECT 1")) == 1
            assert [pool.name for pool in replicated.stats()] == ["primary", "read"]
            assert replicated.stats()[0].takes == 0
        finally:
            await replicated.close()


class TestMariadb(Colliding, Contract):
    SLEEP = "SELECT SLEEP(30)"
    RUNNING = (
        "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP(30)%' AND db = DATABASE()"
    )

    @pytest.fixture
    def url(self, mysql_url):
        return mysql_url

    TOTAL = 4

    async def collide(self, session, first, both):
        """Lock one row and then the other, each in its own order: a deadlock."""
        for number in (first, 3 - first):
            await session.execute(text("UPDATE things SET amount = amount + 1 WHERE id = :id"), {"id": number})
            if both is not None:
                await both.wait()
                both = None

    async def scalar(self, connection, statement):
        async with connection.cursor() as cursor:
            await cursor.execute(statement)
            (count,) = await cursor.fetchone()
            return count

    async def test_the_server_has_a_limit_of_its_own(self, database):
        hasty = Database(DatabaseSettings(url=database.settings.url, statement_timeout=0.05))
        try:
            with pytest.raises(DeadlineExceeded):
                async with hasty.session() as session:
                    await session.execute(
                        text(
                            "SELECT COUNT(*) FROM information_schema.columns a, "
                            "information_schema.columns b, information_schema.columns c"
                        )
                    )
        finally:
            await hasty.close()
