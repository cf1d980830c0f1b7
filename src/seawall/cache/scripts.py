"""The steps of the shared tier in Redis, as the server runs them.

Keys are read with ``MGET``, which takes one that holds no text for missing; ``GET`` would fail.
"""

from __future__ import annotations

from seawall.cache.prefixes import MOST_PREFIXES
from seawall.data.redis import Script

__all__ = ["CLAIM", "FILL", "INVALIDATE", "READ", "RELEASE"]

# A tag's version is the server's time in microseconds when it was first seen or last invalidated, and a count for those
# of one microsecond: never one it had before, not even if the server has forgotten the tag meanwhile. Journals are
# named in the same way. The journal is a hash (its name, the number of its last entry, its floor) and a sorted set of
# prefixes by their numbers.
_FRESH = """
local function fresh(serial)
  local time = redis.call('TIME')
  return time[1] .. '.' .. time[2] .. '.' .. redis.call('INCR', serial)
end
local function number_of(text) return tonumber(text or '0') or 0 end
"""
_CHANGES = """
local function changes(meta, log, journal, number)
  local now = redis.call('HMGET', meta, 'journal', 'number', 'floor')
  if not now[1] then return {'', 0, 0} end
  local reply = {now[1], number_of(now[2]), number_of(now[3])}
  local since = now[1] == journal and number or '0'
  if number_of(since) < reply[2] then
    local news = redis.call('ZRANGEBYSCORE', log, '(' .. since, '+inf', 'WITHSCORES')
    for i = 1, #news do reply[i + 3] = news[i] end
  end
  return reply
end
"""
READ = Script(
    _FRESH
    + _CHANGES
    + """
local seen = {}
if #KEYS > 2 then seen = redis.call('MGET', unpack(KEYS, 3)) end
return {changes(KEYS[1], KEYS[2], ARGV[1], ARGV[2]), seen}
"""
)
"""Keys: the journal's two, entries, tags. Arguments: what is known of the journal."""
CLAIM = Script(
    _FRESH
    + _CHANGES
    + """
local serial, meta, log, life = KEYS[1], KEYS[2], KEYS[3], ARGV[3]
local tags = tonumber(ARGV[4])
local pairs_ = {}
local seen = redis.call('MGET', unpack(KEYS, 4 + tags))
for i = 1, #seen, 2 do
  local won = not seen[i + 1] or seen[i + 1] == ARGV[1]
  if won then redis.call('SET', KEYS[4 + tags + i], ARGV[1], 'PX', ARGV[2]) end
  pairs_[#pairs_ + 1] = {won and 1 or 0, seen[i]}
end
local versions = {}
if tags > 0 then versions = redis.call('MGET', unpack(KEYS, 4, 3 + tags)) end
for i = 1, tags do
  versions[i] = versions[i] or fresh(serial)
  redis.call('SET', KEYS[3 + i], versions[i], 'EX', life)
end
if redis.call('EXISTS', meta) == 0 then redis.call('HSET', meta, 'journal', fresh(serial), 'number', 0) end
redis.call('EXPIRE', meta, life)
redis.call('EXPIRE', log, life)
return {changes(meta, log, ARGV[5], ARGV[6]), versions, pairs_}
"""
)
"""Keys: serial, the journal's two, tags, then entry and claim of each. Arguments: token, lease, life of tags, number of
tags, what is known of the journal."""
FILL = Script("""
local tags = tonumber(ARGV[2])
local versions, done, at = {}, {}, 3
if tags > 0 then versions = redis.call('MGET', unpack(KEYS, 1, tags)) end
for i = tags + 1, #KEYS, 2 do
  local entry, claim = KEYS[i], KEYS[i + 1]
  local data, life, own = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local good = redis.call('MGET', claim)[1] == ARGV[1]
  if good then redis.call('DEL', claim) end
  for j = at + 3, at + 2 + 2 * own, 2 do
    if versions[tonumber(ARGV[j])] ~= ARGV[j + 1] then good = false end
  end
  if good then redis.call('SET', entry, data, 'PX', life) end
  done[#done + 1] = good and 1 or 0
  at = at + 3 + 2 * own
end
return done
""")
"""Keys: tags, then entry and claim of each. Arguments: token, number of tags; then for each the data, its life, how
many tags it has, and the place and the version of each of these."""
RELEASE = Script("""
for i = 1, #KEYS do
  if redis.call('MGET', KEYS[i])[1] == ARGV[1] then redis.call('DEL', KEYS[i]) end
end
return 1
""")
# A server that is full refuses to set anything, but not to a script that has deleted something before (whether it was
# there or not): what is out of date must go just then.
INVALIDATE = Script(
    _FRESH
    + f"""
local most = {MOST_PREFIXES}"""
    + """
local serial, meta, log, names, tags = KEYS[1], KEYS[2], KEYS[3], tonumber(ARGV[1]), tonumber(ARGV[2])
redis.call('DEL', serial .. 'none', unpack(KEYS, 4, 3 + names))
for i = 4 + names, 3 + names + tags do redis.call('SET', KEYS[i], fresh(serial), 'EX', ARGV[3]) end
if #ARGV > 5 and redis.call('EXISTS', meta) == 0 then
  redis.call('HSET', meta, 'journal', fresh(serial), 'number', 0)
  redis.call('DEL', log)
end
for i = 6, #ARGV do
  redis.call('ZADD', log, redis.call('HINCRBY', meta, 'number', 1), ARGV[i])
  if redis.call('ZCARD', log) > most then
    redis.call('HSET', meta, 'floor', redis.call('ZRANGE', log, 0, 0, 'WITHSCORES')[2])
    redis.call('ZREMRANGEBYRANK', log, 0, 0)
  end
end
local now = redis.call('HMGET', meta, 'journal', 'number')
if now[1] then
  redis.call('EXPIRE', meta, ARGV[3])
  redis.call('EXPIRE', log, ARGV[3])
end
redis.call('PUBLISH', ARGV[4], (now[1] or '') .. ':' .. number_of(now[2]) .. ':' .. ARGV[5])
return 1
"""
)
"""Keys: serial, the journal's two, entries and claims to delete, tags. Arguments: how many to delete, number of tags,
life of tags, channel, message; prefixes."""
