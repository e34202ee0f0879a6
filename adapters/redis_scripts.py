"""What the view of heads does inside Redis, in Lua: each script is one step that nobody sees half of.

Keys, all with the generation as hash tag, so that a cluster keeps them together:
- `…:state`, a hash: `epoch` (a new one after every loss), `open` (the run id of the server on which the view was proven
  complete), `log` (which topic it is folded from), `at:<partition>` (the applied offset);
- `…:<epoch>:tenants`, a hash: how many heads each tenant has;
- `…:<epoch>:of:<tenant>`, a hash: document -> 32 digits of version, 32 of access version, the encoded head.

A life is server run and epoch together. A flush ends it, since the epoch is gone; a restart and a failover end it,
since another process serves; so within one life nothing that was applied is ever undone.
"""

from __future__ import annotations

from typing import Final

__all__ = ["FOLD", "FORGET", "LOOK", "MARK", "PROVE", "READ", "WALK"]

# KEYS[1] is the state, ARGV[1] the prefix of the others.
_LIFE: Final = """
local state, prefix = KEYS[1], ARGV[1]
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local epoch = redis.call('HGET', state, 'epoch')
local function life() return run .. '/' .. (epoch or '') end
local function tenants() return prefix .. (epoch or '') .. ':tenants' end
local function of(tenant) return prefix .. (epoch or '') .. ':of:' .. tenant end
local function begin(token)
  if not epoch then
    epoch = token
    redis.call('HSET', state, 'epoch', token)
  end
end
local function forget()
  for _, tenant in ipairs(redis.call('HKEYS', tenants())) do redis.call('UNLINK', of(tenant)) end
  redis.call('UNLINK', tenants(), state)
  epoch = false
end
"""

# Only while the server is the one on which the view was proven, and holds as many heads of the tenant as were counted:
# whatever took some of them away alone (an eviction, a stray DEL) makes the view begin anew.
_WHOLE: Final = """
local function whole(tenant)
  if not epoch or redis.call('HGET', state, 'open') ~= run then return 'it has not caught up with the log yet' end
  if redis.call('HLEN', of(tenant)) == tonumber(redis.call('HGET', tenants(), tenant) or '0') then return nil end
  forget()
  return 'heads were taken out of the store; it has to be folded from the log again and has not caught up yet'
end
"""

FOLD: Final = (
    _LIFE
    + """
-- ARGV: prefix, token, partition or '', start, end, then tenant, document, head for each; returns life, offset, taken.
local function newer(head, than)
  if not than then return true end
  local version, access = string.sub(head, 1, 32), string.sub(head, 33, 64)
  local old, old_access = string.sub(than, 1, 32), string.sub(than, 33, 64)
  return version >= old and access >= old_access and (version ~= old or access ~= old_access)
end
begin(ARGV[2])
local field, at = 'at:' .. ARGV[3], 0
if ARGV[3] ~= '' then
  at = tonumber(redis.call('HGET', state, field) or '0')
  if tonumber(ARGV[4]) > at then return {life(), at} end
end
local reply = {'', at}
for i = 6, #ARGV, 3 do
  local tenant, document, head = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local taken = newer(head, redis.call('HGET', of(tenant), document))
  if taken and redis.call('HSET', of(tenant), document, head) == 1 then
    redis.call('HINCRBY', tenants(), tenant, 1)
  end
  reply[#reply + 1] = taken and 1 or 0
end
if ARGV[3] ~= '' and tonumber(ARGV[5]) > at then
  redis.call('HSET', state, field, ARGV[5])
  at = tonumber(ARGV[5])
end
reply[1], reply[2] = life(), at
return reply
"""
)

READ: Final = (
    _LIFE
    + _WHOLE
    + """
-- ARGV: prefix, tenant, documents; returns why not, life, how many heads the tenant has, and the heads.
local tenant = ARGV[2]
local why = whole(tenant)
if why then return {why, life()} end
local reply = {'', life(), redis.call('HLEN', of(tenant))}
for i = 3, #ARGV do reply[i + 1] = redis.call('HGET', of(tenant), ARGV[i]) end
return reply
"""
)

WALK: Final = (
    _LIFE
    + _WHOLE
    + """
-- ARGV: prefix, tenant, cursor, how many; returns why not, life, cursor and pairs; without a tenant, the tenants.
if ARGV[2] == '' then
  local why = whole('')
  return {why or '', life(), '0', redis.call('HKEYS', tenants())}
end
local why = whole(ARGV[2])
if why then return {why, life(), '0', {}} end
local found = redis.call('HSCAN', of(ARGV[2]), ARGV[3], 'COUNT', ARGV[4])
return {'', life(), found[1], found[2]}
"""
)

MARK: Final = (
    _LIFE
    + """
-- ARGV: prefix, token, log or ''; returns why not, and the life.
local policy = string.match(redis.call('INFO', 'memory'), 'maxmemory_policy:([%w-]+)') or ''
if string.find(policy, '^allkeys') then return {policy, life()} end
local log = redis.call('HGET', state, 'log')
if ARGV[3] ~= '' and log and log ~= ARGV[3] then forget() end
begin(ARGV[2])
if ARGV[3] ~= '' then redis.call('HSET', state, 'log', ARGV[3]) end
return {'', life()}
"""
)

PROVE: Final = (
    _LIFE
    + """
-- ARGV: prefix, the marked life, then partition and end for each; returns whether the view is open.
if life() ~= ARGV[2] then return 0 end
for i = 3, #ARGV, 2 do
  if tonumber(redis.call('HGET', state, 'at:' .. ARGV[i]) or '0') < tonumber(ARGV[i + 1]) then return 0 end
end
redis.call('HSET', state, 'open', run)
return 1
"""
)

LOOK: Final = (
    _LIFE
    + """
-- ARGV: prefix; returns whether the view is open, and its state.
return {epoch and redis.call('HGET', state, 'open') == run and 1 or 0, redis.call('HGETALL', state)}
"""
)

FORGET: Final = _LIFE + "forget()\nreturn 1\n"
