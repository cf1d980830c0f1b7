"""Shared breakers on Redis or Valkey: one script, on the server's clock.

A breaker is one hash and two lists of ordinal numbers (of failures and of slow calls, as in `CountWindow`), in one slot
of a cluster. What nobody asks for is forgotten after a day, unless it was switched by hand.

When Redis does not answer, every method raises `StoreUnavailable`; what then happens is the `SharedBreaker`'s choice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seawall.clock import Random, SystemRandom
from seawall.problems import ConfigurationError
from seawall.resilience.breaker import Breaker
from seawall.resilience.checks import duration
from seawall.resilience.outcomes import Outcome
from seawall.resilience.shared import Admission, StoreUnavailable, Switch

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["RedisBreakerStore"]

_SCRIPT = """
local key, failed, slow = KEYS[1], KEYS[2], KEYS[3]
local verb = ARGV[1]
local size, needed, failure_rate, slow_rate, row = ARGV[2] + 0, ARGV[3] + 0, ARGV[4] + 0, ARGV[5] + 0, ARGV[6] + 0
local open_for, growth, longest, jitter = ARGV[7] + 0, ARGV[8] + 0, ARGV[9] + 0, ARGV[10] + 0
local probes, patience, chance = ARGV[11] + 0, ARGV[12] + 0, ARGV[13] + 0
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local state = redis.call('HGET', key, 'state') or 'closed'
local generation = tonumber(redis.call('HGET', key, 'generation') or '0')

local function field(name) return tonumber(redis.call('HGET', key, name) or '0') end

local function go(next)
    state, generation = next, generation + 1
    redis.call('DEL', failed, slow)
    redis.call('HSET', key, 'state', state, 'generation', generation, 'ended', 0, 'row', 0, 'failures', 0, 'slows', 0)
end

local function trip(times)
    local time = math.min(longest, open_for * growth ^ math.min(times - 1, 64)) * (1 + jitter * (2 * chance - 1))
    go('open')
    redis.call('HSET', key, 'until', now + math.ceil(time), 'times', times)
end

local function trips(calls, failures, slows)
    return (failure_rate >= 0 and failures / calls >= failure_rate) or (slow_rate >= 0 and slows / calls >= slow_rate)
end

local function remember()
    if state == 'forced-open' or state == 'forced-closed' then
        redis.call('PERSIST', key)
    else
        for _, name in ipairs(KEYS) do redis.call('PEXPIRE', name, 86400000 + longest * 2) end
    end
end

if verb == 'admit' then
    if state == 'half-open' and field('left') == 0 and now >= field('patience') then trip(field('times') + 1) end
    if state == 'open' then
        local wait = field('until') - now
        if wait > 0 then return {0, state, generation, wait} end
        local times = field('times')
        go('half-open')
        redis.call('HSET', key, 'left', probes, 'times', times, 'patience', now + patience)
    end
    if state == 'half-open' then
        if field('left') == 0 then return {0, state, generation, -1} end
        redis.call('HINCRBY', key, 'left', -1)
    elseif state == 'forced-open' then
        return {0, state, generation, -1}
    end
    remember()
    return {1, state, generation, -1}
end

if verb == 'switch' then
    go(ARGV[14])
    redis.call('HSET', key, 'times', 0)
    remember()
    return {1, state, generation, -1}
end

local bad, was_slow = ARGV[15] == 'failure', ARGV[16] == '1'
if ARGV[14] + 0 ~= generation or state == 'open' then return {0, state, generation, -1} end
if state == 'half-open' then
    if ARGV[15] == 'ignored' then
        redis.call('HINCRBY', key, 'left', 1)
        return {1, state, generation, -1}
    end
    local ended = redis.call('HINCRBY', key, 'ended', 1)
    local failures = redis.call('HINCRBY', key, 'failures', bad and 1 or 0)
    local slows = redis.call('HINCRBY', key, 'slows', was_slow and 1 or 0)
    local missing = probes - ended
    if trips(probes, failures, slows) or (failure_rate < 0 and failures > 0) then
        trip(field('times') + 1)
    elseif missing == 0 or (failure_rate >= 0 and not trips(probes, failures + missing, slows + missing)) then
        go('closed')
    end
elseif state == 'closed' and ARGV[15] ~= 'ignored' then
    local ended = redis.call('HINCRBY', key, 'ended', 1)
    for _, list in ipairs({failed, slow}) do
        local oldest = redis.call('LINDEX', list, 0)
        while oldest and oldest + 0 <= ended - size do
            redis.call('LPOP', list)
            oldest = redis.call('LINDEX', list, 0)
        end
    end
    if bad then redis.call('RPUSH', failed, ended) end
    if was_slow then redis.call('RPUSH', slow, ended) end
    local in_a_row = bad and redis.call('HINCRBY', key, 'row', 1) or 0
    if not bad then redis.call('HSET', key, 'row', 0) end
    local calls = math.min(ended, size)
    if (row > 0 and in_a_row >= row)
        or (calls >= needed and trips(calls, redis.call('LLEN', failed), redis.call('LLEN', slow))) then
        trip(1)
    end
end
remember()
return {1, state, generation, -1}
"""


class RedisBreakerStore:
    """Breakers in Redis.

    Args:
        client: A client of ``redis.asyncio``, best on a `BlockingConnectionPool`: calls queue for a connection there,
            where the ordinary pool raises when it has none left, which counts as an outage. Its owner closes it.
        prefix: What every key begins with.
        random: Chance, for the jitter of open times.

    Raises:
        ConfigurationError: The driver is not installed.
    """

    def __init__(self, client: Redis, *, prefix: str = "seawall:breaker", random: Random | None = None) -> None:
        try:
            from redis.exceptions import RedisError  # noqa: PLC0415 - the driver is an extra
        except ImportError:
            raise ConfigurationError("shared breakers need the Redis driver: pip install 'seawall[redis]'") from None
        self._errors = (RedisError, OSError)
        self._client = client
        self._prefix = prefix
        self._random: Random = random or SystemRandom()
        self._script = client.register_script(_SCRIPT)

    async def admit(self, name: str, policy: Breaker) -> Admission:
        """Ask whether a call may go out."""
        admitted, state, generation, wait = await self._run("admit", name, policy)
        return Admission(
            admitted=bool(admitted), state=state, ticket=generation, retry_after=None if wait < 0 else wait / 1000
        )

    async def report(self, name: str, policy: Breaker, ticket: int, outcome: Outcome, *, slow: bool) -> str:
        """Tell how the call of *ticket* ended; return the state after that."""
        _, state, _, _ = await self._run("report", name, policy, ticket, outcome.value, int(slow))
        return state

    async def state(self, name: str) -> str:
        """Return the state, as it was after the last call."""
        try:
            state = await self._client.hget(self._keys(name)[0], "state")
        except self._errors as error:
            raise StoreUnavailable(f"breaker {name!r}: Redis does not answer") from error
        return "closed" if state is None else _text(state)

    async def switch(self, name: str, policy: Breaker, state: Switch) -> None:
        """Put the breaker into *state* by hand."""
        await self._run("switch", name, policy, state)

    def _keys(self, name: str) -> list[str]:
        key = f"{self._prefix}:{{{name}}}"
        return [key, f"{key}:failed", f"{key}:slow"]

    async def _run(self, verb: str, name: str, policy: Breaker, *more: object) -> tuple[int, str, int, int]:
        arguments: list[Any] = [
            verb,
            policy.window,
            policy.needed_calls,
            -1 if policy.failure_rate is None else policy.failure_rate,
            -1 if policy.slow_share is None else policy.slow_share,
            policy.consecutive or 0,
            _milliseconds(policy.open_for),
            policy.growth,
            _milliseconds(policy.longest_open),
            policy.jitter,
            policy.probes,
            _milliseconds(policy.probe_patience),
            self._random.random(),
            *more,
        ]
        try:
            done, state, generation, wait = await self._script(keys=self._keys(name), args=arguments)
        except self._errors as error:
            raise StoreUnavailable(f"breaker {name!r}: Redis does not answer") from error
        return done, _text(state), generation, wait


def _milliseconds(value: float | str) -> float:
    return duration("Breaker", "duration", value) * 1000


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
