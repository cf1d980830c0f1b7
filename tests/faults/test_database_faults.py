"""A small pool under many calls; a database that is stopped under load and comes back."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from seawall.data import Database, ReadSession, Session, sql
from seawall.data.slots import Slots
from seawall.problems import ConfigurationError
from seawall.settings import DatabaseSettings, ServiceSettings, Settings
from seawall.testing.client import client
from support.clusters import OwnPostgres
from support.settings import service as make_service

pytestmark = pytest.mark.anyio


def shop(url, **database):
    settings = Settings(
        database=DatabaseSettings(url=url, **database), service=ServiceSettings(docs=False, health_detail="always")
    )
    service = make_service(settings=settings)
    sql(service)

    @service.get("/slow", timeout="2s")
    async def slow(session: ReadSession) -> str:
        await session.execute(text("SELECT pg_sleep(0.05)"))
        return "done"

    @service.get("/hasty", timeout="200ms")
    async def hasty(session: ReadSession) -> str:
        await session.execute(text("SELECT pg_sleep(0.05)"))
        return "done"

    @service.post("/entries/{number}", status=201, timeout="3s")
    async def enter(number: int, session: Session) -> int:
        await session.execute(text("INSERT INTO ledger (number) VALUES (:number)"), {"number": number})
        return number

    return service


async def load(service, path, count):
    async with client(service) as http:
        async with asyncio.timeout(30):
            answers = await asyncio.gather(*(http.get(path) for _ in range(count)))
        database = service.resources.values[Database]
        assert all(pool.in_use == pool.waiting == 0 for pool in database.stats())
        return answers, database.stats()[0]


async def test_two_hundred_calls_and_five_connections(postgres_database):
    answers, pool = await load(shop(postgres_database, pool_size=5, pool_wait=5), "/slow", 200)
    # 504: a connection was got so late that the statement itself came too late; in time, all the same
    assert {answer.status_code for answer in answers} <= {200, 503, 504}
    assert sum(answer.status_code == 200 for answer in answers) >= 20
    assert pool.waits >= 15
    refused = [answer for answer in answers if answer.status_code == 503]
    assert all(answer.json()["type"].endswith(":pool-exhausted") for answer in refused)
    assert all(answer.headers["retry-after"] == "1" for answer in refused)


async def test_who_cannot_be_served_before_the_deadline_is_told_why(postgres_database):
    answers, _ = await load(shop(postgres_database, pool_size=2, pool_wait=5), "/hasty", 60)
    statuses = [answer.status_code for answer in answers]
    assert 503 in statuses
    assert {*statuses} <= {200, 503, 504}


async def test_without_its_limit_a_wait_would_end_in_504(postgres_database, monkeypatch):
    monkeypatch.setattr(Slots, "_limit", lambda _: 60.0)
    answers, _ = await load(shop(postgres_database, pool_size=2, pool_wait=5), "/hasty", 60)
    assert 503 not in {answer.status_code for answer in answers}
    assert 504 in {answer.status_code for answer in answers}


async def test_a_restart_under_load_loses_no_commit_that_was_told(tmp_path):
    server = OwnPostgres(tmp_path)
    server.start()
    try:
        service = shop(server.url, pool_size=5, pool_wait=2, connect_timeout=1)
        told: list[int] = []
        statuses: dict[int, int] = {}
        stop = asyncio.Event()

        async def writer(http, first):
            number = first
            while not stop.is_set():
                answer = await http.post(f"/entries/{number}")
                statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
                if answer.status_code == 201:
                    told.append(number)
                else:
                    await asyncio.sleep(0.01)
                number += 10

        async def ready(http):
            return (await http.get("/health/ready")).status_code

        async def until(condition):
            async with asyncio.timeout(20):
                while not await condition():  # noqa: ASYNC110 - only the server knows
                    await asyncio.sleep(0.05)

        async with client(service) as http:
            database = service.resources.values[Database]
            async with database.driver() as connection:
                await connection.execute("CREATE TABLE ledger (number integer PRIMARY KEY)")
            writers = [asyncio.create_task(writer(http, number)) for number in range(10)]
            for mode in ("immediate", "fast"):
                before = len(told)

                async def more(before=before):
                    return len(told) > before + 20

                async def unready():
                    return await ready(http) == 503

                async def again():
                    return await ready(http) == 200

                await until(more)
                await asyncio.to_thread(server.stop, mode)
                await until(unready)
                await asyncio.to_thread(server.start)
                await until(again)
            before = len(told)
            await until(lambda: more(before))
            stop.set()
            await asyncio.gather(*writers)
            async with database.driver() as connection:
                kept = {row["number"] for row in await connection.fetch("SELECT number FROM ledger")}
            assert all(pool.in_use == pool.waiting == 0 for pool in database.stats())
        assert set(told) <= kept, "an answer claimed a commit that is not there"
        assert len(told) == len(set(told))
        assert set(statuses) <= {201, 503}, statuses
    finally:
        server.stop("fast")


async def test_what_only_reads_goes_to_a_replica_while_there_is_one(tmp_path):
    primary = OwnPostgres(tmp_path)
    primary.start()
    replica = None
    try:
        replica = OwnPostgres(tmp_path, "replica", primary)
        replica.start()
        service = shop(primary.url, replica_urls=(replica.url,), pool_size=2, connect_timeout=1, replica_retry=0.3)

        @service.get("/where")
        async def where(session: ReadSession) -> bool:
            return bool(await session.scalar(text("SELECT pg_is_in_recovery()")))

        @service.get("/entries")
        async def entries(session: ReadSession) -> list[int]:
            return list(await session.scalars(text("SELECT number FROM ledger ORDER BY number")))

        async with client(service) as http:

            async def until(path, expected):
                async with asyncio.timeout(20):
                    while (  # noqa: ASYNC110 - as above
                        found := await http.get(path)
                    ).status_code != 200 or found.json() != expected:
                        await asyncio.sleep(0.05)

            async with service.resources.values[Database].driver() as connection:
                await connection.execute("CREATE TABLE ledger (number integer PRIMARY KEY)")
            assert (await http.post("/entries/1")).status_code == 201
            assert (await http.get("/where")).json() is True
            await until("/entries", [1])
            replica.stop("immediate")
            # The connection that broke is told of once; then the primary stands in.
            answers = [await http.get("/where") for _ in range(5)]
            assert sum(answer.status_code == 503 for answer in answers) <= 2
            assert answers[-1].json() is False
            assert (await http.post("/entries/2")).status_code == 201
            replica.start()
            await until("/where", expected=True)
            await until("/entries", [1, 2])
            primary.stop("immediate")
            assert (await http.post("/entries/3")).json()["type"].endswith(":database-unavailable")
            assert (await http.get("/entries")).json() == [1, 2], "who only reads does not notice"
            assert (await http.get("/health/ready")).status_code == 503
    finally:
        for server in (replica, primary):
            if server is not None:
                server.end()


async def test_a_service_that_may_start_without_its_database_is_ready_when_it_comes(tmp_path):
    server = OwnPostgres(tmp_path)
    strict = shop(server.url)
    with pytest.raises(ConfigurationError, match="cannot be reached") as caught:
        async with strict.running():
            pass
    assert "SEAWALL_DATABASE_URL" in str(caught.value)
    service = shop(server.url, require=False)
    async with client(service) as http:
        assert (await http.get("/health/ready")).status_code == 503
        assert (await http.get("/slow")).json()["type"].endswith(":database-unavailable")
        server.start()
        try:
            async with asyncio.timeout(10):
                while (await http.get("/health/ready")).status_code != 200:  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0.05)
            assert (await http.get("/slow")).status_code == 200
        finally:
            server.stop("fast")


async def test_wrong_credentials_and_names_stop_the_start_without_the_password(postgres_database):
    base = postgres_database.rpartition("/")[0]
    for url, reason in (
        (f"{base}/no_such_database", "no_such_database"),
        ("postgresql://root:hunter2@no-such-host.invalid/test", "not known"),
        ("postgresql://nobody_here:hunter2@127.0.0.1:5432/test", "nobody_here"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            async with shop(url).running():
                pass
        assert reason in str(caught.value)
        assert "hunter2" not in str(caught.value)
