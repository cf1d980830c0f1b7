"""What capabilities tell of themselves among the metrics: admission and the pools of a database."""

from __future__ import annotations

import asyncio

import pytest

from seawall import Service
from seawall.data import Database, sql
from seawall.settings import AdmissionSettings, DatabaseSettings, ServiceSettings, Settings
from support.exchange import exchange

pytestmark = pytest.mark.anyio


def served(tmp_path=None, **admission):
    database = (
        DatabaseSettings(url=f"sqlite:///{tmp_path}/test.sqlite3", pool_size=3) if tmp_path else DatabaseSettings()
    )
    return Service(
        "test",
        settings=Settings(
            admission=AdmissionSettings(**{"enabled": True, **admission}),
            database=database,
            service=ServiceSettings(docs=False),
        ),
    )


async def numbers(app):
    lines = (await exchange(app, "GET", "/metrics", client=("127.0.0.1", 1))).body.decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}


async def test_gates_are_shown_while_calls_run_and_what_they_shed():
    app = served(limit=1, queue=0)
    entered, leave = asyncio.Event(), asyncio.Event()

    @app.get("/work", concurrency=5)
    async def work() -> None:
        entered.set()
        await leave.wait()

    async with app.running():
        first = asyncio.create_task(exchange(app, "GET", "/work"))
        await entered.wait()
        assert (await exchange(app, "GET", "/work")).status == 503
        seen = await numbers(app)
        leave.set()
        assert (await first).status == 204
        after = await numbers(app)
    assert seen['seawall_admission_limit{operation=""}'] == 1
    assert seen['seawall_admission_limit{operation="work"}'] == 5
    assert (
        seen['seawall_admission_in_flight{operation=""}'] == seen['seawall_admission_in_flight{operation="work"}'] == 1
    )
    assert after['seawall_admission_in_flight{operation=""}'] == 0
    assert seen['seawall_admission_shed_total{operation="",priority="normal",reason="full"}'] == 1


async def test_pools_are_shown_while_the_database_runs(tmp_path):
    app = served(tmp_path)
    sql(app)

    @app.get("/held")
    async def held(database: Database) -> dict[str, float]:
        async with database.write():
            return await numbers(app)

    async with app.running():
        seen = (await exchange(app, "GET", "/held")).json()
        after = await numbers(app)
    assert seen['db_client_connection_count{pool="primary",state="used"}'] == 1
    assert after['db_client_connection_count{pool="primary",state="used"}'] == 0
    assert after['db_client_connection_max{pool="primary"}'] == 1, "SQLite has one writer"
    assert after['db_client_connection_max{pool="read"}'] == 3
    assert after['db_client_connection_takes_total{pool="primary"}'] >= 1
