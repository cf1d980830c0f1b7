"""A counter in Redis."""

from redis.asyncio import Redis

from seawall import Service
from seawall.data.redis import Script, redis

service = Service("counter")
redis(service)
add = Script("return redis.call('INCRBY', KEYS[1], ARGV[1])")


@service.post("/visits")
async def count_visit(client: Redis) -> int:
    """Count a visit."""
    return int(await add(client, ["visits"], 1))
