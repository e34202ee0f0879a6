"""To the first word of a model: asks a server, asks a second one where that is late, and keeps whoever speaks first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from adapters.errors import GeneratorUnavailableError
from processors.answer.routes import RouteName
from processors.contract import Reject
from processors.ports import Breakers, Generator, Occasion, Piece

__all__ = ["Budget", "Call", "Note", "Opened", "Race", "RaceRules", "Route", "TooLateError"]

_STATES: Final = ("closed", "half-open", "open")

Note = Callable[[str, str, float], None]
"""Hears what happens, on which route, and how much of it: `first_word` (seconds), `retry`, `fallback`, `hedge`,
`breaker` (0 closed, 1 half-open, 2 open), `overloaded`."""


class TooLateError(GeneratorUnavailableError):
    """No server said a word in the time there was."""


@dataclass(frozen=True)
class Route:
    """A way to a model. `server` is what its breaker is shared by: the same address and model, the same server."""

    name: RouteName
    generator: Generator
    server: str


@dataclass(frozen=True)
class RaceRules:
    """How long a first word may take; after `hedge_s` a second server is asked for it.

    `slow_s` is how long a server must have been silent to be taken for a bad one where its asker ran out of time
    first: else whoever asks with a short deadline could have it left alone.
    """

    first_s: float = float("inf")
    hedge_s: float = float("inf")
    slow_s: float = 5.0


@dataclass(frozen=True)
class Call:
    """What is asked, and until when, in the loop's time."""

    system: str
    prompt: str
    tenant: str
    max_tokens: int
    occasion: Occasion
    until: float


@dataclass(frozen=True)
class Opened:
    """A generation that has said its first word."""

    route: Route
    first: Piece
    pieces: AsyncGenerator[Piece, None]
    degraded: tuple[str, ...] = ()


class _Runner:
    """One server that was asked."""

    def __init__(self, route: Route, call: Call) -> None:
        self.route = route
        self.began = asyncio.get_running_loop().time()
        self.pieces = route.generator.generate(
            call.system, call.prompt, tenant=call.tenant, max_tokens=call.max_tokens, occasion=call.occasion
        )
        self.task = asyncio.ensure_future(self._first())

    async def let_go(self) -> None:
        """Ends it. Waited for as others are, so that a cancellation of the asker is not taken for the task's own."""
        self.task.cancel()
        await asyncio.wait([self.task])
        if not self.task.cancelled():
            self.task.exception()
        await self.pieces.aclose()

    async def _first(self) -> Piece:
        piece = await anext(self.pieces, None)
        if piece is None:
            raise GeneratorUnavailableError(f"wanted a first word of {self.route.server}, got none; the question waits")
        return piece


class Budget:
    """How many calls there may be beyond one for each question: a share of all, and a few at once after a quiet time.

    Retries and hedges draw on it, so that a server in trouble does not get a multiple of the load.

    >>> budget = Budget(share=0.5, most=1)
    >>> budget.spend(), budget.spend()
    (True, False)
    >>> budget.earn(); budget.earn(); budget.spend()
    True
    """

    def __init__(self, share: float, most: float = 10.0) -> None:
        self._share = share
        self._most = most
        self._left = most

    def earn(self) -> None:
        """A question came."""
        self._left = min(self._most, self._left + self._share)

    def spend(self) -> bool:
        """Whether there may be one more call."""
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Race:
    """Asks for first words. Use one per process; what it learns of a server goes to the breakers."""

    def __init__(self, rules: RaceRules, breakers: Breakers, budget: Budget, note: Note) -> None:
        self._rules = rules
        self._budget = budget
        self._breakers = breakers
        self._note = note

    async def run(self, route: Route, spare: Sequence[Route], call: Call) -> Opened:
        """The generation that spoke first. Raises TooLateError, GeneratorUnavailableError, Reject."""
        loop = asyncio.get_running_loop()
        end = min(loop.time() + self._rules.first_s, call.until)
        if loop.time() >= end:
            raise TooLateError(f"wanted time to ask {route.server}, the question has none left; it waits for its end")
        running = [await self._start(route, call)]
        hedge_at: float | None = loop.time() + self._rules.hedge_s
        try:
            while True:
                until = min(end, hedge_at) if hedge_at is not None else end
                done = await _done(running, until)
                if winner := await self._settle(running, done, loop.time()):
                    return winner
                if loop.time() >= end:
                    raise TooLateError(f"wanted a first word of {route.server} in time, got none; the question waits")
                if not done:
                    hedge_at = None
                    running += await self._second(route, spare, call)
        finally:
            for runner in running:
                await self._leave(runner)

    async def _start(self, route: Route, call: Call) -> _Runner:
        if not await self._breakers.admits(route.server):
            raise GeneratorUnavailableError(
                f"wanted a first word of {route.server}, which failed too often and is left alone; the question waits"
            )
        return _Runner(route, call)

    async def _second(self, route: Route, spare: Sequence[Route], call: Call) -> list[_Runner]:
        """Another server where there is one, else the same again: behind an address may stand several."""
        if not self._budget.spend():
            return []
        for other in (*spare, route):
            with suppress(GeneratorUnavailableError):
                second = await self._start(other, call)
                self._note("hedge", other.name, 1)
                return [second]
        return []

    async def _settle(self, running: list[_Runner], done: set[asyncio.Task[Piece]], now: float) -> Opened | None:
        """The winner, if one is among those that are done. Raises what the last one raised, if none is left."""
        failure: BaseException | None = None
        for runner in [each for each in running if each.task in done]:
            running.remove(runner)
            failure = runner.task.exception()
            if failure is None:
                self._note("first_word", runner.route.name, now - runner.began)
                return Opened(runner.route, runner.task.result(), runner.pieces)
            # What it calls wrong it has understood.
            await self.tell(runner.route, isinstance(failure, Reject))
        if failure is not None and not running:
            raise failure
        return None

    async def _leave(self, runner: _Runner) -> None:
        """Lets a server go that has not spoken; that it was silent for long is known all the same."""
        silent_s = asyncio.get_running_loop().time() - runner.began
        await runner.let_go()
        await self.tell(runner.route, False if silent_s >= self._rules.slow_s else None)

    async def tell(self, route: Route, went_well: bool | None) -> None:
        """How a server did, to its breaker and to whoever counts."""
        state = await self._breakers.tell(route.server, went_well)
        self._note("breaker", route.name, _STATES.index(state))


async def _done(running: Sequence[_Runner], until: float) -> set[asyncio.Task[Piece]]:
    timeout = max(0.0, until - asyncio.get_running_loop().time()) if until < float("inf") else None
    done, _ = await asyncio.wait([runner.task for runner in running], timeout=timeout, return_when="FIRST_COMPLETED")
    return done
