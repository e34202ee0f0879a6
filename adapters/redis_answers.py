"""Answers kept in Redis, shared by every worker, and who is at work on which question.

Plain Redis 7 and nothing more. Keys, all with the corpus as hash tag:
- `…:kept:<key>`: an answer, gone by itself after its time;
- `…:used`, a sorted set: the keys by when they were used last, to know which goes where there is no room;
- `…:of:<place>`, a hash: key -> 32 digits of the version of the document that its answer was drawn from;
- `…:led:<key>`: the query that answers the key now, gone by itself as well.
A key whose answer went by its time is left in the other two until it is found there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from adapters.answer_cache import LOOK_S
from adapters.errors import CacheUnavailableError
from adapters.redis_heads import RedisOptions, client_of
from adapters.redis_places import digits_of, place_of, version_of
from processors.answer.kept import KeptAnswer
from processors.ports import Clock
from schemas.documents import DocumentHead
from schemas.envelope import Version

__all__ = ["KeepLimits", "RedisAnswers"]

# Of the encoding: a release that keeps answers otherwise does not read those of this one.
_CODEC: Final = 1
# After a call that failed nobody asks for a while: a cache that is away must not cost every question its timeout.
_AWAY_S: Final = 1.0
_ENDLESS_S: Final = 86_400.0

_ROOM: Final = """
local prefix = ARGV[1]
local function now() local t = redis.call('TIME'); return t[1] * 1000000 + t[2] end
local function drop(key)
  redis.call('ZREM', prefix .. 'used', key)
  return redis.call('DEL', prefix .. 'kept:' .. key)
end
"""
_GET: Final = (
    _ROOM
    + """
local found = redis.call('GET', prefix .. 'kept:' .. ARGV[2])
if found then redis.call('ZADD', prefix .. 'used', now(), ARGV[2]) end
return found
"""
)
_PUT: Final = (
    _ROOM
    + """
local function sweep(place, most)
  if redis.call('HLEN', place) <= most then return end
  for _, key in ipairs(redis.call('HKEYS', place)) do
    if redis.call('EXISTS', prefix .. 'kept:' .. key) == 0 then redis.call('HDEL', place, key) end
  end
end
-- ARGV: prefix, key, answer, milliseconds, most, then place and version for each document.
redis.call('SET', prefix .. 'kept:' .. ARGV[2], ARGV[3], 'PX', ARGV[4])
redis.call('ZADD', prefix .. 'used', now(), ARGV[2])
for i = 6, #ARGV, 2 do
  redis.call('HSET', prefix .. 'of:' .. ARGV[i], ARGV[2], ARGV[i + 1])
  redis.call('PEXPIRE', prefix .. 'of:' .. ARGV[i], ARGV[4])
  sweep(prefix .. 'of:' .. ARGV[i], tonumber(ARGV[5]))
end
while redis.call('ZCARD', prefix .. 'used') > tonumber(ARGV[5]) do
  drop(redis.call('ZRANGE', prefix .. 'used', 0, 0)[1])
end
return 1
"""
)
_DROP: Final = _ROOM + "return drop(ARGV[2])\n"
_FORGET: Final = (
    _ROOM
    + """
-- ARGV: prefix, then place and version for each head.
local gone = 0
for i = 2, #ARGV, 2 do
  local place = prefix .. 'of:' .. ARGV[i]
  local held = redis.call('HGETALL', place)
  for j = 1, #held, 2 do
    if held[j + 1] < ARGV[i + 1] then
      gone = gone + drop(held[j])
      redis.call('HDEL', place, held[j])
    end
  end
end
return gone
"""
)
_RESTING: Final = (
    _ROOM
    + """
local held, found = redis.call('HGETALL', prefix .. 'of:' .. ARGV[2]), {}
for i = 1, #held, 2 do
  if redis.call('EXISTS', prefix .. 'kept:' .. held[i]) == 1 then
    found[#found + 1] = held[i]
    found[#found + 1] = held[i + 1]
  end
end
return found
"""
)
_LEAD: Final = (
    _ROOM
    + """
local name = prefix .. 'led:' .. ARGV[2]
local leads = redis.call('GET', name)
if leads and leads ~= ARGV[3] then return 0 end
redis.call('SET', name, ARGV[3], 'PX', ARGV[4])
return 1
"""
)
_LED: Final = _ROOM + "return redis.call('EXISTS', prefix .. 'led:' .. ARGV[2])\n"
_LEAVE: Final = (
    _ROOM
    + """
local name = prefix .. 'led:' .. ARGV[2]
return redis.call('GET', name) == ARGV[3] and redis.call('DEL', name) or 0
"""
)


@dataclass(frozen=True)
class KeepLimits:
    """How many answers are kept, and how long each."""

    most: int = 5_000
    ttl_s: float = 3_600.0


class RedisAnswers:
    """The port AnswerCache in a Redis that many processes share.

    >>> answers = RedisAnswers(RedisOptions("redis://127.0.0.1:6379/0"), "main", KeepLimits(), clock)  # doctest: +SKIP
    >>> answers.lead("key", "q1", 10.0), answers.get("key")  # doctest: +SKIP
    (True, None)

    A server that does not answer in time is left alone for a second: it holds nothing then, and everybody leads.
    """

    def __init__(self, options: RedisOptions, corpus: str, limits: KeepLimits, clock: Clock) -> None:
        self._redis = client_of(options)
        self._scripts = {
            text: self._redis.register_script(text)
            for text in (_GET, _PUT, _DROP, _FORGET, _RESTING, _LEAD, _LED, _LEAVE)
        }
        self._prefix = f"{options.namespace}:answers:{_CODEC}:{{{corpus}}}:"
        self._limits = limits
        self._clock = clock
        self._away_until = 0.0

    def get(self, key: str) -> KeptAnswer | None:
        """The answer of a key; it was used last then. What can't be read is not there."""
        value = self._call(_GET, None, key)
        if value is None:
            return None
        try:
            return msgspec.msgpack.decode(value, type=KeptAnswer)
        except msgspec.MsgspecError:
            return None

    def put(self, tenant: str, key: str, kept: KeptAnswer) -> None:
        """Keeps an answer; where there is no room, the one not used for longest goes."""
        oldest = sorted(kept.used, key=lambda used: used.version, reverse=True)
        versions = {place_of(tenant, used.document): digits_of(used.version) for used in oldest}
        named = [part for pair in versions.items() for part in pair]
        room = (_milliseconds(self._limits.ttl_s), self._limits.most)
        self._call(_PUT, None, key, msgspec.msgpack.encode(kept), *room, *named)

    def drop(self, key: str) -> None:
        """Forgets an answer; one that is not held is no error."""
        self._call(_DROP, None, key)

    def forget(self, heads: Sequence[DocumentHead]) -> int:
        """Forgets what was drawn from an earlier version of any of these documents."""
        versions = {place_of(head.tenant, head.document): digits_of(head.version) for head in heads}
        return int(self._call(_FORGET, 0, *(part for pair in versions.items() for part in pair))) if versions else 0

    def resting(self, tenant: str, document: str) -> Mapping[str, Version]:
        """By key, the version of a document that each answer was drawn from. Raises CacheUnavailableError."""
        flat = self._call(_RESTING, None, place_of(tenant, document))
        if flat is None:
            raise CacheUnavailableError("wanted the kept answers from Redis, got no reply; is the server there?")
        return {key.decode(): version_of(digits.decode()) for key, digits in zip(flat[::2], flat[1::2], strict=True)}

    def lead(self, key: str, query_id: str, for_s: float) -> bool:
        """Whether this query is the one that answers the key now; again, where it is already."""
        return bool(self._call(_LEAD, 1, key, query_id, _milliseconds(for_s)))

    def leave(self, key: str, query_id: str) -> None:
        """Lets those go on who wait for this query; another that leads stays."""
        self._call(_LEAVE, None, key, query_id)

    async def settled(self, key: str, within_s: float) -> None:
        """Waits until nobody leads the key, for `within_s` at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while await asyncio.to_thread(self._is_led, key):
                    await asyncio.sleep(LOOK_S)

    def close(self) -> None:
        """Lets go of the connections."""
        self._redis.close()

    def _is_led(self, key: str) -> bool:
        return bool(self._call(_LED, 0, key))

    def _call(self, script: str, otherwise: Any, *arguments: Any) -> Any:
        """What a script says; `otherwise`, where the server is away."""
        from redis.exceptions import RedisError

        if self._clock.monotonic() < self._away_until:
            return otherwise
        try:
            return self._scripts[script](keys=[f"{self._prefix}used"], args=[self._prefix, *arguments])
        except RedisError:
            self._away_until = self._clock.monotonic() + _AWAY_S
            return otherwise


def _milliseconds(seconds: float) -> int:
    return max(1, int(min(seconds, _ENDLESS_S) * 1_000))
