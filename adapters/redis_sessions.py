"""Sessions in Redis, shared by every worker: what one wrote down, another resolves the next question against.

Plain Redis 7 and nothing more. Keys, all with the corpus as hash tag:
- `…:of:<session>`, a hash, gone by itself: `t<key>` a turn in full and `s<key>` what it is summarised to, `n<key>` a
  turn that was summarised, `h` up to which key turns were given up. Keys sort as turns do; an emptied turn is "".
- `…:until`, a sorted set: the sessions by when each is over, to know which goes where there is no room;
- `…:cites:<place>`, a hash: `<session>/<key>` -> 32 digits of the version of the document that the turn quotes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from adapters.errors import SessionsUnavailableError
from adapters.redis_heads import RedisOptions, client_of
from adapters.redis_places import digits_of, place_of, version_of
from adapters.session_memory import laid, session_from
from processors.answer.sessions import Session, SessionLimits, Turn
from processors.ports import Clock
from schemas.envelope import Version

__all__ = ["RedisSessions"]

# Of the encoding: a release that writes turns otherwise does not read those of this one.
_CODEC: Final = 1
# After a call that failed nobody asks for a while: sessions that are away must not cost every question a timeout.
_AWAY_S: Final = 1.0
# Entries of a document's hash from which those are looked for whose turns went by their time.
_CITES_MOST: Final = 2_000

_RECORD: Final = """
-- ARGV: prefix, session, key, full, note, until (ms), turns, turn bytes, note bytes, most, most cites, then place and
-- version for each document quoted. Returns 0 where its time is over, 1 where it is there now.
local prefix, session, key = ARGV[1], ARGV[2], ARGV[3]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
if tonumber(ARGV[6]) <= now then return 0 end
local name, until_name = prefix .. 'of:' .. session, prefix .. 'until'
-- 1. Once only: under whatever time it comes, and also where it was given up.
if key <= (redis.call('HGET', name, 'h') or '') then return 1 end
local turns, notes, turn_bytes, note_bytes = {}, {}, 0, 0
for _, field in ipairs(redis.call('HKEYS', name)) do
  local kind, held = string.sub(field, 1, 1), string.sub(field, 2)
  if kind == 't' or kind == 'n' then
    if string.sub(held, 21) == string.sub(key, 21) then return 1 end
    local size = redis.call('HSTRLEN', name, field)
    if kind == 't' then turns[#turns + 1] = held; turn_bytes = turn_bytes + size
    else notes[#notes + 1] = held; note_bytes = note_bytes + size end
  end
end
-- 2. The turn, its session a while longer, and what it quotes.
redis.call('HSET', name, 't' .. key, ARGV[4], 's' .. key, ARGV[5])
turns[#turns + 1] = key
turn_bytes = turn_bytes + string.len(ARGV[4])
local function last_until(what)
  if redis.call('PTTL', what) < 0 then redis.call('PEXPIREAT', what, ARGV[6])
  else redis.call('PEXPIREAT', what, ARGV[6], 'GT') end
end
last_until(name)
redis.call('ZADD', until_name, 'GT', ARGV[6], session)
for i = 12, #ARGV, 2 do
  local place = prefix .. 'cites:' .. ARGV[i]
  redis.call('HSET', place, session .. '/' .. key, ARGV[i + 1])
  last_until(place)
  if redis.call('HLEN', place) > tonumber(ARGV[11]) then
    for _, turn in ipairs(redis.call('HKEYS', place)) do
      local of, held = string.match(turn, '^(%x+)/(%w+)$')
      local whole = prefix .. 'of:' .. of
      if redis.call('HEXISTS', whole, 't' .. held) + redis.call('HEXISTS', whole, 'n' .. held) == 0 then
        redis.call('HDEL', place, turn)
      end
    end
  end
end
-- 3. The oldest turns are summarised and the oldest summaries go, until all is within bounds.
table.sort(turns)
while #turns > tonumber(ARGV[7]) or turn_bytes > tonumber(ARGV[8]) do
  local oldest = table.remove(turns, 1)
  local note = redis.call('HGET', name, 's' .. oldest) or ''
  turn_bytes = turn_bytes - redis.call('HSTRLEN', name, 't' .. oldest)
  redis.call('HDEL', name, 't' .. oldest, 's' .. oldest)
  redis.call('HSET', name, 'n' .. oldest, note)
  notes[#notes + 1] = oldest
  note_bytes = note_bytes + string.len(note)
end
table.sort(notes)
while note_bytes > tonumber(ARGV[9]) do
  local oldest = table.remove(notes, 1)
  note_bytes = note_bytes - redis.call('HSTRLEN', name, 'n' .. oldest)
  redis.call('HDEL', name, 'n' .. oldest)
  redis.call('HSET', name, 'h', oldest)
end
-- 4. So many sessions: those over first, then those over soonest.
redis.call('ZREMRANGEBYSCORE', until_name, '-inf', now)
while redis.call('ZCARD', until_name) > tonumber(ARGV[10]) do
  redis.call('DEL', prefix .. 'of:' .. redis.call('ZPOPMIN', until_name)[1])
end
return 1
"""
_CITING: Final = """
-- ARGV: prefix, place; returns name and version of each turn that quotes it and is there still.
local held, found = redis.call('HGETALL', ARGV[1] .. 'cites:' .. ARGV[2]), {}
for i = 1, #held, 2 do
  local of, key = string.match(held[i], '^(%x+)/(%w+)$')
  local name = ARGV[1] .. 'of:' .. of
  if redis.call('HSTRLEN', name, 't' .. key) + redis.call('HSTRLEN', name, 'n' .. key) > 0 then
    found[#found + 1] = held[i]
    found[#found + 1] = held[i + 1]
  end
end
return found
"""
_OF: Final = """
-- ARGV: prefix, owner; returns the names of the turns of its sessions that say anything. There are never more sessions
-- than are kept.
local found = {}
for _, session in ipairs(redis.call('ZRANGE', ARGV[1] .. 'until', 0, -1)) do
  if string.sub(session, 1, string.len(ARGV[2])) == ARGV[2] then
    local name = ARGV[1] .. 'of:' .. session
    for _, field in ipairs(redis.call('HKEYS', name)) do
      local kind = string.sub(field, 1, 1)
      if (kind == 't' or kind == 'n') and redis.call('HSTRLEN', name, field) > 0 then
        found[#found + 1] = session .. '/' .. string.sub(field, 2)
      end
    end
  end
end
return found
"""
_FORGET: Final = """
-- ARGV: prefix, then the names of turns: each is emptied, and that it was there is known on.
for i = 2, #ARGV do
  local of, key = string.match(ARGV[i], '^(%x+)/(%w+)$')
  for _, kind in ipairs({'t', 's', 'n'}) do
    local name = ARGV[1] .. 'of:' .. of
    if redis.call('HEXISTS', name, kind .. key) == 1 then redis.call('HSET', name, kind .. key, '') end
  end
end
return 1
"""


class RedisSessions:
    """The port Sessions in a Redis that many processes share.

    >>> sessions = RedisSessions(RedisOptions("redis://127.0.0.1:6379/0"), "main", limits, clock)  # doctest: +SKIP
    >>> sessions.record("acme", session, turn), len(sessions.read(session).turns)  # doctest: +SKIP
    (True, 1)

    A server that does not answer in time is left alone for a second.
    """

    def __init__(self, options: RedisOptions, corpus: str, limits: SessionLimits, clock: Clock) -> None:
        self._redis = client_of(options)
        self._scripts = {text: self._redis.register_script(text) for text in (_RECORD, _CITING, _OF, _FORGET)}
        self._prefix = f"{options.namespace}:sessions:{_CODEC}:{{{corpus}}}:"
        self._limits = limits
        self._clock = clock
        self._away_until = 0.0

    def read(self, session: str) -> Session | None:
        """The turns of a session; None where Redis does not answer."""
        try:
            held = self._asked(lambda: self._redis.hgetall(f"{self._prefix}of:{session}"))
        except SessionsUnavailableError:
            return None
        fields = sorted(held)
        turns, notes = ([held[one] for one in fields if one[:1] == kind] for kind in (b"t", b"n"))
        return session_from(turns, notes)

    def record(self, tenant: str, session: str, turn: Turn) -> bool:
        """Adds a turn, once; False where its time is over already. Raises SessionsUnavailableError."""
        new, limits = laid(turn, self._limits.ttl_s), self._limits
        bounds = (limits.turns, limits.turn_bytes, limits.note_bytes, limits.most, _CITES_MOST)
        cited = [part for one in turn.cites for part in (place_of(tenant, one.document), digits_of(one.version))]
        return bool(self._run(_RECORD, session, new.key, new.full, new.note, new.until // 1_000, *bounds, *cited))

    def citing(self, tenant: str, document: str) -> Mapping[str, Version]:
        """By name, the version of a document that each turn quotes. Raises SessionsUnavailableError."""
        flat = self._run(_CITING, place_of(tenant, document))
        return {name.decode(): version_of(digits.decode()) for name, digits in zip(flat[::2], flat[1::2], strict=True)}

    def of(self, owner: str) -> frozenset[str]:
        """Names of the turns of an owner's sessions that say anything. Raises SessionsUnavailableError."""
        return frozenset(name.decode() for name in self._run(_OF, owner))

    def forget(self, names: Iterable[str]) -> None:
        """Empties turns; one that is not held is no error. Raises SessionsUnavailableError."""
        self._run(_FORGET, *names)

    def close(self) -> None:
        """Lets go of the connections."""
        self._redis.close()

    def _run(self, script: str, *arguments: Any) -> Any:
        return self._asked(
            lambda: self._scripts[script](keys=[f"{self._prefix}until"], args=[self._prefix, *arguments])
        )

    def _asked(self, ask: Any) -> Any:
        from redis.exceptions import RedisError

        if self._clock.monotonic() < self._away_until:
            raise SessionsUnavailableError("wanted the sessions from Redis, which did not answer a moment ago")
        try:
            return ask()
        except RedisError as error:
            self._away_until = self._clock.monotonic() + _AWAY_S
            raise SessionsUnavailableError(
                f"wanted the sessions from Redis, got {error}; is the server there?"
            ) from error
