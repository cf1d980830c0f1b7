"""One class for every shared tier of the cache: the same answers in memory and on Redis."""

import asyncio
import uuid

import pytest

from seawall.cache.memory import MemoryStore
from seawall.cache.redis import RedisStore
from seawall.clock import SystemClock
from seawall.data.redis import connect
from seawall.settings import RedisSettings

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["memory", "redis"])
async def store(request):
    if request.param == "memory":
        yield MemoryStore(SystemClock())
        return
    url = await _url(request)
    made = RedisStore(lambda: connect(RedisSettings(url=url)), "test", f"seawall:test:{uuid.uuid4().hex}:")
    yield made
    client = made._connected()
    keys = [key async for key in client.scan_iter(match=f"{made._prefix.replace('{', '[{]')}*", count=1000)]
    if keys:
        await client.delete(*keys)
    await made.close()


async def _url(request):
    from redis.asyncio import Redis
    from redis.exceptions import RedisError

    from support.stores import REDIS_URL, missing

    client = Redis.from_url(REDIS_URL)
    try:
        await client.ping()
    except (OSError, RedisError) as error:
        missing("Redis", error)
    finally:
        await client.aclose()
    return REDIS_URL


class TestSharedStore:
    async def test_nothing_is_kept_at_first(self, store):
        seen = await store.read("a", ["t"])
        assert (seen.data, seen.versions) == (None, [b""])

    async def test_one_claim_of_many_is_granted(self, store):
        claims = await asyncio.gather(*(store.claim("a", [], f"{number}", 30.0) for number in range(50)))
        assert sum(claim.won for claim in claims) == 1

    async def test_a_claim_asked_for_again_by_its_holder_is_granted(self, store):
        assert (await store.claim("a", [], "one", 30.0)).won
        assert (await store.claim("a", [], "one", 30.0)).won
        assert not (await store.claim("a", [], "two", 30.0)).won

    async def test_what_is_filled_is_read_until_its_time_is_over(self, store):
        claim = await store.claim("a", ["t"], "one", 30.0)
        assert await store.fill("a", ["t"], "one", claim.versions, b"\x00\xff", 0.3)
        seen = await store.read("a", ["t"])
        assert (seen.data, seen.versions) == (b"\x00\xff", claim.versions)
        assert (await store.claim("a", [], "two", 30.0)).won
        await asyncio.sleep(0.35)
        assert (await store.read("a", [])).data is None

    async def test_a_released_claim_is_free_and_only_its_holder_releases(self, store):
        await store.claim("a", [], "one", 30.0)
        await store.release("a", "two")
        assert not (await store.claim("a", [], "two", 30.0)).won
        await store.release("a", "one")
        assert (await store.claim("a", [], "two", 30.0)).won

    async def test_a_lease_that_has_run_out_is_another_s_and_fills_nothing(self, store):
        claim = await store.claim("a", [], "one", 0.1)
        await asyncio.sleep(0.15)
        assert not await store.fill("a", [], "one", claim.versions, b"late", 60)
        assert (await store.claim("a", [], "two", 30.0)).won
        assert not await store.fill("a", [], "one", claim.versions, b"late", 60)
        assert (await store.read("a", [])).data is None

    async def test_an_invalidated_tag_has_another_version_and_stops_a_fill(self, store):
        claim = await store.claim("a", ["t", "u"], "one", 30.0)
        await store.invalidate([], ["u"])
        assert not await store.fill("a", ["t", "u"], "one", claim.versions, b"old", 60)
        seen = await store.read("a", ["t", "u"])
        assert seen.data is None
        assert seen.versions[0] == claim.versions[0]
        assert seen.versions[1] != claim.versions[1]

    async def test_a_name_is_forgotten_and_so_is_who_loads_it(self, store):
        claim = await store.claim("a", [], "one", 30.0)
        await store.fill("a", [], "one", claim.versions, b"x", 60)
        claim = await store.claim("a", [], "two", 30.0)
        await store.invalidate(["a"], [])
        assert (await store.read("a", [])).data is None
        assert not await store.fill("a", [], "two", claim.versions, b"old", 60)

    async def test_names_may_hold_anything(self, store):
        for name in ("", "\x00", "\ud800", "}{", "#a", "x" * 10_000, "a\r\nb"):
            claim = await store.claim(name, [name], "one", 30.0)
            assert await store.fill(name, [name], "one", claim.versions, name.encode("utf-8", "replace"), 60)
        assert (await store.read("#a", [])).data == b"#a"
        assert (await store.read("", [])).data == b""


async def test_other_processes_hear_of_invalidations(redis_url):
    prefix = f"seawall:test:{uuid.uuid4().hex}:"
    one, two = (RedisStore(lambda: connect(RedisSettings(url=redis_url)), "test", prefix) for _ in range(2))
    heard: asyncio.Queue = asyncio.Queue()
    following = asyncio.ensure_future(two.follow(lambda names, tags: heard.put_nowait((names, tags))))
    try:
        async with asyncio.timeout(20):
            while heard.empty():  # until the subscription stands
                await one.invalidate(["a"], ["t"])
                await asyncio.sleep(0.05)
        assert heard.get_nowait() == (("a",), ("t",))
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        client = one._connected()
        await client.delete(f"{one._prefix}s:", f"{one._prefix}t:t")
        await one.close()
        await two.close()


async def test_a_redis_that_is_not_there_is_an_oserror():
    store = RedisStore(lambda: connect(RedisSettings(url="redis://127.0.0.1:1/0", retries=0)), "test")
    with pytest.raises(OSError, match="Redis"):
        await store.read("a", [])
