"""Redis as the store of idempotency keys: killed, restarted, standing still, full; counted in a file, from outside."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from support.clusters import OwnRedis
from support.keyed import Clients
from support.nursery import nursery

FOLDER = Path(__file__).parent
TIMEOUT = 0.5


class Redis(OwnRedis):
    """One that writes down everything before it answers."""

    def __init__(self, folder):
        super().__init__()
        self.arguments = ("--appendonly", "yes", "--appendfsync", "always", "--dir", str(folder))

    def begin(self):
        self.start(*self.arguments)

    def signal(self, number):
        os.kill(self.process.pid, number)

    def order(self, *words):
        import redis

        with redis.Redis.from_url(self.url) as client:
            return client.execute_command(*words)


@pytest.fixture
def redis(tmp_path):
    folder = tmp_path / "redis"
    folder.mkdir()
    made = Redis(folder)
    made.begin()
    yield made
    made.stop()


@pytest.fixture
def ledger(tmp_path):
    return tmp_path / "ledger"


@pytest.fixture
def talk(redis, ledger, tmp_path):
    """Runs a conversation with a server, and returns the effects."""

    def run(conversation):
        async def hold(port):
            clients = Clients(port)
            try:
                await conversation(clients)
            finally:
                await clients.close()

        settings = {
            "SEAWALL_REDIS_URL": redis.url,
            "SEAWALL_REDIS_TIMEOUT": f"{TIMEOUT}s",
            "SEAWALL_REDIS_CONNECT_TIMEOUT": f"{TIMEOUT}s",
            "FAULTS_LEDGER": str(ledger),
        }
        with nursery("idempotency_redis_app:service", FOLDER, tmp_path) as made, made.serving(**settings) as server:
            asyncio.run(hold(server.port))
        return Counter(ledger.read_text().split())

    return run


def test_an_outage_does_what_the_rule_says_and_ends_with_the_outage(redis, talk):
    async def out(clients, kind):
        """Without Redis: refused, with no effect; or done, as often as it is asked for."""
        for _ in range(2):
            began = time.monotonic()
            refused = await clients.post("/orders", {"number": f"closed {kind}"}, f"closed-{kind}")
            assert (refused.status, refused.field("retry-after")) == (503, "1"), kind
            assert time.monotonic() - began < 10 + 4 * TIMEOUT
            assert (await clients.post("/anyway", {"number": f"open {kind}"}, f"open-{kind}")).status == 201, kind

    async def back(clients, kind):
        """With Redis again: what was refused is done, once, long before the lease of what was not claimed is over."""
        began = time.monotonic()
        assert (await clients.until_done("/orders", {"number": f"closed {kind}"}, f"closed-{kind}")).status == 201
        assert time.monotonic() - began < 25
        assert (await clients.post("/orders", {"number": f"closed {kind}"}, f"closed-{kind}")).replayed, kind
        assert (await clients.post("/orders", {"number": "kept"}, "kept")).replayed, kind

    async def conversation(clients):
        first = [await clients.post(path, {"number": "kept"}, "kept") for path in ("/orders", "/orders")]
        assert [answer.replayed for answer in first] == [False, True]
        redis.signal(signal.SIGSTOP)
        await out(clients, "still")
        redis.signal(signal.SIGCONT)
        await back(clients, "still")
        redis.stop()
        await out(clients, "dead")
        redis.begin()
        await back(clients, "dead")
        redis.order("CONFIG", "SET", "maxmemory", "1")
        await out(clients, "full")
        redis.order("CONFIG", "SET", "maxmemory", "0")
        await back(clients, "full")
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{clients.port}", timeout=30) as http:
            metrics = (await http.get("/metrics")).text
        for operation in ("place", "place_anyway"):
            (line,) = [
                line
                for line in metrics.splitlines()
                if line.startswith("seawall_idempotency_calls_total{")
                and f'operation="{operation}"' in line
                and 'outcome="outage"' in line
            ]
            assert float(line.rpartition(" ")[2]) >= 6

    counts = talk(conversation)
    lines = "\n".join(counts.elements())
    kinds = ("still", "dead", "full")
    assert Counter(lines.split()) == Counter(
        {"kept": 1, "closed": 3, "open": 6, **dict.fromkeys(kinds, 3)},
    )


def test_an_answer_that_could_not_be_kept_is_kept_once_redis_is_back(redis, talk, ledger):
    async def conversation(clients):
        order = {"number": "slow", "pause": 1.0}
        running = asyncio.create_task(clients.post("/orders", order, "slow"))
        async with asyncio.timeout(20):
            while not ledger.exists():  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0.01)
        redis.stop()
        answer = await running
        assert answer.status == 201, "what was done is done"
        redis.begin()
        again = await clients.until_done("/orders", order, "slow")
        assert again.replayed
        assert again.lasting == answer.lasting

    assert talk(conversation) == {"slow": 1}


def test_what_redis_has_forgotten_is_done_again(redis, talk):
    """The weaker guarantee, as the documents have it."""

    async def conversation(clients):
        for _ in range(2):
            assert (await clients.post("/orders", {"number": "lost"}, "lost")).status == 201
        redis.order("FLUSHALL")
        assert not (await clients.post("/orders", {"number": "lost"}, "lost")).replayed

    assert talk(conversation) == {"lost": 2}
