"""The way to a model: the route a question is worth, servers that failed left alone, retries, hedges, fair shares.

The way of a generation:
1. It takes one of its tenant's places, or waits for one in a bounded queue; else it is answered `overloaded`.
2. Its route is chosen by rule; the other routes stand behind it as what it falls back on.
3. A server is asked if its breaker admits it, and again after a pause while the budget of retries lasts. Where it is
   late with its first word, a second one is asked as well: whoever speaks first is listened to, the other is let go.
4. From the first word on nothing is tried again: what breaks off ends broken, and its breaker hears of it.
5. The last piece names the model that answered, and in `degraded` what was done without.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from adapters.errors import GeneratorUnavailableError
from adapters.model_race import Budget, Call, Note, Opened, Race, RaceRules, Route, TooLateError
from adapters.tenant_places import TenantPlaces
from processors.answer.ladder import NO_LADDER, Ladder, left_s
from processors.answer.routes import RouteName, RouteRule
from processors.contract import Reject
from processors.ports import ANY_OCCASION, OVERLOADED, Breakers, Clock, Occasion, Piece

__all__ = ["ModelGateway", "ModelRules", "Shared"]


@dataclass(frozen=True)
class ModelRules:
    """How hard is tried. `attempts` counts the first; beyond it the budget decides, `extra_share` of the questions.

    `idle_s` is how long a model may be silent between two words, `reserve_s` how much of a question's time is left for
    what comes after the model. What has no limit is infinite.
    """

    race: RaceRules = field(default_factory=RaceRules)
    attempts: int = 1
    backoff_s: float = 0.2
    extra_share: float = 0.2
    idle_s: float = float("inf")
    reserve_s: float = 0.0
    ladder: Ladder = NO_LADDER


@dataclass(frozen=True)
class Shared:
    """What the generations of a process share."""

    breakers: Breakers
    clock: Clock
    places: TenantPlaces = field(default_factory=TenantPlaces)
    note: Note = lambda _what, _server, _value: None


class ModelGateway:
    """A Generator over others. `routes` come in the order in which they stand in for each other."""

    def __init__(self, routes: Sequence[Route], rule: RouteRule, rules: ModelRules, shared: Shared) -> None:
        self._routes = tuple(routes)
        self._rule = rule
        self._rules = rules
        self._shared = shared
        self._budget = Budget(rules.extra_share)
        self._race = Race(rules.race, shared.breakers, self._budget, shared.note)

    @property
    def model(self) -> str:
        """The model of the first route; the last piece names the one that answered."""
        return self._routes[0].generator.model

    async def generate(
        self, system: str, prompt: str, *, tenant: str, max_tokens: int, occasion: Occasion = ANY_OCCASION
    ) -> AsyncGenerator[Piece, None]:
        """Streams what the first model says that says anything. Raises what the last of the routes raised."""
        call = Call(system, prompt, tenant, max_tokens, occasion, self._until(occasion))
        async with self._shared.places.place(tenant, call.until) as granted:
            if not granted:
                self._shared.note(OVERLOADED, "", 1)
                yield Piece(degraded=(OVERLOADED,))
                return
            opened = await self._open(call)
            async with aclosing(self._rest(opened, call)) as pieces:
                async for piece in pieces:
                    yield piece

    async def aclose(self) -> None:
        """Lets all servers go, and the store of the breakers."""
        for route in self._routes:
            await route.generator.aclose()
        await self._shared.breakers.aclose()

    def _until(self, occasion: Occasion) -> float:
        """When the model must be done, in the loop's time."""
        left = left_s(occasion.deadline_at, self._shared.clock)
        return asyncio.get_running_loop().time() + left - self._rules.reserve_s

    def _chain(self, first: RouteName) -> list[Route]:
        return sorted(self._routes, key=lambda route: route.name != first)

    async def _open(self, call: Call) -> Opened:
        """The first route that says a word. A request that one server calls wrong may suit the next."""
        wanted = self._chain(self._rule.first(call.occasion))
        hurried = self._rules.ladder.small(call.occasion.lane, call.occasion.deadline_at, self._shared.clock)
        chain, failures = self._chain("small") if hurried else wanted, list[Exception]()
        self._budget.earn()
        for position, route in enumerate(chain):
            try:
                opened = await self._insist(route, chain[position + 1 :], call)
            except (Reject, GeneratorUnavailableError) as error:
                failures.append(error)
                self._shared.note("fallback", route.name, 1)
                continue
            way = opened.route.name
            return opened if way == wanted[0].name else replace(opened, degraded=(f"fallback:{way}",))
        # Wrong for good only where nobody may yet take it.
        raise next((error for error in failures if isinstance(error, GeneratorUnavailableError)), failures[-1])

    async def _insist(self, route: Route, spare: Sequence[Route], call: Call) -> Opened:
        """One route, within the attempts and the budget; what was late is not asked again."""
        for attempt in range(1, self._rules.attempts + 1):
            try:
                return await self._race.run(route, spare, call)
            except TooLateError:
                raise
            except GeneratorUnavailableError:
                pause_s = self._pause_s(call, attempt)
                late = asyncio.get_running_loop().time() + pause_s >= call.until
                if late or attempt == self._rules.attempts or not self._budget.spend():
                    raise
                self._shared.note("retry", route.name, 1)
                await asyncio.sleep(pause_s)
        raise AssertionError("there is at least one attempt")

    def _pause_s(self, call: Call, attempt: int) -> float:
        """Twice as long each time, by half to one and a half: the prompt's hash is chance enough to spread askers."""
        drawn = hashlib.sha256(f"{attempt} {call.tenant} {call.prompt}".encode()).digest()[0] / 255
        return self._rules.backoff_s * float(2 ** (attempt - 1)) * (0.5 + drawn)

    async def _rest(self, opened: Opened, call: Call) -> AsyncGenerator[Piece, None]:
        """The stream from its first word on, to a last piece in any case."""
        went_well: bool | None = None
        try:
            async with aclosing(opened.pieces):
                piece: Piece | None = opened.first
                while piece is not None and piece.text:
                    yield piece
                    piece = await self._next(opened.pieces, piece, call)
                last = piece or Piece(broken=True)
                went_well = not last.broken
                yield replace(last, model=opened.route.generator.model, degraded=(*opened.degraded, *last.degraded))
        finally:
            await self._race.tell(opened.route, went_well)

    async def _next(self, pieces: AsyncGenerator[Piece, None], before: Piece, call: Call) -> Piece | None:
        """The next piece; one that says that it broke off where the model falls silent or its time is over."""
        now = asyncio.get_running_loop().time()
        end = min(now + self._rules.idle_s, call.until)
        try:
            async with asyncio.timeout_at(end if end < float("inf") else None):
                return await anext(pieces, None)
        except TimeoutError:
            # That the question's time is over says nothing about a server that spoke a moment ago.
            silent_s = asyncio.get_running_loop().time() - now
            broken = silent_s >= min(self._rules.idle_s, self._rules.race.slow_s)
            return Piece(tokens_in=before.tokens_in, tokens_out=before.tokens_out, broken=broken)
