"""Redis and Valkey: one pool per URL, scripts that are one atomic step, the server's own clock."""

from __future__ import annotations

from seawall.data.redis.connections import Connections, RedisClient, connect, server_time, shown
from seawall.data.redis.script import Script
from seawall.data.redis.wiring import redis

__all__ = ["Connections", "RedisClient", "Script", "connect", "redis", "server_time", "shown"]
