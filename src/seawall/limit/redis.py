"""Allowances in Redis (or Valkey): shared by every machine, one script for each decision, by the server's clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from seawall.data.redis.script import Script
from seawall.limit.rule import QUANTUM, Rule
from seawall.problems import ConfigurationError
from seawall.settings import RedisSettings

if TYPE_CHECKING:
    from seawall.data.redis import RedisClient

__all__ = ["PREFIX", "RedisStore", "connect"]

PREFIX = "seawall:limit:"
POOL = 32
"""Connections of one process. A decision holds one for a round trip; what comes beyond waits its turn, in its time."""

# Whole numbers of quanta (2^-24 s) since 2026-01-01T00:00:00Z, which a double holds exactly until 2042.
# The civil month of a day is found as in Howard Hinnant's "chrono-Compatible Low-Level Date Algorithms".
SCRIPT = """
local QUANTA, EPOCH = 16777216, 1767225600
local want, need = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local seconds = tonumber(time[1])
local present = (seconds - EPOCH) * QUANTA + math.floor(tonumber(time[2]) * QUANTA / 1000000)

local function days_from_civil(y, m)
  if m <= 2 then y = y - 1 end
  local era = math.floor(y / 400)
  local yoe = y - era * 400
  local doy = math.floor((153 * ((m + 9) % 12) + 2) / 5)
  return era * 146097 + yoe * 365 + math.floor(yoe / 4) - math.floor(yoe / 100) + doy - 719468
end

local function window(kind)
  local day = math.floor(seconds / 86400)
  if kind == 'day' then return day, day + 1 end
  local z = day + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local m = mp < 10 and mp + 3 or mp - 9
  local y = yoe + era * 400 + (m <= 2 and 1 or 0)
  local following = m == 12 and days_from_civil(y + 1, 1) or days_from_civil(y, m + 1)
  return days_from_civil(y, m), following
end

local grant = want
local cells = {}
for i, key in ipairs(KEYS) do
  local kind, interval, tolerance = ARGV[3 * i], tonumber(ARGV[3 * i + 1]), tonumber(ARGV[3 * i + 2])
  local now, stop = present, nil
  if kind ~= '' then
    local first, last = window(kind)
    now = (first * 86400 - EPOCH) * QUANTA
    stop = last * 86400 - seconds
  end
  local base = math.max(tonumber(redis.call('GET', key) or '0'), now)
  cells[i] = {now, base, interval, tolerance, stop}
  grant = math.min(grant, math.floor((tolerance - (base - now)) / interval))
end
local taken = grant >= need and grant or 0
local cost = taken > 0 and taken or need
local reply = {taken}
for i, key in ipairs(KEYS) do
  local now, base, interval, tolerance, stop = unpack(cells[i], 1, 5)
  local tat = base + cost * interval
  reply[i + 1] = tolerance - (tat - now)
  if taken > 0 then
    local life = stop and stop * 1000 or math.ceil((tat - now) / QUANTA * 1000) + 1000
    redis.call('SET', key, string.format('%.0f', tat), 'PX', string.format('%.0f', life))
  end
end
return reply
"""


class RedisStore:
    """Keeps theoretical arrival times under keys that expire once nothing is owed.

    One script reads, decides and writes: nothing comes in between, and the clock is the server's, so that machines
    need not agree on the time. A server that has lost the script (it was restarted) is given it again. A key is hashed
    to a slot of a cluster by its caller, so that rules of one key stay together.

    Args:
        make: Makes a client. The first call of each event loop does, so that none is shared by two loops.
        timeout: Seconds a decision may take, connecting included.
        prefix: What the names of all keys begin with.
    """

    def __init__(self, make: Callable[[], RedisClient], timeout: float, prefix: str = PREFIX) -> None:
        self._make = make
        self._timeout = timeout
        self._prefix = prefix
        self._client: RedisClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._script = Script(SCRIPT)

    async def take(self, rules: Sequence[Rule], key: str, cost: int) -> tuple[float, ...]:
        """Take from every rule or from none; see `RemoteStore.take`."""
        _, lefts = await self.grant(rules, key, cost, cost)
        return lefts

    async def grant(self, rules: Sequence[Rule], key: str, want: int, need: int) -> tuple[int, tuple[float, ...]]:
        """Take up to *want* units, at least *need*, or nothing.

        Returns:
            The units taken, and what is left as `take` says it; after a refusal, as if *need* had been asked for.

        Raises:
            OSError: The server could not be reached, did not answer in time, or answered that it cannot.
        """
        from redis.exceptions import RedisClusterException, RedisError  # noqa: PLC0415 - an extra

        keys = [f"{self._prefix}{{{key}}}{rule.id}" for rule in rules]
        arguments: list[Any] = [want, need]
        for rule in rules:
            arguments += (rule.window, int(rule.interval / QUANTUM), int(rule.tolerance / QUANTUM))
        try:
            async with asyncio.timeout(self._timeout):
                reply = await self._script(self._connected(), keys, *arguments)
        except (RedisError, RedisClusterException) as error:
            raise OSError(f"Redis: {error}") from error
        return int(reply[0]), tuple(int(left) * QUANTUM for left in reply[1:])

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None and self._loop is asyncio.get_running_loop():
            await client.aclose()

    def _connected(self) -> RedisClient:
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            self._client, self._loop = self._make(), loop
        return self._client


def connect(url: str, timeout: float) -> Callable[[], RedisClient]:
    """Return what makes clients for the server or servers at *url*.

    A command whose connection breaks is sent once more: most likely the server was restarted, and the connection is
    one of those before.

    Args:
        url: As ``SEAWALL_REDIS_URL`` has it: one server, sentinels or a cluster.
        timeout: Seconds for connecting, and for each answer.

    Raises:
        ConfigurationError: The driver is not installed, or the address is none.
    """
    from seawall.data import redis  # noqa: PLC0415 - for limits that are kept there

    settings = RedisSettings(
        url=url, max_connections=POOL, pool_wait=timeout, connect_timeout=timeout, timeout=timeout, retries=1
    )
    try:
        redis.connect(settings)
    except ConfigurationError as error:
        raise ConfigurationError(f"limits on Redis: {error} Or set limit.store to another store.") from None
    return lambda: redis.connect(settings)
