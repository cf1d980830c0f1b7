"""The shared tier in Redis (or Valkey): each verb one step of the server."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from seawall.cache.keep import LONGEST
from seawall.cache.store import Claim, Seen
from seawall.data.redis import Script

if TYPE_CHECKING:
    from seawall.data.redis import RedisClient

__all__ = ["PREFIX", "RedisStore"]

PREFIX = "seawall:cache:"
TAG_LIFE = int(3 * LONGEST)
"""Seconds a tag is remembered after its last use in a claim: longer than any entry can need it."""
LONGEST_NAME = 200
T = TypeVar("T")

# A tag's version is the server's time in microseconds when it was first seen or last invalidated, and a count for those
# of one microsecond: never one it had before, not even if the server has forgotten the tag meanwhile.
_VERSION = """
local function fresh(serial)
  local time = redis.call('TIME')
  return time[1] .. '.' .. time[2] .. '.' .. redis.call('INCR', serial)
end
"""
CLAIM = Script(
    _VERSION
    + """
local entry, claim, serial = KEYS[1], KEYS[2], KEYS[3]
local holder = redis.call('GET', claim)
local won = not holder or holder == ARGV[1]
if won then redis.call('SET', claim, ARGV[1], 'PX', ARGV[2]) end
local reply = {won and 1 or 0, redis.call('GET', entry)}
for i = 4, #KEYS do
  local version = redis.call('GET', KEYS[i])
  if not version then version = fresh(serial) end
  redis.call('SET', KEYS[i], version, 'EX', ARGV[3])
  reply[i - 1] = version
end
return reply
"""
)
FILL = Script("""
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2])
for i = 3, #KEYS do
  if redis.call('GET', KEYS[i]) ~= ARGV[i + 1] then return 0 end
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
""")
RELEASE = Script("if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0")
INVALIDATE = Script(
    _VERSION
    + """
local names = tonumber(ARGV[1])
for i = 2, #KEYS do
  if i <= names + 1 then redis.call('DEL', KEYS[i])
  else redis.call('SET', KEYS[i], fresh(KEYS[1]), 'EX', ARGV[2]) end
end
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 1
"""
)


class RedisStore:
    """Keeps entries under keys that expire.

    What is read again and again takes one ``GET`` (with tags, one ``MGET``). All keys of a store have one hash tag, so
    that in a cluster they lie on one node, where a script may touch them.

    Args:
        make: Makes a client whose answers are bytes, and whose waits are bounded; called once in each event loop.
        space: Keeps services that share a server apart.
        prefix: What all keys begin with.
    """

    def __init__(self, make: Callable[[], RedisClient], space: str, prefix: str = PREFIX) -> None:
        self._make = make
        self._prefix = f"{prefix}{{{_safe(space)}}}:"
        self._client: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def read(self, name: str, tags: Sequence[str]) -> Seen:
        """Return what is kept; see `SharedStore.read`."""
        if not tags:
            return Seen(await self._within(lambda client: client.get(self._key("e", name))), [])
        keys = [self._key("e", name), *(self._key("t", tag) for tag in tags)]
        data, *versions = await self._within(lambda client: client.mget(keys))
        return Seen(data, [version or b"" for version in versions])

    async def claim(self, name: str, tags: Sequence[str], token: str, lease: float) -> Claim:
        """Claim; see `SharedStore.claim`."""
        keys = [self._key("e", name), self._key("c", name), self._key("s", ""), *(self._key("t", tag) for tag in tags)]
        milliseconds = max(1, int(lease * 1000))
        won, data, *versions = await self._within(lambda client: CLAIM(client, keys, token, milliseconds, TAG_LIFE))
        return Claim(bool(won), data, versions)

    async def fill(
        self, name: str, tags: Sequence[str], token: str, versions: list[bytes], data: bytes, life: float
    ) -> bool:
        """Keep; see `SharedStore.fill`."""
        keys = [self._key("e", name), self._key("c", name), *(self._key("t", tag) for tag in tags)]
        milliseconds = max(1, int(life * 1000))
        return bool(await self._within(lambda client: FILL(client, keys, token, data, milliseconds, *versions)))

    async def release(self, name: str, token: str) -> None:
        """Release; see `SharedStore.release`."""
        await self._within(lambda client: RELEASE(client, [self._key("c", name)], token))

    async def invalidate(self, names: Sequence[str], tags: Sequence[str]) -> None:
        """Invalidate; see `SharedStore.invalidate`."""
        gone = [self._key(kind, name) for name in names for kind in ("e", "c")]
        keys = [self._key("s", ""), *gone, *(self._key("t", tag) for tag in tags)]
        message = msgspec.json.encode((names, tags))
        channel = f"{self._prefix}news"
        await self._within(lambda client: INVALIDATE(client, keys, len(gone), TAG_LIFE, channel, message))

    async def follow(self, heard: Callable[[tuple[str, ...], tuple[str, ...]], None]) -> None:
        """Hear of invalidations; see `Follower.follow`."""
        from redis.exceptions import RedisError  # noqa: PLC0415 - of an extra; the client exists, so it is there

        decode = msgspec.json.Decoder(tuple[tuple[str, ...], tuple[str, ...]]).decode
        try:
            async with self._connected().pubsub(ignore_subscribe_messages=True) as listener:
                await listener.subscribe(f"{self._prefix}news")
                while True:
                    message = await listener.get_message(timeout=None)
                    if message is not None:
                        heard(*decode(message["data"]))
        except (RedisError, msgspec.MsgspecError) as error:
            raise OSError(f"Redis: {error}") from error

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None and self._loop is asyncio.get_running_loop():
            await client.aclose()

    def _key(self, kind: str, name: str) -> str:
        return f"{self._prefix}{kind}:{_safe(name)}"

    def _connected(self) -> Any:
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            self._client, self._loop = self._make(), loop
        return self._client

    async def _within(self, question: Callable[[Any], Awaitable[T]]) -> T:
        try:
            return await question(self._connected())
        except OSError:
            raise
        except Exception as error:
            from redis.exceptions import RedisError  # noqa: PLC0415 - of an extra; the client exists, so it is there

            if not isinstance(error, RedisError):
                raise
            raise OSError(f"Redis: {error}") from error


def _safe(name: str) -> str:
    """Return *name*, or what stands for one that is long, or holds what is awkward in a key."""
    if len(name) <= LONGEST_NAME and name.isascii() and name.isprintable() and "}" not in name and "#" not in name:
        return name
    return "#" + hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=32).hexdigest()
