"""Scenario 11: many requests with one key, and a process that dies; counted in the database from outside.

``SEAWALL_FAULTS=full`` sends 100 requests at once for each of 1,000 keys.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from seawall.data import Database
from seawall.settings import DatabaseSettings
from support.server import serve

FOLDER = Path(__file__).parent
FULL = os.environ.get("SEAWALL_FAULTS") == "full"
KEYS, CALLS = (1000, 100) if FULL else (3, 20)


def run(url, statement, **values):
    async def execute():
        database = Database(DatabaseSettings(url=url))
        try:
            async with database.write() as connection:
                result = await connection.execute(text(statement), values)
                return result.scalar() if result.returns_rows else None
        finally:
            await database.close()

    return asyncio.run(execute())


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """An empty database with the table of effects."""
    name = f"sqlite:///{tmp_path / 'faults.sqlite3'}"
    if request.param == "postgresql":
        name = request.getfixturevalue("postgres_database")
    run(name, "DROP TABLE IF EXISTS placed")
    run(name, "DROP TABLE IF EXISTS seawall_idempotency")
    run(name, "CREATE TABLE placed (number VARCHAR(64) NOT NULL)")
    return name


def effects(url, number):
    return run(url, "SELECT count(*) FROM placed WHERE number = :number", number=number)


def started(url, log):
    return serve("idempotency_app:service", FOLDER, log, SEAWALL_DATABASE_URL=url)


def post(server, path, number, *, die="", fail=False):
    fields = {"idempotency-key": f'"{number}"'} | ({"x-die": die} if die else {})
    return httpx.post(
        f"http://127.0.0.1:{server.port}{path}", json={"number": number, "fail": fail}, headers=fields, timeout=30
    )


async def many(server, path, number):
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=60) as client:
        fields = {"idempotency-key": number}
        calls = [client.post(path, json={"number": number}, headers=fields) for _ in range(CALLS)]
        return await asyncio.gather(*calls)


def test_many_at_once_have_one_effect_and_so_has_one_that_fails(url, tmp_path):
    with started(url, tmp_path / "log") as server:
        for key in range(KEYS):
            answers = asyncio.run(many(server, "/orders", f"k{key}"))
            assert {(answer.status_code, answer.content) for answer in answers} == {(201, f'"k{key}"'.encode())}
            assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
            assert effects(url, f"k{key}") == 1
        asyncio.run(many(server, "/unprotected", "bare"))
        assert effects(url, "bare") == CALLS
        answers = [post(server, "/orders", "broken", fail=True) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [500, 500]
        assert answers[0].content == answers[1].content
        assert answers[1].headers["idempotency-replayed"] == "true"
        assert effects(url, "broken") == 1
        for _ in range(2):
            post(server, "/unprotected", "unkept", fail=True)
        assert effects(url, "unkept") == 2


def test_a_retry_after_kill_9_leaves_one_effect(url, tmp_path):
    points = ["before", "during", "after"]
    for number, point in enumerate(points):
        with started(url, tmp_path / f"log{number}") as server:
            if number:
                retried(server, points[number - 1], url)
            with pytest.raises(httpx.TransportError):
                post(server, "/orders", point, die=point)
    with started(url, tmp_path / "last") as server:
        retried(server, "after", url)
        with pytest.raises(httpx.TransportError):
            post(server, "/unprotected", "bare", die="after")
    with started(url, tmp_path / "bare") as server:
        assert post(server, "/unprotected", "bare").status_code == 201
    assert effects(url, "bare") == 2


def retried(server, point, url):
    answers = [post(server, "/orders", point) for _ in range(2)]
    assert [(answer.status_code, answer.json()) for answer in answers] == [(201, point)] * 2
    assert answers[0].headers.get("idempotency-replayed") == ("true" if point == "after" else None)
    assert effects(url, point) == 1
