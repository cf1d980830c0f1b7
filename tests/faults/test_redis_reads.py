"""Reads in few steps break as the driver's own do, and nobody gets the answer of another."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import pytest
from redis.exceptions import ConnectionError as Broken
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as Late

from seawall.data.redis import connect
from seawall.data.redis.reading import MOST, Reads
from seawall.data.redis.reading import read as read_all
from seawall.settings import RedisSettings

pytestmark = pytest.mark.anyio
GETS = b"\r\nGET\r\n", b"\r\nMGET\r\n"
Fault = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Between:
    """Stands between a client and the server, and does something else with the first GETs.

    Args:
        url: The server's.
        faults: What is done with a GET in the place of passing it on; one each, in their order.
    """

    def __init__(self, url: str, *faults: Fault) -> None:
        self._server = urlsplit(url)
        self._faults = list(faults)
        self._tasks: set[asyncio.Task[None]] = set()
        self.gets = 0
        self.asked: asyncio.Queue[None] = asyncio.Queue()
        self.connections = 0

    @asynccontextmanager
    async def running(self):
        listening = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        try:
            yield f"redis://127.0.0.1:{listening.sockets[0].getsockname()[1]}/0"
        finally:
            listening.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.ensure_future(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        answers, onward = await asyncio.open_connection(self._server.hostname, self._server.port or 6379)
        back = asyncio.ensure_future(self._pass(answers, writer))
        try:
            while data := await reader.read(65536):
                if any(get in data for get in GETS):
                    self.gets += 1
                    self.asked.put_nowait(None)
                    if self._faults:
                        await self._faults.pop(0)(writer)
                        continue
                onward.write(data)
        finally:
            back.cancel()
            with suppress(asyncio.CancelledError):
                await back
            onward.close()
            writer.close()

    async def _pass(self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await answers.read(65536):
            writer.write(data)


async def cut(writer: asyncio.StreamWriter) -> None:
    writer.close()


async def keep_silent(writer: asyncio.StreamWriter) -> None:
    pass


async def load(writer: asyncio.StreamWriter) -> None:
    writer.write(b"-LOADING Redis is loading the dataset in memory\r\n")


async def read(client, key: str) -> bytes | None:
    (answer,) = await read_all(client, (key,))
    return answer


@asynccontextmanager
async def reading(url: str, **settings):
    """A client of at most one connection, and a key that holds its own name."""
    client = connect(RedisSettings(url=url, max_connections=1, **settings))
    key = f"seawall:test:{uuid.uuid4().hex}"
    try:
        await client.set(key, key, ex=60)
        await client.set(f"{key}:other", "other", ex=60)
        yield client, key
    finally:
        await client.delete(key, f"{key}:other")
        await client.aclose()


async def test_what_is_there_what_is_not_and_what_is_no_text(redis_url):
    async with reading(redis_url) as (client, key):
        assert await read(client, key) == key.encode()
        assert await read(client, f"{key}:none") is None
        assert await read(client, f"{key}:ö\r\nGET") is None
        own = await client.client_id()
        await client.delete(key)
        await client.lpush(key, "x")
        assert await read(client, key) is None, "as MGET has it"
        assert await read_all(client, (key, f"{key}:other")) == [None, b"other"]
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            await client.get(key)
        assert await read(client, f"{key}:other") == b"other"
        assert await client.client_id() == own, "an error that the server says breaks no connection"


@pytest.mark.parametrize("fault", [cut, load])
async def test_where_the_connection_breaks_it_is_asked_for_again(redis_url, fault):
    between = Between(redis_url, fault)
    async with between.running() as url, reading(url, retries=1) as (client, key):
        assert await read(client, key) == key.encode()
        assert between.gets == 2


async def test_without_retries_it_is_not(redis_url):
    between = Between(redis_url, cut)
    async with between.running() as url, reading(url, retries=0) as (client, key):
        with pytest.raises(Broken):
            await read(client, key)
        assert between.gets == 1
        assert await read(client, key) == key.encode(), "the connection was given back, and is opened anew"


async def test_what_is_late_is_not_asked_for_again_and_no_answer_to_another(redis_url):
    async def late(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.3)
        writer.write(b"$4\r\nlate\r\n")

    between = Between(redis_url, late)
    async with between.running() as url, reading(url, retries=1, timeout=0.1) as (client, key):
        with pytest.raises(Late):
            await read(client, key)
        assert between.gets == 1
        assert await read(client, f"{key}:other") == b"other"


async def test_one_who_is_cancelled_leaves_no_answer_to_the_next(redis_url):
    between = Between(redis_url, keep_silent)
    async with between.running() as url, reading(url) as (client, key):
        before = between.connections
        first = asyncio.ensure_future(read(client, key))
        await between.asked.get()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert await read(client, f"{key}:other") == b"other", "its place in the pool was given back"
        assert between.connections == before + 1, "but not its connection"


async def test_many_wait_for_the_connections_there_are(redis_url):
    async with reading(redis_url) as (client, key):
        assert await asyncio.gather(*(read(client, key) for _ in range(20))) == [key.encode()] * 20


@asynccontextmanager
async def many(url: str, number: int, **settings):
    """Reads that come together, and keys that hold their own names."""
    client = connect(RedisSettings(url=url, **settings))
    keys = [f"seawall:test:{uuid.uuid4().hex}" for _ in range(number)]
    try:
        for key in keys:
            await client.set(key, key, ex=60)
        yield Reads(client), keys
    finally:
        await client.delete(*keys)
        await client.aclose()


async def test_those_of_one_turn_are_asked_for_together_and_each_gets_its_own(redis_url):
    between = Between(redis_url)
    async with between.running() as url, many(url, 20) as (reads, keys):
        asked = [*keys, f"{keys[0]}:none", keys[3]]
        assert await asyncio.gather(*map(reads.get, asked)) == [*(key.encode() for key in keys), None, keys[3].encode()]
        assert between.gets == 2, "the first, who is alone, and all others"
        assert await reads.get(keys[1]) == keys[1].encode()
        assert between.gets == 3


async def test_no_command_has_more_keys_than_it_may(redis_url):
    between = Between(redis_url)
    async with between.running() as url, many(url, 2 * MOST + 2) as (reads, keys):
        assert await asyncio.gather(*map(reads.get, keys)) == [key.encode() for key in keys]
        assert between.gets == 4


async def test_those_who_are_cancelled_leave_and_the_others_get_theirs(redis_url):
    async with many(redis_url, 20) as (reads, keys):
        tasks = [asyncio.ensure_future(reads.get(key)) for key in keys]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in answers[::2])
        assert answers[1::2] == [key.encode() for key in keys[1::2]]
        assert await reads.get(keys[0]) == keys[0].encode()


async def test_all_are_told_what_went_wrong_and_the_next_are_asked_anew(redis_url):
    between = Between(redis_url, cut, cut)
    async with between.running() as url, many(url, 10, retries=0) as (reads, keys):
        answers = await asyncio.gather(*map(reads.get, keys), return_exceptions=True)
        assert all(isinstance(each, Broken) for each in answers)
        assert between.gets == 2
        assert await asyncio.gather(*map(reads.get, keys)) == [key.encode() for key in keys]


async def test_a_break_is_mended_by_asking_again(redis_url):
    between = Between(redis_url, cut, cut)
    async with between.running() as url, many(url, 10, retries=1) as (reads, keys):
        assert await asyncio.gather(*map(reads.get, keys)) == [key.encode() for key in keys]


async def test_who_waits_when_it_is_closed_is_told(redis_url):
    between = Between(redis_url, keep_silent, keep_silent)
    async with between.running() as url, many(url, 3) as (reads, keys):
        tasks = [asyncio.ensure_future(reads.get(key)) for key in keys]
        for _ in range(2):
            await between.asked.get()
        reads.close()
        tasks[0].cancel()  # it asked for itself
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(answers[0], asyncio.CancelledError)
        assert all(isinstance(each, Broken) for each in answers[1:])


async def test_who_has_only_begun_to_wait_when_it_is_closed_is_told_too(redis_url):
    async with many(redis_url, 3) as (reads, keys):
        tasks = [asyncio.ensure_future(reads.get(key)) for key in keys]
        await asyncio.sleep(0)
        reads.close()
        first, *others = await asyncio.gather(*tasks, return_exceptions=True)
        assert first == keys[0].encode(), "it asks for itself"
        assert all(isinstance(each, Broken) for each in others)
        assert await reads.get(keys[1]) == keys[1].encode()
