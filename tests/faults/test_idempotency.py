"""Scenario 11: many requests with one key, and a process that dies; counted in the database, from outside.

``SEAWALL_FAULTS=full`` sends 100 requests at once for each of 1,000 keys, and kills the server twenty times under load.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from seawall.data import Database
from seawall.settings import DatabaseSettings
from support.keyed import Clients, Cut
from support.nursery import nursery

FOLDER = Path(__file__).parent
FULL = os.environ.get("SEAWALL_FAULTS") == "full"
KEYS, CALLS = (1000, 100) if FULL else (20, 50)
KILLS, CLIENTS = (20, 40) if FULL else (2, 20)
POINTS = (
    "before the claim",
    "after the claim",
    "before the effect",
    "after the effect",
    "before the commit",
    "after the commit",
)


class Ledger:
    """The effects, as the database itself tells them."""

    def __init__(self, url):
        self.url = url

    def run(self, statement, **values):
        async def execute():
            database = Database(DatabaseSettings(url=self.url))
            try:
                async with database.write() as connection:
                    result = await connection.execute(text(statement), values)
                    return [tuple(row) for row in result] if result.returns_rows else None
            finally:
                await database.close()

        return asyncio.run(execute())

    def counts(self):
        return dict(self.run("SELECT number, count(*) FROM placed GROUP BY number"))


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request, tmp_path):
    """An empty database with the table of effects."""
    url = f"sqlite:///{tmp_path / 'faults.sqlite3'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_database")
    return emptied(url)


def emptied(url):
    made = Ledger(url)
    for table in ("placed", "seawall_idempotency"):
        made.run(f"DROP TABLE IF EXISTS {table}")
    made.run("CREATE TABLE placed (number VARCHAR(64) NOT NULL)")
    return made


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """Starts servers: ``with servers(ledger) as server``."""
    with nursery("idempotency_app:service", FOLDER, tmp_path_factory.mktemp("servers")) as made:
        yield lambda ledger, **settings: made.serving(SEAWALL_DATABASE_URL=ledger.url, **settings)


def talk(server, conversation):
    """Run *conversation* with clients of *server*."""

    async def hold():
        clients = Clients(server.port)
        try:
            return await conversation(clients)
        finally:
            await clients.close()

    return asyncio.run(hold())


def test_many_at_once_have_one_effect_and_one_answer(ledger, servers):
    async def many(clients):
        seen = {}
        for number in range(KEYS):
            calls = [clients.post("/orders", {"number": f"k{number}"}, f'"k{number}"') for _ in range(CALLS)]
            seen[f"k{number}"] = await asyncio.gather(*calls)
        bare = [clients.post("/unprotected", {"number": "bare"}, "bare") for _ in range(CALLS)]
        await asyncio.gather(*bare)
        return seen

    with servers(ledger) as server:
        began = time.monotonic()
        seen = talk(server, many)
        seconds = time.monotonic() - began
    for number, answers in seen.items():
        assert {answer.status for answer in answers} == {201}
        assert len({answer.lasting for answer in answers}) == 1, "replayed to the byte"
        assert dict(answers[0].fields)["x-number"] == number
        assert [answer.replayed for answer in answers].count(False) == 1
    counts = ledger.counts()
    assert counts.pop("bare") == CALLS, "without the protection each of them counts"
    assert counts == dict.fromkeys(seen, 1)
    print(f"{KEYS} keys, {CALLS} at once for each: {len(counts)} effects, in {seconds:.0f} s")


def test_what_is_refused_and_what_is_kept(ledger, servers):
    async def talking(clients):
        async def order(number, key, path="/orders", **fields):
            return await clients.post(path, {"number": number}, key, **fields)

        first = await order("a", "a")
        assert (first.status, (await order("other", "a")).status) == (201, 422)
        assert (await order("none", None)).status == 400
        assert (await order("none", "not one")).status == 400
        # In flight: 409 at once, which says when to come again; or the answer, where the rule is to wait.
        slow = {"number": "slow", "pause": 2}
        running = asyncio.create_task(clients.post("/impatient", slow, "slow"))
        await asyncio.sleep(0.8)
        refused = await clients.post("/impatient", slow, "slow")
        assert (refused.status, refused.field("retry-after")) == (409, "1")
        assert (await clients.post("/impatient", {"number": "another"}, "slow")).status == 422
        assert (await running).status == 201
        assert (await clients.post("/impatient", slow, "slow")).replayed
        # Who waits does so for as long as the caller allows.
        pending = {"number": "pending", "pause": 2}
        running = asyncio.create_task(clients.post("/orders", pending, "pending"))
        await asyncio.sleep(0.8)
        hasty = await clients.post("/orders", pending, "pending", grpc_timeout="200m")
        assert (hasty.status, running.done()) == (409, False)
        assert (await running).status == 201
        # A principal's keys are its own.
        await order("bob", "a", x_subject="bob")
        # An error of the operation's own is kept.
        broken = [await clients.post("/orders", {"number": "broken", "fail": True}, "broken") for _ in range(2)]
        assert [answer.status for answer in broken] == [500, 500]
        assert broken[0].lasting == broken[1].lasting
        assert broken[1].replayed
        for _ in range(2):
            await clients.post("/unprotected", {"number": "unkept", "fail": True}, "unkept")
        # What never reached it is not.
        assert (await clients.post("/orders", {"number": 5}, "later")).status == 422
        assert (await order("later", "later", x_refuse="yes")).status == 403
        assert (await order("later", "later")).status == 201

    with servers(ledger) as server:
        talk(server, talking)
    assert ledger.counts() == {
        **dict.fromkeys(("a", "slow", "pending", "bob", "broken", "later"), 1),
        "unkept": 2,
    }


def dies(path, point, number):
    """Return the conversation in which the server dies at *point*."""

    async def conversation(clients):
        with pytest.raises(Cut):
            await clients.post(path, {"number": number}, number.replace(" ", "-"), x_die=point)

    return conversation


def test_a_retry_after_kill_9_at_every_point_leaves_one_effect(ledger, servers):
    async def retry(clients):
        first = {
            point: await clients.until_done("/orders", {"number": point}, point.replace(" ", "-")) for point in POINTS
        }
        again = {point: await clients.post("/orders", {"number": point}, point.replace(" ", "-")) for point in POINTS}
        await clients.post("/unprotected", {"number": "bare"}, "bare")
        return first, again

    for path, point, number in [*(("/orders", point, point) for point in POINTS), ("/unprotected", POINTS[-1], "bare")]:
        with servers(ledger) as server:
            talk(server, dies(path, point, number))
            server.wait()
    with servers(ledger) as server:
        first, again = talk(server, retry)
    for point in POINTS:
        assert first[point].status == 201
        assert first[point].replayed == (point == "after the commit"), point
        assert again[point].replayed
        assert again[point].lasting == first[point].lasting
    counts = ledger.counts()
    assert counts.pop("bare") == 2, "without the protection the retry counts too"
    assert counts == dict.fromkeys(POINTS, 1)


def test_mariadb_keeps_them_as_well(mysql_url, servers):
    ledger = emptied(mysql_url)

    async def talking(clients):
        calls = [clients.post("/orders", {"number": "many"}, "many") for _ in range(CALLS)]
        answers = await asyncio.gather(*calls)
        assert {answer.status for answer in answers} == {201}
        assert len({answer.lasting for answer in answers}) == 1
        assert (await clients.until_done("/orders", {"number": "cut"}, "cut")).status == 201
        assert (await clients.post("/orders", {"number": "cut"}, "cut")).replayed
        assert (await clients.post("/orders", {"number": "other"}, "cut")).status == 422

    with servers(ledger) as server:
        talk(server, dies("/orders", "before the commit", "cut"))
        server.wait()
    with servers(ledger) as server:
        talk(server, talking)
    assert ledger.counts() == {"many": 1, "cut": 1}


def test_a_call_that_outlasts_its_lease_is_not_taken_over_unless_its_process_stands_still(ledger, servers):
    """Two servers, a lease of two seconds."""

    async def talking(one, two):
        long = {"number": "long", "before": 5}
        running = asyncio.create_task(one.post("/long", long, "long"))
        await asyncio.sleep(3.2)
        beside = await two.post("/long", long, "long")
        first = await running
        assert (first.status, first.replayed) == (201, False)
        assert beside.replayed
        assert beside.lasting == first.lasting
        # The first stands still: after two seconds another runs. It goes on, and is undone.
        still = {"number": "still", "before": 2}
        running = asyncio.create_task(one.post("/long", still, "still"))
        await asyncio.sleep(1)
        os.kill(pids[0], signal.SIGSTOP)
        try:
            second = await two.until_done("/long", still, "still")
        finally:
            os.kill(pids[0], signal.SIGCONT)
        assert (second.status, second.replayed) == (201, False)
        late = await running
        assert (late.status, late.field("retry-after")) == (409, "1")
        again = await one.post("/long", still, "still")
        assert again.replayed
        assert again.lasting == second.lasting

    async def hold(first, second):
        one, two = Clients(first.port), Clients(second.port)
        try:
            await talking(one, two)
        finally:
            await one.close()
            await two.close()

    with servers(ledger) as first, servers(ledger) as second:
        pids = (first.pid, second.pid)
        asyncio.run(hold(first, second))
    assert ledger.counts() == dict.fromkeys(("long", "still"), 1)


def test_a_server_that_is_killed_under_load_again_and_again(ledger, servers):
    """Clients repeat what was cut off until there is an answer, at whatever server there is."""
    chance, answers = random.Random(11), {}

    async def buy(clients, name, stop):
        for number in itertools.count():
            key = f"{name}-{number}"
            answers[key] = await clients.until_done("/orders", {"number": key}, key)
            if stop.is_set():
                return

    async def under_load():
        clients, stop = Clients(0), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for number in range(KILLS + 1):
                serving = servers(ledger)
                server = await asyncio.to_thread(serving.__enter__)
                try:
                    clients.port = server.port
                    if number == 0:
                        buying = [group.create_task(buy(clients, f"c{each}", stop)) for each in range(CLIENTS)]
                    if number < KILLS:
                        before = len(answers)
                        while len(answers) < before + CLIENTS:  # noqa: ASYNC110 - it works, however slow the machine
                            await asyncio.sleep(0.01)
                        await asyncio.sleep(chance.random() / 2)
                        await asyncio.to_thread(server.end, signal.SIGKILL)
                    else:
                        stop.set()
                        await asyncio.wait(buying)
                        for key, answer in list(answers.items())[:: max(1, len(answers) // 200)]:
                            again = await clients.post("/orders", {"number": key}, key)
                            assert again.replayed
                            assert again.lasting == answer.lasting
                        await clients.close()
                finally:
                    await asyncio.to_thread(serving.__exit__, None, None, None)

    asyncio.run(under_load())
    assert {answer.status for answer in answers.values()} == {201}
    replayed = sum(answer.replayed for answer in answers.values())
    assert ledger.counts() == dict.fromkeys(answers, 1)
    print(f"{len(answers)} keys through {KILLS} kills: {len(answers)} effects, {replayed} told after a cut only")
