"""Circuit breakers in Redis, so that workers share what they learn of a server: one pays for it, all leave it alone."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from adapters.breakers import BreakerRules, MemoryBreakers
from adapters.redis_heads import RedisOptions
from processors.ports import BreakerState, Clock

__all__ = ["RedisBreakers"]

# After a call that Redis did not answer: each question would else wait for its time-out.
_ALONE_S: Final = 5.0
_STATES: Final[tuple[BreakerState, ...]] = ("closed", "half-open", "open")

# KEYS[1] is the server's hash: since, well, badly, opened, trial. Times are Redis's own, so hosts need not agree.
_PRELUDE: Final = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local function number(field) return tonumber(redis.call('HGET', KEYS[1], field) or '0') end
local opened = number('opened')
local rest, trial, window, least, share = unpack(ARGV)
"""
_ADMITS: Final = (
    _PRELUDE
    + """
if opened == 0 then return 1 end
if now < opened + rest or now < number('trial') then return 0 end
redis.call('HSET', KEYS[1], 'trial', now + trial)
return 1
"""
)
# ARGV[6] is 1 (it went well), 0 (it did not) or '' (nobody knows); returns 0 closed, 1 half-open, 2 open.
_TELL: Final = (
    _PRELUDE
    + """
local well = ARGV[6]
if opened == 0 and well ~= '' then
  if now >= number('since') + window then
    redis.call('HSET', KEYS[1], 'since', now, 'well', 0, 'badly', 0)
  end
  redis.call('HINCRBY', KEYS[1], well == '1' and 'well' or 'badly', 1)
  local badly = number('badly')
  if well == '0' and badly >= tonumber(least) and badly >= share * (badly + number('well')) then
    opened = now
    redis.call('HSET', KEYS[1], 'opened', now, 'trial', 0)
  end
elseif opened ~= 0 and now >= opened + rest then
  redis.call('HSET', KEYS[1], 'trial', 0)
  if well == '1' then
    opened = 0
    redis.call('HSET', KEYS[1], 'opened', 0, 'since', now, 'well', 0, 'badly', 0)
  elseif well == '0' then
    opened = now
    redis.call('HSET', KEYS[1], 'opened', now)
  end
end
redis.call('PEXPIRE', KEYS[1], math.ceil((rest + trial + window) * 2000) + 60000)
if opened == 0 then return 0 end
return now < opened + rest and 2 or 1
"""
)


class RedisBreakers:
    """The port Breakers, shared by every process on one Redis. Where that does not answer, each goes by its own.

    >>> breakers = RedisBreakers(RedisOptions("redis://127.0.0.1:6379/0"), BreakerRules(), clock)  # doctest: +SKIP
    >>> await breakers.admits("http://10.0.0.7:8000 large")  # doctest: +SKIP
    True
    """

    def __init__(self, options: RedisOptions, rules: BreakerRules, clock: Clock) -> None:
        self._options = options
        self._own = MemoryBreakers(rules, clock)
        self._clock = clock
        self._rules = (rules.rest_s, rules.trial_s, rules.window_s, rules.failures, rules.share)
        self._alone_until = 0.0
        self._redis: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def admits(self, server: str) -> bool:
        said = await self._ask(_ADMITS, server)
        return await self._own.admits(server) if said is None else bool(said)

    async def tell(self, server: str, went_well: bool | None) -> BreakerState:
        # Both hear of it, so that what this process saw itself is known when Redis goes away.
        own = await self._own.tell(server, went_well)
        said = await self._ask(_TELL, server, "" if went_well is None else int(went_well))
        return own if said is None else _STATES[said]

    async def aclose(self) -> None:
        """Closes the connections, in the loop that opened them."""
        redis, self._redis = self._redis, None
        if redis is not None:
            await redis.aclose()

    async def _ask(self, script: str, server: str, *more: Any) -> int | None:
        """What a script says; None where Redis does not answer."""
        from redis.exceptions import RedisError

        if self._clock.monotonic() < self._alone_until:
            return None
        key = f"{self._options.namespace}:breaker:1:{{{server}}}"
        try:
            return int(await self._connected().eval(script, 1, key, *self._rules, *more))
        except (RedisError, OSError):
            self._alone_until = self._clock.monotonic() + _ALONE_S
            return None

    def _connected(self) -> Any:
        """One client per event loop: its connections belong to the loop that opened them."""
        from redis.asyncio import Redis

        loop = asyncio.get_running_loop()
        if self._redis is None or self._loop is not loop:
            timeout = self._options.timeout_s
            self._redis = Redis.from_url(
                self._options.url, protocol=2, socket_timeout=timeout, socket_connect_timeout=timeout
            )
            self._loop = loop
        return self._redis
