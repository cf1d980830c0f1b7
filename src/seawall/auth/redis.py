"""Identity in Redis (or Valkey): refresh tokens, sessions, sign-ins and revocations, for every process of a service.

Each verb is one command or one script, so that no two processes see half of it. What Redis raises when it is down is
raised: nobody is logged in, renewed or revoked by guesswork. (`RevocationList` goes on with what it read last.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from seawall.auth.issuing import Family, Rotation
from seawall.auth.oidc import Flow
from seawall.auth.revocation import Revocation
from seawall.auth.sessions import Session

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["RedisRefreshTokens", "RedisRevocations", "RedisSessions", "RedisSignIns"]

_encode = msgspec.msgpack.encode

# KEYS: the family. ARGV: the hash that is used, the fresh one, now.
_ROTATE = """
local found = redis.call('HMGET', KEYS[1], 'current', 'family', 'expires')
if not found[1] then return {'unknown', ''} end
if tonumber(found[3]) <= tonumber(ARGV[3]) then redis.call('DEL', KEYS[1]) return {'unknown', ''} end
if found[1] ~= ARGV[1] then redis.call('DEL', KEYS[1]) return {'reused', found[2]} end
redis.call('HSET', KEYS[1], 'current', ARGV[2])
return {'rotated', found[2]}
"""

# KEYS: the stream. ARGV: the decision, milliseconds after which decisions no longer matter.
_REVOKE = """
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('XADD', KEYS[1], 'MINID', '~', string.format('%.0f', ms - ARGV[2]), '*', 'r', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""


class _Kept:
    """Values under a prefix, each with the moment it ends."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis: Any = redis
        self._prefix = prefix

    def key(self, kind: str, name: str) -> str:
        return f"{self._prefix}:{kind}:{name}"

    async def of_subject(self, kind: str, subject: str) -> int:
        """Drop everything that an index lists for *subject*; return how much was there."""
        index = self.key(f"{kind}-of", subject)
        names = await self._redis.smembers(index)
        gone = 0
        for name in names:  # each by itself: one that is made meanwhile keeps its place in the index
            gone += await self._redis.delete(self.key(kind, name.decode()))
            await self._redis.srem(index, name)
        return gone


class RedisRefreshTokens(_Kept):
    """Families of refresh tokens.

    Args:
        redis: A client of redis-py's asyncio side, with bytes as answers (its default).
        prefix: What keys begin with.
    """

    def __init__(self, redis: Redis, prefix: str = "seawall:auth") -> None:
        super().__init__(redis, prefix)
        self._rotate = self._redis.register_script(_ROTATE)

    async def open(self, family: Family, current: str) -> None:
        """Keep a new family until it expires."""
        key, index = self.key("family", family.id), self.key("family-of", family.grant.subject)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(key, mapping={"current": current, "family": _encode(family), "expires": repr(family.expires)})
            pipe.pexpireat(key, int(family.expires * 1000))
            pipe.sadd(index, family.id)
            pipe.pexpireat(index, int(family.expires * 1000), nx=True)  # the index lives as long as the last of them
            pipe.pexpireat(index, int(family.expires * 1000), gt=True)
            await pipe.execute()

    async def rotate(self, family: str, used: str, fresh: str, now: float) -> Rotation:
        """Put *fresh* in the place of *used*, or end the family: one script."""
        outcome, raw = await self._rotate(keys=[self.key("family", family)], args=[used, fresh, repr(now)])
        found = msgspec.msgpack.decode(raw, type=Family) if raw else None
        return msgspec.convert({"outcome": outcome.decode(), "family": found}, Rotation)

    async def revoke_family(self, family: str) -> None:
        """End one family."""
        await self._redis.delete(self.key("family", family))

    async def revoke_subject(self, subject: str) -> int:
        """End every family of *subject*."""
        return await self.of_subject("family", subject)


class RedisSessions(_Kept):
    """Sessions of browsers.

    Args:
        redis: A client of redis-py's asyncio side, with bytes as answers (its default).
        prefix: What keys begin with.
    """

    def __init__(self, redis: Redis, prefix: str = "seawall:auth") -> None:
        super().__init__(redis, prefix)

    async def open_session(self, mark: str, session: Session) -> None:
        """Keep a new session until it ends."""
        index, until = self.key("session-of", session.grant.subject), int(session.expires * 1000)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(self.key("session", mark), _encode(session), pxat=until)
            pipe.sadd(index, mark)
            pipe.pexpireat(index, until, nx=True)
            pipe.pexpireat(index, until, gt=True)
            await pipe.execute()

    async def read_session(self, mark: str, now: float) -> Session | None:
        """Return the session, unless it has ended."""
        raw = await self._redis.get(self.key("session", mark))
        session = msgspec.msgpack.decode(raw, type=Session) if raw else None
        return session if session is not None and session.expires > now else None

    async def close_session(self, mark: str) -> None:
        """End it."""
        await self._redis.delete(self.key("session", mark))

    async def close_sessions(self, subject: str) -> int:
        """End every session of *subject*."""
        return await self.of_subject("session", subject)


class RedisSignIns(_Kept):
    """Sign-ins that have begun.

    Args:
        redis: A client of redis-py's asyncio side, with bytes as answers (its default).
        prefix: What keys begin with.
    """

    def __init__(self, redis: Redis, prefix: str = "seawall:auth") -> None:
        super().__init__(redis, prefix)

    async def keep_flow(self, state: str, flow: Flow, until: float) -> None:
        """Keep *flow* under the hash *state*."""
        await self._redis.set(self.key("flow", state), _encode((flow, until)), pxat=int(until * 1000))

    async def take_flow(self, state: str, now: float) -> Flow | None:
        """Return the flow under *state* and forget it: one command."""
        raw = await self._redis.getdel(self.key("flow", state))
        if not raw:
            return None
        flow, until = msgspec.msgpack.decode(raw, type=tuple[Flow, float])
        return flow if until > now else None


class RedisRevocations(_Kept):
    """Decisions to take tokens back: a stream that every process reads.

    Args:
        redis: A client of redis-py's asyncio side, with bytes as answers (its default).
        prefix: What keys begin with.
        seconds: How long decisions matter: no access token may live longer.
    """

    def __init__(self, redis: Redis, prefix: str = "seawall:auth", seconds: float = 86_400.0) -> None:
        super().__init__(redis, prefix)
        self._milliseconds = int(seconds * 1000)
        self._revoke = self._redis.register_script(_REVOKE)

    async def revoke(self, revocation: Revocation) -> None:
        """Keep one decision: one script."""
        await self._revoke(keys=[self.key("revoked", "log")], args=[_encode(revocation), self._milliseconds])

    async def read(self, after: str) -> tuple[list[Revocation], str]:
        """Return the decisions after the mark, and the mark of the last."""
        start = f"({after}" if after else "-"
        fresh: list[Revocation] = []
        for name, fields in await self._redis.xrange(self.key("revoked", "log"), min=start, max="+"):
            after = name.decode()
            fresh.append(msgspec.msgpack.decode(fields[b"r"], type=Revocation))
        return fresh, after
