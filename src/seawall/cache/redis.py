"""The shared tier in Redis (or Valkey): each verb one step of the server, for as many names as are asked for."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from seawall.cache.keep import LONGEST
from seawall.cache.scripts import CLAIM, FILL, INVALIDATE, READ, RELEASE
from seawall.cache.store import Answer, Asked, Changes, Claim, Filled, News, Position, Seen, StoreFull

if TYPE_CHECKING:
    from seawall.data.redis import RedisClient
    from seawall.data.redis.reading import Reads

__all__ = ["PREFIX", "RedisStore"]

PREFIX = "seawall:cache:"
TAG_LIFE = int(3 * LONGEST)
"""Seconds a tag is remembered after its last use in a claim: longer than any entry can need it."""
LONGEST_NAME = 200
T = TypeVar("T")
_Message = tuple[tuple[bytes, ...], tuple[bytes, ...], tuple[bytes, ...]]
_read_message = msgspec.msgpack.Decoder(_Message).decode


class RedisStore:
    """Keeps entries under keys that expire.

    What is read again and again takes one ``MGET``, for all that are read in one turn of the event loop. All keys of a
    store have one hash tag, so that in a cluster they lie on one node, where a script may touch them.

    Args:
        make: Makes a client whose answers are bytes, and whose waits are bounded; called once in each event loop.
        space: Keeps services that share a server apart.
        prefix: What all keys begin with.
    """

    def __init__(self, make: Callable[[], RedisClient], space: str, prefix: str = PREFIX) -> None:
        self._make = make
        self._prefix = f"{prefix}{{{_safe(space)}}}:"
        self._journal = [f"{self._prefix}j:", f"{self._prefix}p:"]
        self._entries = f"{self._prefix}e:"
        self._client: Any = None
        self._reads: Reads
        self._loop: asyncio.AbstractEventLoop | None = None

    async def read(self, asked: Sequence[Asked], known: Position | None) -> Answer[Seen]:
        """Return what is kept; see `SharedStore.read`."""
        tags = _Places(asked)
        keys = [self._key("e", each.name) for each in asked]
        keys += [self._key("t", tag) for tag in tags]
        changes = None
        if known is None:
            seen = await self._within(lambda client: client.mget(keys))
        else:
            keys = [*self._journal, *keys]
            told, seen = await self._within(lambda client: READ(client, keys, known.journal, known.number))
            changes = _changes(told)
        versions = seen[len(asked) :]
        return Answer([Seen(data, tags.pick(each, versions)) for each, data in zip(asked, seen, strict=False)], changes)

    async def get(self, name: str) -> bytes | None:
        """Return what is kept under *name*; see `Getter.get`."""
        try:
            if self._client is None or self._loop is not asyncio.get_running_loop():
                self._connected()
            return await self._reads.get(f"{self._entries}{_safe(name)}")
        except Exception as error:
            raise self._named(error) from error

    async def claim(self, asked: Sequence[Asked], token: str, lease: float, known: Position) -> Answer[Claim]:
        """Claim; see `SharedStore.claim`."""
        tags = _Places(asked)
        keys = [self._key("s", ""), *self._journal, *(self._key("t", tag) for tag in tags), *self._pairs(asked)]
        arguments = token, max(1, int(lease * 1000)), TAG_LIFE, len(tags), known.journal, known.number
        told, versions, claims = await self._within(lambda client: CLAIM(client, keys, *arguments))
        items = [
            Claim(bool(won), data, tags.pick(each, versions)) for each, (won, data) in zip(asked, claims, strict=True)
        ]
        return Answer(items, _changes(told))

    async def fill(self, filled: Sequence[Filled], token: str) -> list[bool]:
        """Keep; see `SharedStore.fill`."""
        tags = _Places(filled)
        keys = [*(self._key("t", tag) for tag in tags), *self._pairs(filled)]
        arguments: list[Any] = [token, len(tags)]
        for each in filled:
            arguments += each.data, max(1, int(each.life * 1000)), len(each.tags)
            for tag, version in zip(each.tags, each.versions, strict=True):
                arguments += tags[tag] + 1, version
        return [bool(done) for done in await self._within(lambda client: FILL(client, keys, *arguments))]

    async def release(self, names: Sequence[str], token: str) -> None:
        """Release; see `SharedStore.release`."""
        keys = [self._key("c", name) for name in names]
        await self._within(lambda client: RELEASE(client, keys, token))

    async def invalidate(self, names: Sequence[str], tags: Sequence[str], prefixes: Sequence[str]) -> None:
        """Invalidate; see `SharedStore.invalidate`."""
        gone = [self._key(kind, name) for name in names for kind in ("e", "c")]
        keys = [self._key("s", ""), *self._journal, *gone, *(self._key("t", tag) for tag in tags)]
        message = msgspec.msgpack.encode([[_bytes(each) for each in kind] for kind in (names, tags, prefixes)])
        channel = f"{self._prefix}news"
        arguments: list[str | bytes | float] = [
            len(gone),
            len(tags),
            TAG_LIFE,
            channel,
            message,
            *(_bytes(prefix) for prefix in prefixes),
        ]
        await self._within(lambda client: INVALIDATE(client, keys, *arguments))

    async def follow(self, heard: Callable[[News], None]) -> None:
        """Hear of invalidations; see `Follower.follow`."""
        from redis.exceptions import RedisError  # noqa: PLC0415 - of an extra; the client exists, so it is there

        try:
            async with self._connected().pubsub(ignore_subscribe_messages=True) as listener:
                await listener.subscribe(f"{self._prefix}news")
                while True:
                    message = await listener.get_message(timeout=None)
                    if message is not None:
                        heard(_news(message["data"]))
        except (RedisError, msgspec.MsgspecError, ValueError) as error:
            raise OSError(f"Redis: {error}") from error

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None and self._loop is asyncio.get_running_loop():
            self._reads.close()
            await client.aclose()

    def _key(self, kind: str, name: str) -> str:
        return f"{self._prefix}{kind}:{_safe(name)}"

    def _pairs(self, asked: Iterable[Asked | Filled]) -> list[str]:
        return [self._key(kind, each.name) for each in asked for kind in ("e", "c")]

    def _connected(self) -> Any:
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            self._client, self._loop = self._make(), loop
            from seawall.data.redis.reading import Reads  # noqa: PLC0415 - of an extra; the client exists

            self._reads = Reads(self._client)
        return self._client

    async def _within(self, question: Callable[[Any], Awaitable[T]]) -> T:
        try:
            return await question(self._connected())
        except Exception as error:
            raise self._named(error) from error

    @staticmethod
    def _named(error: Exception) -> Exception:
        """Return what stands for an error of the driver."""
        from redis.exceptions import RedisError  # noqa: PLC0415 - as above

        if "OOM command not allowed" in str(error) or "used memory > 'maxmemory'" in str(error):
            return StoreFull(f"Redis: {error}")
        return OSError(f"Redis: {error}") if isinstance(error, RedisError) else error


class _Places(dict[str, int]):
    """The different tags of what is asked, each with its place among them."""

    def __init__(self, asked: Iterable[Asked | Filled]) -> None:
        super().__init__()
        for each in asked:
            for tag in each.tags:
                self.setdefault(tag, len(self))

    def pick(self, asked: Asked, versions: Sequence[bytes | None]) -> list[bytes]:
        """Return the versions of the tags of *asked*, of those of all."""
        return [versions[self[tag]] or b"" for tag in asked.tags]


def _changes(told: list[Any]) -> Changes:
    journal, number, floor, *rest = told
    prefixes = [(_text(rest[at]), int(rest[at + 1])) for at in range(0, len(rest), 2)]
    return Changes(Position(journal, int(number)), int(floor), prefixes)


def _news(data: bytes) -> News:
    journal, number, message = data.split(b":", 2)
    names, tags, prefixes = (tuple(map(_text, kind)) for kind in _read_message(message))
    return News(names, tags, prefixes, Position(journal, int(number)))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def _safe(name: str) -> str:
    """Return *name*, or what stands for one that is long, or holds what is awkward in a key."""
    if len(name) <= LONGEST_NAME and name.isascii() and name.isprintable() and "}" not in name and "#" not in name:
        return name
    return "#" + hashlib.blake2b(_bytes(name), digest_size=32).hexdigest()
