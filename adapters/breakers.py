"""Circuit breakers in this process: a server that keeps failing is left alone for a while, then tried once."""

from __future__ import annotations

from dataclasses import dataclass

from processors.ports import BreakerState, Clock

__all__ = ["BreakerRules", "MemoryBreakers"]


@dataclass(frozen=True)
class BreakerRules:
    """When a server is left alone: after so many failures within a window, if they are that share of all calls.

    It rests for `rest_s`, then one call at a time tries it. A trial of which nothing is heard for `trial_s` counts as
    none: whoever made it may have died.
    """

    failures: int = 5
    share: float = 0.5
    window_s: float = 10.0
    rest_s: float = 5.0
    trial_s: float = 10.0


@dataclass
class _Server:
    since: float = 0.0
    well: int = 0
    badly: int = 0
    opened_at: float | None = None
    trial_until: float = 0.0


class MemoryBreakers:
    """The port Breakers for one process. The rules are those of `RedisBreakers`; one suite holds both to them.

    >>> import asyncio
    >>> from adapters.host import SystemClock
    >>> breakers = MemoryBreakers(BreakerRules(failures=1), SystemClock())
    >>> asyncio.run(breakers.tell("one", False)), asyncio.run(breakers.admits("one"))
    ('open', False)
    """

    def __init__(self, rules: BreakerRules, clock: Clock) -> None:
        self._rules = rules
        self._clock = clock
        self._servers: dict[str, _Server] = {}

    async def admits(self, server: str) -> bool:
        found, now = self._of(server), self._clock.monotonic()
        if found.opened_at is None:
            return True
        if now < found.opened_at + self._rules.rest_s or now < found.trial_until:
            return False
        found.trial_until = now + self._rules.trial_s
        return True

    async def tell(self, server: str, went_well: bool | None) -> BreakerState:
        found, now = self._of(server), self._clock.monotonic()
        if found.opened_at is None:
            self._note(found, went_well, now)
        elif now >= found.opened_at + self._rules.rest_s:
            self._judge(found, went_well, now)
        return self._state(found, now)

    async def aclose(self) -> None:
        """Nothing is held."""

    def _of(self, server: str) -> _Server:
        return self._servers.setdefault(server, _Server())

    def _note(self, found: _Server, went_well: bool | None, now: float) -> None:
        """A call while it is closed. Windows do not slide: one that is over is forgotten whole."""
        if went_well is None:
            return
        if now >= found.since + self._rules.window_s:
            found.since, found.well, found.badly = now, 0, 0
        found.well += went_well
        found.badly += not went_well
        calls = found.well + found.badly
        if not went_well and found.badly >= self._rules.failures and found.badly >= self._rules.share * calls:
            found.opened_at, found.trial_until = now, 0.0

    @staticmethod
    def _judge(found: _Server, went_well: bool | None, now: float) -> None:
        """A call that ended after the rest: the trial, or one from before that took long and knows as much."""
        found.trial_until = 0.0
        if went_well:
            found.opened_at, found.since, found.well, found.badly = None, now, 0, 0
        elif went_well is False:
            found.opened_at = now

    def _state(self, found: _Server, now: float) -> BreakerState:
        if found.opened_at is None:
            return "closed"
        return "open" if now < found.opened_at + self._rules.rest_s else "half-open"
