"""One class for every shared tier of the cache: the same answers in memory and on Redis."""

import asyncio
import uuid

import pytest

from seawall.cache import redis as redis_store
from seawall.cache import scripts
from seawall.cache.memory import MemoryStore
from seawall.cache.prefixes import MOST_PREFIXES
from seawall.cache.redis import RedisStore
from seawall.cache.shared import MOST_NAMES
from seawall.cache.store import Asked, Filled, Position
from seawall.clock import SystemClock
from seawall.data.redis import Script, connect
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
    await _delete(made)
    await made.close()


async def _delete(made):
    client = made._connected()
    keys = [key async for key in client.scan_iter(match=f"{made._prefix.replace('{', '[{]')}*", count=1000)]
    if keys:
        await client.delete(*keys)


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


def asked(*names, tags=()):
    return [Asked(name, tags) for name in names]


async def claim(store, name, token="one", tags=(), lease=30.0, known=Position()):  # noqa: B008 - it is frozen
    return (await store.claim(asked(name, tags=tags), token, lease, known)).items[0]


async def fill(store, name, versions, data, token="one", tags=(), life=60.0):
    return (await store.fill([Filled(name, tags, versions, data, life)], token))[0]


async def read(store, name, tags=()):
    return (await store.read(asked(name, tags=tags), None)).items[0]


async def changes(store, known):
    return (await store.read([], known)).changes


class TestSharedStore:
    async def test_nothing_is_kept_at_first(self, store):
        seen = await read(store, "a", ["t"])
        assert (seen.data, seen.versions) == (None, [b""])

    async def test_one_claim_of_many_is_granted(self, store):
        claims = await asyncio.gather(*(claim(store, "a", f"{number}") for number in range(50)))
        assert sum(each.won for each in claims) == 1

    async def test_a_claim_asked_for_again_by_its_holder_is_granted(self, store):
        assert (await claim(store, "a")).won
        assert (await claim(store, "a")).won
        assert not (await claim(store, "a", "two")).won

    async def test_what_is_filled_is_read_until_its_time_is_over(self, store):
        granted = await claim(store, "a", tags=["t"])
        assert await fill(store, "a", granted.versions, b"\x00\xff", tags=["t"], life=0.3)
        seen = await read(store, "a", ["t"])
        assert (seen.data, seen.versions) == (b"\x00\xff", granted.versions)
        assert (await claim(store, "a", "two")).won
        await asyncio.sleep(0.35)
        assert (await read(store, "a")).data is None

    async def test_a_released_claim_is_free_and_only_its_holder_releases(self, store):
        await claim(store, "a")
        await store.release(["a", "never"], "two")
        assert not (await claim(store, "a", "two")).won
        await store.release(["a"], "one")
        assert (await claim(store, "a", "two")).won

    async def test_a_lease_that_has_run_out_is_another_s_and_fills_nothing(self, store):
        granted = await claim(store, "a", lease=0.1)
        await asyncio.sleep(0.15)
        assert not await fill(store, "a", granted.versions, b"late")
        assert (await claim(store, "a", "two")).won
        assert not await fill(store, "a", granted.versions, b"late")
        assert (await read(store, "a")).data is None

    async def test_an_invalidated_tag_has_another_version_and_stops_a_fill(self, store):
        granted = await claim(store, "a", tags=["t", "u"])
        await store.invalidate([], ["u"], [])
        assert not await fill(store, "a", granted.versions, b"old", tags=["t", "u"])
        seen = await read(store, "a", ["t", "u"])
        assert seen.data is None
        assert seen.versions[0] == granted.versions[0]
        assert seen.versions[1] != granted.versions[1]

    async def test_a_name_is_forgotten_and_so_is_who_loads_it(self, store):
        granted = await claim(store, "a")
        await fill(store, "a", granted.versions, b"x")
        granted = await claim(store, "a", "two")
        await store.invalidate(["a"], [], [])
        assert (await read(store, "a")).data is None
        assert not await fill(store, "a", granted.versions, b"old", "two")

    async def test_names_may_hold_anything(self, store):
        for name in ("", "\x00", "\ud800", "}{", "#a", "x" * 10_000, "a\r\nb"):
            granted = await claim(store, name, tags=[name])
            assert await fill(store, name, granted.versions, name.encode("utf-8", "replace"), tags=[name])
            await store.invalidate(["other" + name], ["other" + name], ["other" + name])
        assert (await read(store, "#a")).data == b"#a"
        assert (await read(store, "")).data == b""

    async def test_many_are_claimed_filled_and_read_in_one_step_each_for_itself(self, store):
        assert (await claim(store, "b", "two")).won
        first = await store.claim([Asked("a", ["t"]), Asked("b", ["t", "u"]), Asked("c")], "one", 30.0, Position())
        assert [each.won for each in first.items] == [True, False, True]
        versions = dict(zip("abc", (item.versions for item in first.items), strict=True))
        assert versions["a"][0] == versions["b"][0] != versions["b"][1]
        await store.invalidate([], ["u"], [])
        filled = [
            Filled("a", ["t"], versions["a"], b"A", 60),
            Filled("b", ["t", "u"], versions["b"], b"B", 60),
            Filled("c", [], [], b"C", 60),
        ]
        assert await store.fill(filled, "one") == [True, False, True]
        seen = (await store.read([Asked("c"), Asked("b", ["u"]), Asked("a", ["t"])], None)).items
        assert [each.data for each in seen] == [b"C", None, b"A"]
        assert seen[2].versions == versions["a"]

    async def test_as_many_as_are_asked_for_at_once_pass(self, store):
        names = [f"n{number}" for number in range(MOST_NAMES)]
        claims = await store.claim([Asked(name, ["t", name]) for name in names], "one", 30.0, Position())
        filled = [Filled(name, [], [], b"x", 60) for name in names]
        assert all(each.won for each in claims.items)
        assert all(await store.fill(filled, "one"))
        assert all(each.data for each in (await store.read(asked(*names), None)).items)
        assert all(each.data for each in (await store.read(asked(*names), Position())).items)

    async def test_the_journal_says_what_was_invalidated_after_a_position(self, store):
        begun = (await store.claim(asked("a"), "one", 30.0, Position())).changes
        assert begun.position.journal
        await store.invalidate([], [], ["p:", "\ud800\x00"])
        await store.invalidate([], [], ["q:"])
        told = await changes(store, begun.position)
        assert [prefix for prefix, _ in told.prefixes] == ["p:", "\ud800\x00", "q:"]
        assert told.position.number == begun.position.number + 3
        assert (await changes(store, told.position)).prefixes == []
        await store.invalidate([], [], ["p:"])
        told = (await store.claim(asked("a"), "one", 30.0, told.position)).changes
        assert [prefix for prefix, _ in told.prefixes] == ["p:"]
        every = await changes(store, Position(b"another", 99))
        assert [prefix for prefix, _ in every.prefixes] == ["\ud800\x00", "q:", "p:"]


async def test_other_processes_hear_of_invalidations(redis_url):
    prefix = f"seawall:test:{uuid.uuid4().hex}:"
    one, two = (RedisStore(lambda: connect(RedisSettings(url=redis_url)), "test", prefix) for _ in range(2))
    heard: asyncio.Queue = asyncio.Queue()
    following = asyncio.ensure_future(two.follow(heard.put_nowait))
    try:
        async with asyncio.timeout(20):
            while heard.empty():  # until the subscription stands
                await one.invalidate(["a\ud800"], ["t"], ["p:", ":q:"])
                await asyncio.sleep(0.05)
        news = heard.get_nowait()
        assert (news.names, news.tags, news.prefixes) == (("a\ud800",), ("t",), ("p:", ":q:"))
        assert news.position.number >= 2
        assert news.position.journal == (await changes(one, Position())).position.journal
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await _delete(one)
        await one.close()
        await two.close()


async def test_a_key_of_another_type_is_missing_and_is_written_over(redis_url):
    store = RedisStore(lambda: connect(RedisSettings(url=redis_url)), "test", f"seawall:test:{uuid.uuid4().hex}:")
    try:
        for kind in ("e", "c"):
            await store._connected().rpush(store._key(kind, "a"), "x")
        await store._connected().rpush(store._key("t", "t"), "x")
        assert (await read(store, "a")).data is None
        assert (await read(store, "a", ["t"])).data is None
        granted = await claim(store, "a", tags=["t"])
        assert granted.won
        assert await fill(store, "a", granted.versions, b"good", tags=["t"])
        assert (await read(store, "a", ["t"])).data == b"good"
    finally:
        await _delete(store)
        await store.close()


async def test_the_journal_is_bounded_and_says_how_far_back_it_goes(redis_url, monkeypatch):
    source = scripts.INVALIDATE.source
    assert f"local most = {MOST_PREFIXES}" in source
    monkeypatch.setattr(redis_store, "INVALIDATE", Script(source.replace(f"most = {MOST_PREFIXES}", "most = 3")))
    store = RedisStore(lambda: connect(RedisSettings(url=redis_url)), "test", f"seawall:test:{uuid.uuid4().hex}:")
    try:
        for number in range(1, 6):
            await store.invalidate([], [], [f"p{number}"])
        told = await changes(store, Position())
        assert [prefix for prefix, _ in told.prefixes] == ["p3", "p4", "p5"]
        assert (told.floor, told.position.number) == (2, 5)
    finally:
        await _delete(store)
        await store.close()


async def test_a_redis_that_is_not_there_is_an_oserror():
    store = RedisStore(lambda: connect(RedisSettings(url="redis://127.0.0.1:1/0", retries=0)), "test")
    with pytest.raises(OSError, match="Redis"):
        await read(store, "a")
