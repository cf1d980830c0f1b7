"""Records in Redis (or Valkey): shared by every machine, one script for each verb, expiry by the server's clock.

Weaker than a database: the answer is kept after the operation has committed its work elsewhere. Who dies in between
leaves an effect without a record, and a retry runs again once the lease is over. The same goes for
what a failover of Redis loses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seawall.data.redis.connections import Connections
from seawall.data.redis.script import Script
from seawall.idempotency.store import Found

__all__ = ["RedisStore"]

PREFIX = "seawall:idempotency:"

# Each may be sent twice, because a connection broke; the second time finds what the first has done.
CLAIM = Script("""
local kept = redis.call('HMGET', KEYS[1], 'fingerprint', 'answer', 'token')
if kept[1] and (kept[2] or kept[3] ~= ARGV[2]) then
  return {kept[1], kept[2] or '', kept[2] and 1 or 0, redis.call('PTTL', KEYS[1])}
end
redis.call('HSET', KEYS[1], 'fingerprint', ARGV[1], 'token', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {}
""")
HOLD = Script("""
local kept = redis.call('HMGET', KEYS[1], 'token', 'answer')
if kept[1] ~= ARGV[1] or kept[2] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
""")
COMPLETE = Script("""
local kept = redis.call('HMGET', KEYS[1], 'token', 'answer')
if kept[1] ~= ARGV[1] or (kept[2] and kept[2] ~= ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], 'answer', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
""")


class RedisStore:
    """One hash for each record; the server deletes what has expired.

    Args:
        connections: Where.
        prefix: What the names of all keys begin with.
    """

    def __init__(self, connections: Connections, prefix: str = PREFIX) -> None:
        self._connections = connections
        self._prefix = prefix

    async def claim(self, id: str, fingerprint: str, token: str, lease: float) -> Found:  # noqa: A002 - see Store
        """See `Store.claim`."""
        found = await self._run(CLAIM, id, fingerprint, token, int(lease * 1000))
        if not found:
            return Found("claimed", fingerprint)
        theirs = bytes(found[0]).decode()
        if int(found[2]):
            return Found("done", theirs, bytes(found[1]))
        return Found("running", theirs, left=max(0, int(found[3])) / 1000)

    async def hold(self, id: str, token: str, lease: float) -> bool:  # noqa: A002 - see Store
        """See `Store.hold`."""
        return bool(await self._run(HOLD, id, token, int(lease * 1000)))

    async def complete(self, id: str, token: str, answer: bytes, retention: float) -> bool:  # noqa: A002 - see Store
        """See `Store.complete`."""
        return bool(await self._run(COMPLETE, id, token, answer, int(retention * 1000)))

    async def forget(self, most: int) -> int:  # noqa: ARG002 - see Store
        """Return 0: the server does it."""
        return 0

    async def close(self) -> None:
        """Close the connections."""
        await self._connections.close()

    async def _run(self, script: Script, id: str, *arguments: Any) -> Sequence[Any]:  # noqa: A002 - see Store
        from redis.exceptions import RedisClusterException, RedisError  # noqa: PLC0415 - an extra

        try:
            return await script(self._connections.get(), [self._prefix + id], *arguments)  # type: ignore[no-any-return]
        except (RedisError, RedisClusterException) as error:
            raise OSError(f"Redis: {error}") from error
